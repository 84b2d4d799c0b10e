"""Judges of subscribe and unsubscribe requests, and of the bearer token (2.4)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fhircast_conformance.subscriber.record import FORM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhircast_conformance.subscriber.findings import Finding
    from fhircast_conformance.subscriber.record import Form

IRA_EVENTS = (
    "DiagnosticReport-open",
    "DiagnosticReport-close",
    "DiagnosticReport-update",
    "DiagnosticReport-select",
    "SyncError",
)
"""What every subscriber of a reporting session asks for (RAD-146)."""


def judge_form(form: Form) -> Iterator[Finding]:
    """Judge a form, whichever of the two it is."""
    kind = form.content_type or "no content type"
    yield "SUB-01", "" if kind == FORM else f"the form came as {kind}, not {FORM}"
    if not form.at_hub_url:
        yield "SUB-01", "the form was not posted to hub.url itself"
    repeated = [name for name, times in Counter(key for key, _ in form.pairs).items() if times > 1]
    yield "SUB-05", f"repeated in one form: {', '.join(repeated)}" if repeated else ""
    yield from judge_subscribe(form) if form.is_subscribe else judge_unsubscribe(form)


def judge_subscribe(form: Form) -> Iterator[Finding]:
    """Judge a subscribe form."""
    yield "SUB-02", _wrong(form, "hub.channel.type", "websocket")
    yield "SUB-03", _wrong(form, "hub.mode", "subscribe")
    yield "SUB-03", "" if form.get("hub.topic") else "hub.topic is missing or empty"
    which = "a renewal" if form.endpoint else "a subscribe"
    yield "SUB-04", "" if form.events else f"{which} without hub.events"
    if form.endpoint:
        return  # the name and the list were judged with the first request
    asked = {it.lower() for it in form.events}
    missing = [it for it in IRA_EVENTS if it.lower() not in asked]
    yield "IRA-SUB-01", f"hub.events lacks {', '.join(missing)}" if missing else ""
    has_name = form.get("subscriber.name").strip()
    yield "IRA-SUB-01", "" if has_name else "subscriber.name is missing or empty"


def judge_unsubscribe(form: Form) -> Iterator[Finding]:
    """Judge an unsubscribe form."""
    yield "UNS-01", _wrong(form, "hub.channel.type", "websocket")
    for name in ("hub.topic", "hub.channel.endpoint"):
        yield "UNS-01", "" if form.get(name) else f"an unsubscribe without {name}"


def judge_bearer(authorization: str, token: str) -> Iterator[Finding]:
    """Judge the Authorization header of a POST, if a token was handed out; never repeats it.

    Any bearer token will do: an application may get its own from elsewhere.
    """
    if not token:
        return
    scheme, _, value = authorization.partition(" ")
    if not authorization:
        yield "SUB-10", "a POST without Authorization, though a token was given"
    else:
        is_right = scheme.lower() == "bearer" and value.strip()
        yield "SUB-10", "" if is_right else "a POST whose Authorization is no Bearer token"


def _wrong(form: Form, name: str, wanted: str) -> str:
    value = form.get(name)
    if value == wanted:
        return ""
    return f"{name} is {value!r}, not {wanted}" if value else f"{name} is missing"
