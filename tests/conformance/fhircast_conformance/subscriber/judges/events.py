"""Judges of what every context change request has in common (2.3, 2.5, 2.6)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from fhircast_conformance.subscriber.judges.shapes import name_of, reference
from fhircast_conformance.subscriber.session import ANCHOR_KEYS, anchor_of, items_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fhircast_conformance.subscriber.findings import Finding
    from fhircast_conformance.subscriber.record import Json, Post

_CONTEXT_EVENT = re.compile(r"([A-Za-z]+)-(open|close|update|select)", re.IGNORECASE)
_PROPRIETARY = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
_STANDARD = {"syncerror", "userlogout", "userhibernate", "heartbeat"}

_VALUES = {"resource", "reference", "string"}
_MESSAGE_FIELDS = {"timestamp", "id", "event"}
_EVENT_FIELDS = {"hub.topic", "hub.event", "context"}
_VERSION_FIELDS = {"context.versionId", "context.priorVersionId"}

_REPORT = {"report", "patient", "study", "encounter"}
_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "patient-open": ({"patient"}, {"patient", "encounter"}),
    "patient-close": ({"patient"}, {"patient", "encounter"}),
    "encounter-open": ({"encounter", "patient"}, {"encounter", "patient"}),
    "encounter-close": ({"encounter"}, {"encounter", "patient"}),
    "imagingstudy-open": ({"study"}, {"study", "patient", "encounter"}),
    "imagingstudy-close": ({"study"}, {"study", "patient", "encounter"}),
    "diagnosticreport-open": ({"report", "patient"}, _REPORT),
    "diagnosticreport-close": ({"report"}, _REPORT),
    "diagnosticreport-update": ({"report", "updates"}, {"report", "patient", "updates"}),
    "diagnosticreport-select": ({"report"}, {"report", "patient", "select"}),
    "syncerror": ({"operationoutcome"}, {"operationoutcome"}),
    "userlogout": ({"parameters"}, {"parameters"}),
    "userhibernate": ({"parameters"}, {"parameters"}),
    "home-open": (set(), set()),
}
"""Keys that an event's context must and may hold; `extension` is reserved and always allowed."""

_ONCE = {"report", "patient", "encounter", "updates", "operationoutcome", "parameters"}


def judge_message(post: Post) -> Iterator[Finding]:
    """Judge the frame of a request: fields, id, time, name."""
    message, event = post.message, post.event
    missing = [it for it in ("timestamp", "id", "event") if not message.get(it)]
    missing += [it for it in ("hub.topic", "hub.event") if not event.get(it)]
    missing += [] if isinstance(event.get("context"), list) else ["context"]
    yield "EVT-02", f"{_named(post)} without {', '.join(missing)}" if missing else ""
    extra = sorted(set(message) - _MESSAGE_FIELDS | set(event) - _EVENT_FIELDS - _VERSION_FIELDS)
    yield "EVT-16", f"{_named(post)} with fields that are not defined: {extra}" if extra else ""
    if message.get("timestamp"):
        yield "EVT-09", _time_problem(message["timestamp"])
    if post.name:
        yield "EVT-13", _name_problem(post.name)


def judge_context(post: Post) -> Iterator[Finding]:
    """Judge the items of a request by its event."""
    items = list(items_of(post.event))
    yield "EVT-14", _key_problem(post, items)
    yield "EVT-15", _value_problem(post, items)
    known = _KEYS.get(post.name.lower())
    if known is None:
        return
    required, allowed = known
    keys = [str(it.get("key")) for it in items]
    missing, extra = sorted(required - set(keys)), sorted(set(keys) - allowed - {"extension"})
    twice = sorted(it for it in _ONCE if keys.count(it) > 1)
    for what, found in (("lacks", missing), ("may not hold", extra), ("holds twice", twice)):
        yield "EVT-16", f"{post.name}: the context {what} {', '.join(found)}" if found else ""
    if post.is_a("-open"):
        yield "EVT-20", _place_problem(post.name, items)


def judge_subjects(event: Mapping[str, object]) -> Iterator[Finding]:
    """Judge that the resources of an open or close are about one patient."""
    items = list(items_of(event))
    patients = [it["resource"] for it in items if it.get("key") == "patient" and "resource" in it]
    if not patients or not isinstance(patients[0], dict):
        return
    patient = name_of(patients[0])
    for item in items:
        resource = item.get("resource")
        if item.get("key") == "patient" or not isinstance(resource, dict):
            continue
        subject = reference(resource.get("subject"))
        kind = resource.get("resourceType")
        if subject.startswith("Patient/") or kind == "DiagnosticReport":
            wrong = "" if subject == patient else f"{kind}.subject is not the event's patient"
            yield "EVT-17", wrong
            yield "PROF-03", wrong


def _named(post: Post) -> str:
    return post.name or "an event without a name"


def _time_problem(timestamp: object) -> str:
    if not isinstance(timestamp, str):
        return "timestamp is no string"
    try:
        at = datetime.fromisoformat(timestamp)
    except ValueError:
        return f"timestamp {timestamp!r} is not ISO 8601"
    if "T" not in timestamp.upper():
        return f"timestamp {timestamp!r} is no date and time of ISO 8601"
    if at.tzinfo is None:
        return f"timestamp {timestamp!r} has no zone; UTC is written with Z"
    return "" if at.utcoffset() == timedelta(0) else f"timestamp {timestamp!r} is not in UTC"


def _name_problem(name: str) -> str:
    standard = _CONTEXT_EVENT.fullmatch(name) or name.lower() in _STANDARD
    if standard or _PROPRIETARY.fullmatch(name):
        return ""
    return f"hub.event {name!r} is neither Resource-verb nor a reverse-domain name without dash"


def _key_problem(post: Post, items: list[Json]) -> str:
    keys = [str(it.get("key", "")) for it in items]
    wrong = [it for it in keys if it != it.lower() or not it]
    if wrong:
        return f"{post.name}: keys that are not lower case: {wrong}"
    match = _CONTEXT_EVENT.fullmatch(post.name)
    if match is None or match.group(1).lower() == "home":
        return ""
    wanted = _anchor_key(match.group(1))
    return "" if wanted in keys else f"{post.name}: no item with the anchor's key {wanted!r}"


def _value_problem(post: Post, items: list[Json]) -> str:
    for item in items:
        if item.get("key") == "extension":
            continue
        if not _VALUES & set(item):
            return f"{post.name}: item {item.get('key')!r} has neither resource nor reference"
    match = _CONTEXT_EVENT.fullmatch(post.name)
    if match is None or match.group(1).lower() == "home":
        return ""
    if not anchor_of(post.event):
        return f"{post.name}: the anchor resource, with type and id, is missing"
    key = _anchor_key(match.group(1))
    wanted = "resource" if match.group(2).lower() in {"open", "close"} else "reference"
    anchors = [it for it in items if it.get("key") == key]
    held = all(isinstance(it.get(wanted), dict) for it in anchors)
    return "" if held else f"{post.name}: the anchor {key!r} comes not as {wanted}"


def _place_problem(name: str, items: list[Json]) -> str:
    places = {"Patient": {"patient"}, "Encounter": {"encounter"}, "ImagingStudy": {"study"}}
    for item in items:
        resource = item.get("resource")
        kind = str(resource.get("resourceType")) if isinstance(resource, dict) else ""
        if kind in places and item.get("key") not in places[kind]:
            return f"{name}: the {kind} comes under the key {item.get('key')!r}"
    return ""


def _anchor_key(resource_type: str) -> str:
    spelled = {it.lower(): key for it, key in ANCHOR_KEYS.items()}
    return spelled.get(resource_type.lower(), resource_type.lower())
