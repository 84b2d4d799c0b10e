"""Dialects: what deployed applications send beyond the standard, each behind a switch (D-49).

A `DiagnosticReport-open` without a report has the study as its anchor; such a context is kept under
a name of its own, since the study may be open by itself as well.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from fhircast_hub.protocol.decoding import decode_part
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.events import EventKind
from fhircast_hub.protocol.notification import literal_reference, reference_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from fhircast_hub.protocol.notification import ContextEntry, EventNotification
    from fhircast_hub.protocol.session import Session

_REPORT = "DiagnosticReport"
_STUDY = "ImagingStudy"


class Dialect(Enum):
    """One way of deployed applications; the value is its name in the settings."""

    __hash__ = object.__hash__  # a member is one object; the usual hash runs in Python

    OPEN_WITHOUT_REPORT = "open-without-report"
    UPDATE_WITHOUT_VERSION = "update-without-version"
    POST_WITHOUT_ID = "post-without-id"


def dialects_used(
    notification: EventNotification, dialects: Collection[Dialect]
) -> tuple[Dialect, ...]:
    """Return the dialects that a request is written in, of those that are allowed."""
    used = []
    if Dialect.OPEN_WITHOUT_REPORT in dialects and _names_study_only(notification):
        used.append(Dialect.OPEN_WITHOUT_REPORT)
    if Dialect.UPDATE_WITHOUT_VERSION in dialects and _lacks_version(notification):
        used.append(Dialect.UPDATE_WITHOUT_VERSION)
    return tuple(used)


def required_in_dialect(keys: tuple[str, ...], used: Collection[Dialect]) -> tuple[str, ...]:
    """Return the keys that a request must hold, in the dialects that it is written in.

    Args:
        keys: What the standard demands.
        used: From `dialects_used`.
    """
    if Dialect.OPEN_WITHOUT_REPORT in used:
        # Whoever leaves the report out leaves the patient to the study as well.
        return tuple(key for key in ("study", *keys) if key not in {"report", "patient"})
    if Dialect.UPDATE_WITHOUT_VERSION in used:
        return tuple(key for key in keys if key != "report")
    return keys


def anchor_in_dialect(
    session: Session, notification: EventNotification, dialects: Collection[Dialect]
) -> str | None:
    """Return the context that a request means in a dialect, None if it is to be read as usual.

    Args:
        session: The state of the topic.
        notification: An open, update or select.
        dialects: Those that are allowed.

    Returns:
        A key of `session.contexts`, or what none of them has: the context is not open.

    Raises:
        InvalidRequest: A report-less request does not name exactly one study.
    """
    if not dialects or notification.name.anchor_type != _REPORT:
        return None
    used = dialects_used(notification, dialects)
    reports = notification.entries("report")
    if Dialect.OPEN_WITHOUT_REPORT in used:
        return _study_anchor(_study_of(notification))
    if Dialect.UPDATE_WITHOUT_VERSION in used and not reports:
        current = session.current_context
        return session.current if current and current.anchor_type == _REPORT else ""
    is_open = notification.name.kind is EventKind.OPEN
    if is_open or Dialect.OPEN_WITHOUT_REPORT not in dialects:
        return None
    if reports[0].target in session.contexts:
        return None
    return next(_report_less(session, notification), None)


def closed_in_dialect(
    session: Session, notification: EventNotification, dialects: Collection[Dialect]
) -> tuple[str, ...]:
    """Return the report-less contexts that a close ends: it names their study or a report of it."""
    if Dialect.OPEN_WITHOUT_REPORT not in dialects:
        return ()
    if notification.name.anchor_type not in {_REPORT, _STUDY}:
        return ()
    return tuple(_report_less(session, notification))


def with_post_ids(notification: EventNotification, ids: Iterator[str]) -> EventNotification:
    """Return an update in which every POST entry's resource has an id.

    Args:
        notification: Any request.
        ids: UUIDs to take from.

    Returns:
        The same object if no id was missing, or if the Bundle cannot be read: judging says why.
    """
    if notification.name.kind is not EventKind.UPDATE:
        return notification
    items = [_item_with_ids(entry, ids) for entry in notification.context]
    if items == [entry.raw for entry in notification.context]:
        return notification
    return notification.with_context(items)


class _Report(msgspec.Struct, frozen=True):
    study: list[Raw] = []
    imaging_study: list[Raw] = msgspec.field(name="imagingStudy", default_factory=list)


class _PostEntry(msgspec.Struct, frozen=True):
    method: str = ""


def _names_study_only(notification: EventNotification) -> bool:
    return (
        notification.name.anchor_type == _REPORT
        and not notification.entries("report")
        and bool(notification.entries("study"))
    )


def _lacks_version(notification: EventNotification) -> bool:
    return notification.name.kind is EventKind.UPDATE and not notification.version_id


def _study_of(notification: EventNotification) -> str:
    studies = notification.entries("study")
    if len(studies) > 1:
        raise InvalidRequest("context.study", "occurs more than once", rule="D-49")
    if notification.name.kind is EventKind.OPEN and studies[0].head is None:
        raise InvalidRequest("context.study", "has no resource", rule="EVT-15, D-49")
    if not studies[0].target.startswith(f"{_STUDY}/"):
        raise InvalidRequest("context.study", f"is no {_STUDY} with an id", rule="EVT-15, D-49")
    return studies[0].target


def _study_anchor(study: str) -> str:
    return f"{_REPORT} of {study}"


def _report_less(session: Session, notification: EventNotification) -> Iterator[str]:
    """Yield the report-less contexts whose study, or a report of it, a request names."""
    targets = [entry.target for entry in notification.entries("report")]
    reports = [it for it in targets if it.startswith(f"{_REPORT}/")]
    studies = set(map(_study_anchor, _named_studies(notification)))
    for anchor, context in session.contexts.items():
        if anchor != _study_anchor(anchor.rpartition(" ")[2]):
            continue
        if anchor in studies or any(it in context.content for it in reports):
            yield anchor


def _named_studies(notification: EventNotification) -> Iterator[str]:
    for entry in notification.entries("study"):
        yield entry.target
    for entry in notification.entries("report"):
        if entry.head is not None:
            report = decode_part(entry.resource, _Report, "context.report", "D-49")
            for reference in (*report.study, *report.imaging_study):
                yield reference_key(literal_reference(reference))


def _item_with_ids(item: ContextEntry, ids: Iterator[str]) -> bytes:
    if item.key != "updates" or item.head is None:
        return item.raw
    try:
        bundle = msgspec.json.decode(item.resource, type=dict[str, Raw])
        entries = msgspec.json.decode(bundle.get("entry", Raw(b"[]")), type=list[dict[str, Raw]])
        completed = [_entry_with_id(entry, ids) for entry in entries]
    except msgspec.ValidationError:
        return item.raw
    if completed == entries:
        return item.raw
    fields = msgspec.json.decode(item.raw, type=dict[str, Raw])
    return msgspec.json.encode({**fields, "resource": {**bundle, "entry": completed}})


def _entry_with_id(entry: dict[str, Raw], ids: Iterator[str]) -> dict[str, Raw]:
    request = msgspec.json.decode(entry.get("request", Raw(b"{}")), type=_PostEntry)
    if request.method != "POST" or "resource" not in entry:
        return entry
    resource = msgspec.json.decode(entry["resource"], type=dict[str, Raw])
    if bytes(resource.get("id", Raw(b'""'))) != b'""':
        return entry
    completed = {**resource, "id": Raw(msgspec.json.encode(next(ids)))}
    return {**entry, "resource": Raw(msgspec.json.encode(completed))}
