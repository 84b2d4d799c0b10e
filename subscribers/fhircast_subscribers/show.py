"""What happened, as one line for people or one JSON object for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhircast_subscribers.changes import (
    Change,
    ContentChanged,
    ContextClosed,
    ContextOpened,
    ContextUnconfirmed,
    FellBehind,
    LogoutRequested,
    NothingCurrent,
    OtherEvent,
    SelectionChanged,
    SyncChanged,
)
from fhircast_subscribers.fhir import accession_of, objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhircast_subscribers.contexts import OpenContext


def describe(change: Change) -> dict[str, Any]:
    """Return a change as plain values, `what` first."""
    match change:
        case ContextOpened(context=context):
            what = "opened" if change.is_current else "opened, not current"
            return {"what": what, "resumed": change.resumed, **_context(context)}
        case ContextClosed(context=context):
            return {"what": "closed", **_context(context)}
        case ContextUnconfirmed(context=context):
            return {"what": "not shown by the hub any more", **_context(context)}
        case NothingCurrent():
            return {"what": "no current context"}
        case ContentChanged(context=context):
            touched = {"changed": list(change.changed), "removed": list(change.removed)}
            return {"what": "content", **_context(context), **touched}
        case SelectionChanged(context=context):
            return {"what": "selected", **_context(context), "selected": list(context.selection)}
        case SyncChanged(sync=sync):
            what = "in sync" if sync.in_sync else "OUT OF SYNC"
            return {"what": what, "reasons": list(sync.reasons)}
        case LogoutRequested(code=code):
            return {"what": "logout", "code": code}
        case FellBehind():
            return {"what": "fell behind"}
        case OtherEvent(notification=event):
            return {"what": "event", "event": event.event_name}


def as_line(described: Mapping[str, Any]) -> str:
    """Return a described change as one line."""
    parts = [str(described["what"])]
    for name, value in described.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        if name != "what" and shown not in ("", False, None):
            parts.append(f"{name}: {shown}")
    return " | ".join(parts)


def _context(context: OpenContext) -> dict[str, Any]:
    patient, study = context.patient or {}, context.study or {}
    accession = accession_of(study)
    return {
        "anchor": context.anchor,
        "patient": _name(patient),
        "accession": accession.get("value", "") if accession else "",
        "status": context.status,
        "version": context.version_id,
    }


def _name(patient: Mapping[str, Any]) -> str:
    for name in objects(patient.get("name")):
        given = name.get("given")
        names = [*(given if isinstance(given, list) else []), name.get("family")]
        return name.get("text") or " ".join(str(it) for it in names if it)
    return str(patient.get("id", ""))
