"""The rules for every event: what a request does to the session of its topic.

`decide` is the hub's judgement of one request. It changes nothing: it returns the session as it
would be and what to broadcast, or raises, and then nothing has happened at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from fhircast_hub.protocol.anchors import anchor_of, require_keys
from fhircast_hub.protocol.content import EMPTY, parse_updates
from fhircast_hub.protocol.derive import is_derived_from
from fhircast_hub.protocol.dialects import (
    Dialect,
    anchor_in_dialect,
    closed_in_dialect,
    dialects_used,
    required_in_dialect,
)
from fhircast_hub.protocol.errors import (
    ContextNotCurrent,
    ContextNotOpen,
    DuplicateId,
    InvalidRequest,
    LimitReached,
    PatientChanged,
    VersionConflict,
)
from fhircast_hub.protocol.events import SYNC_ERROR, EventKind, required_keys
from fhircast_hub.protocol.links import patient_named
from fhircast_hub.protocol.profiles import profile_faults
from fhircast_hub.protocol.selection import without_unknown
from fhircast_hub.protocol.session import (
    Accepted,
    Decision,
    OpenContext,
    Remembered,
    Rules,
    Session,
)
from fhircast_hub.protocol.syncerror import check_sync_error, failed_event_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from fhircast_hub.protocol.notification import EventNotification

__all__ = ["anchor_of", "decide"]


def decide(
    session: Session,
    notification: EventNotification,
    *,
    version_id: str,
    now: datetime,
    rules: Rules,
) -> Decision:
    """Judge one context change request.

    Args:
        session: The newest state of the topic.
        notification: The request, for this topic.
        version_id: A version id never used before in the topic; assigned if the event needs one.
        now: Aware time of the hub's clock.
        rules: What the site decided.

    Raises:
        InvalidRequest: A part is missing or wrong, or the timestamp lies too far ahead.
        Conflict: The event does not fit the state: stale version, not open, not current, another
            patient, an id used before with another body.
        LimitReached: A bound of the session is reached.

    Spec: 2.6, 2.9, 2.10; EVT-*, TAB-*, CONT-*, SEL-*, D-11, D-26 … D-29.
    """
    known = session.remembered.find(notification.id)
    if known is not None:
        return _again(session, notification, known, rules)
    if notification.happened_at > now:
        ahead = notification.happened_at - now
        if ahead.total_seconds() > rules.max_clock_ahead_seconds:
            raise InvalidRequest("timestamp", "lies in the future", rule="D-27")
    used = dialects_used(notification, rules.dialects) if rules.dialects else ()
    keys = required_keys(notification.name, ira=rules.ira)
    require_keys(notification, required_in_dialect(keys, used))
    faults = profile_faults(notification)
    if faults and rules.refuses_profile_faults:
        raise faults[0].as_error()
    judge = _JUDGES[notification.name.kind]
    decision = judge(session, notification, version_id, rules)
    remarks: tuple[str, ...] = ()
    if used or faults:
        remarks = (*[f"dialect {it.value}" for it in used], *[it.remark for it in faults])
    after = _remember(decision, notification, rules.remembered_ids)
    return replace(decision, session=after, remarks=remarks)


def _again(
    session: Session, notification: EventNotification, known: Remembered, rules: Rules
) -> Decision:
    """Recognise an id: an outstanding open or close goes out again, anything else not (D-28)."""
    if known.digest != notification.digest:
        raise DuplicateId
    resent = _to_resend(session, notification, rules) if known.out_of_sync else None
    if resent is None:
        return Decision(session, None, known.answer)
    # The flag falls with the broadcast: whoever is still out of step raises a new SyncError.
    cleared = session.remembered.changed(notification.id, replace(known, out_of_sync=False))
    session = replace(session, remembered=cleared, revision=session.revision + 1)
    return Decision(session, resent, known.answer, is_resend=True)


def _to_resend(
    session: Session, notification: EventNotification, rules: Rules
) -> EventNotification | None:
    """Return an open or close as it was broadcast, None if the state no longer is what it made."""
    if notification.name.kind is EventKind.CLOSE:
        named = _closed_anchors(session, notification, rules.dialects)
        is_closed = session.contexts.keys().isdisjoint(named)
        return notification.with_versions("") if is_closed else None
    latest = session.latest_open
    return latest if latest is not None and latest.id == notification.id else None


def _open(
    session: Session, notification: EventNotification, version_id: str, rules: Rules
) -> Decision:
    if notification.name.anchor_type is None:
        return _home(session, notification, version_id)
    anchor = anchor_in_dialect(session, notification, rules.dialects)
    if anchor is None:
        anchor = anchor_of(notification, as_resource=True)
    known = session.contexts.get(anchor)
    if known is None and len(session.contexts) >= rules.max_open_contexts:
        raise LimitReached(
            f"context: {rules.max_open_contexts} contexts are open; close one first", rule="TAB-01"
        )
    patient = patient_named(notification)
    is_newest = _is_newest_open(session, notification)
    content, prior_version_id = EMPTY, ""
    if known is not None:
        if known.patient and patient and known.patient != patient:
            raise PatientChanged(notification.name.spelling)
        if not is_newest:
            # Subscribers pass an older open over (EVT-10), so it must not move any version either.
            broadcast = notification.with_versions(known.version_id)
            return _accepted(session, broadcast, known.version_id)
        content, prior_version_id = known.content, known.version_id
        patient = patient or known.patient
    broadcast = notification.with_versions(version_id, prior_version_id)
    contexts = dict(session.contexts)
    contexts.pop(anchor, None)  # the newest open comes last
    contexts[anchor] = OpenContext(broadcast, version_id, content, patient)
    if is_newest:
        after = replace(session, contexts=contexts, current=anchor, home=None)
    else:
        after = replace(session, contexts=contexts)
    return _accepted(after, broadcast, version_id)


def _home(session: Session, notification: EventNotification, version_id: str) -> Decision:
    """No clinical context is shown; what is open stays open (INF-04, D-21)."""
    broadcast = notification.with_versions("")
    if not _is_newest_open(session, notification):
        return _accepted(session, broadcast)
    after = replace(session, current="", home=broadcast, version_id=version_id)
    return _accepted(after, broadcast)


def _close(
    session: Session, notification: EventNotification, version_id: str, rules: Rules
) -> Decision:
    broadcast = notification.with_versions("")
    named = _closed_anchors(session, notification, rules.dialects)
    opened = {anchor: it.opened for anchor, it in session.contexts.items() if anchor in named}
    if not opened and rules.ira:
        raise ContextNotOpen(notification.name.spelling)
    # D-26: a close that is older than the open it would end does not end it.
    ended = {key for key, it in opened.items() if notification.happened_at >= it.happened_at}
    if not ended:
        return _accepted(session, broadcast)
    after = replace(
        session, contexts={key: it for key, it in session.contexts.items() if key not in ended}
    )
    if session.current in ended:
        after = replace(after, current="", version_id=version_id)
    return _accepted(after, broadcast)


def _update(
    session: Session, notification: EventNotification, version_id: str, rules: Rules
) -> Decision:
    anchor, known = _open_anchor(session, notification, rules)
    based_on = notification.version_id
    if not based_on and Dialect.UPDATE_WITHOUT_VERSION in rules.dialects:
        based_on = known.version_id if anchor == session.current else ""
    if not based_on:
        raise InvalidRequest("context.versionId", "missing", rule="CONT-02")
    if rules.updates_current_only and session.current != anchor:
        raise ContextNotCurrent(notification.name.spelling)
    if based_on != known.version_id:
        raise VersionConflict(expected=known.version_id, got=based_on, ira=rules.ira)
    updates = notification.entries("updates")
    if len(updates) != 1 or updates[0].head is None:
        raise InvalidRequest("context", "needs exactly one updates Bundle", rule="CONT-08")
    changes = parse_updates(updates[0].resource, opened=known.resources(), rules=rules.updates)
    content = known.content.apply(changes)
    if len(content) > max(rules.max_content_resources, len(known.content)):
        raise LimitReached(
            f"updates: more than {rules.max_content_resources} resources in one context",
            rule="CONT-19",
        )
    after = replace(known, version_id=version_id, content=content)
    broadcast = notification.with_versions(version_id, known.version_id)
    # A replaced value keeps its place, so the order of the opens stays.
    return _accepted(
        replace(session, contexts={**session.contexts, anchor: after}), broadcast, version_id
    )


def _select(
    session: Session, notification: EventNotification, _version_id: str, rules: Rules
) -> Decision:
    anchor, known = _open_anchor(session, notification, rules)
    if session.current != anchor:
        raise ContextNotCurrent(notification.name.spelling)
    # D-10: a selection makes no version; it shows the current one so that gaps are noticed.
    broadcast = notification.with_versions(known.version_id)
    sent = without_unknown(broadcast, known.holds) if rules.ira else broadcast
    status = 202 if sent is broadcast else 206
    return Decision(session, sent, Accepted(sent.id, status=status))


def _infrastructure(
    session: Session, notification: EventNotification, _version_id: str, rules: Rules
) -> Decision:
    if notification.name.key != SYNC_ERROR.key:
        return _accepted(session, notification)
    check_sync_error(notification, ira=rules.ira)
    failed = failed_event_id(notification)
    latest = session.latest_open
    if latest is not None and is_derived_from(latest, failed):
        failed = latest.id  # what is resent is the source, and what follows from it with it
    remembered = session.remembered.find(failed)
    if remembered is None:
        return _accepted(session, notification)
    marked = session.remembered.changed(failed, replace(remembered, out_of_sync=True))
    return _accepted(replace(session, remembered=marked), notification)


def _proprietary(
    session: Session, notification: EventNotification, _version_id: str, _rules: Rules
) -> Decision:
    return _accepted(session, notification)


_JUDGES: dict[EventKind, Callable[[Session, EventNotification, str, Rules], Decision]] = {
    EventKind.OPEN: _open,
    EventKind.CLOSE: _close,
    EventKind.UPDATE: _update,
    EventKind.SELECT: _select,
    EventKind.INFRASTRUCTURE: _infrastructure,
    EventKind.PROPRIETARY: _proprietary,
}


def _accepted(session: Session, broadcast: EventNotification, version_id: str = "") -> Decision:
    return Decision(session, broadcast, Accepted(broadcast.id, version_id))


def _remember(decision: Decision, notification: EventNotification, limit: int) -> Session:
    """Count the request and keep its id, forgetting the oldest beyond the limit."""
    session = decision.session
    remembered = session.remembered.added(
        notification.id, Remembered(notification.digest, decision.answer), limit
    )
    return replace(session, remembered=remembered, revision=session.revision + 1)


def _is_newest_open(session: Session, notification: EventNotification) -> bool:
    """D-27: an open counts if it is not older than the one that established what is shown now."""
    opened_at = session.opened_at
    return opened_at is None or notification.happened_at >= opened_at


def _closed_anchors(
    session: Session, notification: EventNotification, dialects: frozenset[Dialect]
) -> set[str]:
    """Return the contexts that a close names; they need not be open."""
    named = set(closed_in_dialect(session, notification, dialects))
    if notification.entries(notification.name.anchor_key):
        named.add(anchor_of(notification))
    return named


def _open_anchor(
    session: Session, notification: EventNotification, rules: Rules
) -> tuple[str, OpenContext]:
    anchor = anchor_in_dialect(session, notification, rules.dialects)
    if anchor is None:
        anchor = anchor_of(notification)
    if anchor not in session.contexts:
        raise ContextNotOpen(notification.name.spelling)
    return anchor, session.contexts[anchor]
