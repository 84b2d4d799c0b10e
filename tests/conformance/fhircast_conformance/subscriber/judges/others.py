"""Judges of selections, SyncErrors, logout and hibernate (3.6.4, 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.messages import SYNC_ERROR_SYSTEM
from fhircast_conformance.subscriber.judges.shapes import objects
from fhircast_conformance.subscriber.session import anchor_of, items_of, target_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fhircast_conformance.subscriber.findings import Finding
    from fhircast_conformance.subscriber.lines import Delivery
    from fhircast_conformance.subscriber.record import Json, Post

CODINGS = ("eventid", "eventname", "subscribername")
"""What a SyncError has to name, in this order (RAD-155)."""


def judge_select(post: Post, current: str, recently: set[str]) -> Iterator[Finding]:
    """Judge a selection.

    Args:
        post: The request.
        current: The current context's anchor, "" if there is none.
        recently: Anchors that may still be current for the application: what replaced them is not
            answered yet.
    """
    chosen = [it for it in items_of(post.event) if it.get("key") == "select"]
    is_cleared = len(chosen) == 1 and chosen[0].get("reference") == []
    wrong = [it for it in chosen if not target_of(it) or "resource" in it]
    if not chosen:
        yield "SEL-01", "a selection without an item select"
    else:
        bad = wrong and not is_cleared
        yield "SEL-01", "an item select that does not hold one reference" if bad else ""
    anchor = anchor_of(post.event)
    is_current = anchor == current or anchor in recently
    yield "SEL-03", "" if is_current else "a selection in a context that is not current"


def judge_sync_error(post: Post, sent: Sequence[Delivery]) -> Iterator[Finding]:
    """Judge a SyncError of the application.

    Args:
        post: The request.
        sent: The notifications that the application got.
    """
    outcomes = [it for it in items_of(post.event) if it.get("key") == "operationoutcome"]
    resource = outcomes[0].get("resource") if len(outcomes) == 1 else None
    issues = objects(resource.get("issue")) if isinstance(resource, dict) else []
    processing = [it for it in issues if it.get("code") == "processing"]
    is_outcome = isinstance(resource, dict) and resource.get("resourceType") == "OperationOutcome"
    fine = is_outcome and len(processing) == 1 and len(list(items_of(post.event))) == 1
    yield (
        "SYNC-02",
        "" if fine else "not one operationoutcome with one issue of code processing",
    )
    if not processing:
        return
    issue = processing[0]
    named = _codings(issue)
    yield "SYNC-03", _diagnosis_problem(issue, named.get("subscribername", ""))
    yield "SYNC-04", _coding_problem(issue)
    yield "SYNC-11", _occasion_problem(named, sent)


def judge_parameters(post: Post) -> Iterator[Finding]:
    """Judge UserLogout and UserHibernate."""
    row = "INF-01" if post.name.lower() == "userlogout" else "INF-03"
    resources = [it.get("resource") for it in items_of(post.event) if it.get("key") == "parameters"]
    resource = resources[0] if resources else None
    if not isinstance(resource, dict) or resource.get("resourceType") != "Parameters":
        yield row, f"{post.name} without a Parameters resource"
        return
    parameters = objects(resource.get("parameter"))
    codes = [it.get("valueCoding") for it in parameters if it.get("name") == "code"]
    has_code = len(codes) == 1 and isinstance(codes[0], dict) and codes[0].get("code")
    yield row, "" if has_code else f"{post.name}: not one parameter code with a valueCoding"
    for it in parameters:
        if it.get("name") == "hub" and not isinstance(it.get("valueBoolean"), bool):
            yield row, f"{post.name}: the parameter hub is no valueBoolean"


def about(post: Post) -> tuple[str, str]:
    """Return the id and name of the event that a SyncError is about, "" where it does not say."""
    for item in items_of(post.event):
        resource = item.get("resource")
        for issue in objects(resource.get("issue")) if isinstance(resource, dict) else []:
            named = _codings(issue)
            if named:
                return named.get("eventid", ""), named.get("eventname", "")
    return "", ""


def _codings(issue: Json) -> dict[str, str]:
    details = issue.get("details")
    found = objects(details.get("coding")) if isinstance(details, dict) else []
    return {
        str(it.get("system", "")).removeprefix(SYNC_ERROR_SYSTEM): str(it.get("code", ""))
        for it in found
        if str(it.get("system", "")).startswith(SYNC_ERROR_SYSTEM)
    }


def _diagnosis_problem(issue: Json, subscriber: str) -> str:
    if issue.get("severity") != "warning":
        return f"severity is {issue.get('severity')!r}, not warning"
    text = str(issue.get("diagnostics", ""))
    if not text.strip():
        return "no diagnostics"
    return "" if subscriber in text else "diagnostics does not name the subscriber"


def _coding_problem(issue: Json) -> str:
    details = issue.get("details")
    found = objects(details.get("coding")) if isinstance(details, dict) else []
    systems = [str(it.get("system")) for it in found if it.get("code")]
    wanted = [f"{SYNC_ERROR_SYSTEM}{it}" for it in CODINGS]
    missing = [it for it in wanted if it not in systems]
    if missing:
        return f"details.coding lacks {', '.join(missing)}"
    return "" if len(systems) == len(set(systems)) else "a system occurs twice in details.coding"


def _occasion_problem(named: dict[str, str], sent: Sequence[Delivery]) -> str:
    name = named.get("eventname", "")
    if name.lower().endswith(("-update", "-select")):
        return f"a SyncError about a {name}"
    delivered = [it for it in sent if it.id == named.get("eventid")]
    if not delivered:
        return "a SyncError about an event that was not sent to the application"
    statuses = [it.status for it in delivered if it.answer is not None]
    if 202 in statuses:
        return ""
    how = f"answered {statuses[-1]}" if statuses else "not answered"
    return f"a SyncError about an event that was {how}, not accepted with 202"
