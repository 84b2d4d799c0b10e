"""What a session shows: the opens for a new subscriber, and the answer to a GET."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from fhircast_hub.protocol.delivery import NOTHING_SHOWN
from fhircast_hub.protocol.derive import Derive, contexts_of, derived_opens, is_derived_from
from fhircast_hub.protocol.events import parse_event_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from fhircast_hub.protocol.events import EventName
    from fhircast_hub.protocol.messages import EventNotification
    from fhircast_hub.protocol.session import OpenContext, Session


def replay(
    session: Session,
    subscribed: Callable[[EventName], bool],
    derive: Derive = Derive.MISSING,
) -> list[EventNotification]:
    """Return what a new subscriber gets after its confirmation.

    The most recent open of each anchor type that is not closed, as it was first distributed, oldest
    first and the current context last. A derived open counts like one that was requested.

    Args:
        session: The state of the topic.
        subscribed: Whether the subscriber gets this event.
        derive: Who gets derived opens.

    Spec: 2.4; REP-01 … REP-05, D-13, D-21.
    """
    candidates = [
        candidate
        for context in session.contexts.values()
        for candidate in _candidates(session, context, subscribed, derive)
    ]
    current = session.current_context
    if current is not None:
        # Newer than the current one is what came before a close: told after it would win (EVT-10).
        candidates = [it for it in candidates if it.order[1] <= current.opened.happened_at]
    newest = {it.shows: it for it in sorted(candidates, key=lambda it: it.order)}
    opens = [it.event for it in sorted(newest.values(), key=lambda it: it.order)]
    if session.home is not None and subscribed(session.home.name):
        opens.append(session.home)
    return opens


class _Candidate(msgspec.Struct, frozen=True, gc=False):
    """An open that may be replayed.

    Attributes:
        event: The open, or one derived from it.
        order: In which candidates are told; the last of a type stands for it.
    """

    event: EventNotification
    order: tuple[bool, datetime, int]

    @property
    def shows(self) -> str:
        """Its anchor type."""
        return self.event.name.anchor_type or ""


_REQUESTED = 99
"""Place of a requested open after those that are derived from an open of the same moment."""


def _candidates(
    session: Session,
    context: OpenContext,
    subscribed: Callable[[EventName], bool],
    derive: Derive,
) -> Iterator[_Candidate]:
    when = (context is session.current_context, context.opened.happened_at)
    gets_it = subscribed(context.opened.name)
    if gets_it:
        yield _Candidate(context.opened, (*when, _REQUESTED))
    if derive is Derive.ALL or (derive is Derive.MISSING and not gets_it):
        for place, it in enumerate(derived_opens(context.opened)):
            if subscribed(it.name):
                yield _Candidate(it, (*when, place))


def shown_after(session: Session, opens: Sequence[EventNotification]) -> Mapping[str, str]:
    """Return what a subscriber shows after these opens of a replay, as far as that is certain.

    One that kept what it showed before passes over whatever is older than that (EVT-10); only the
    topic's latest open, or what is derived from it, is followed by everybody.

    Args:
        session: The state of the topic.
        opens: What `replay` returned, or a part of it.
    """
    latest = session.latest_open
    if not opens or latest is None:
        return NOTHING_SHOWN
    is_latest = opens[-1] is latest or is_derived_from(latest, opens[-1].id)
    return contexts_of(opens[-1]) if is_latest else NOTHING_SHOWN


def encode_current_context(
    session: Session,
    may_read: Callable[[EventName], bool],
    derive: Derive = Derive.MISSING,
) -> bytes:
    """Return the answer to a GET of the current context.

    The resources of the open stand as they were opened; what changed since is in the `content`
    Bundle (CTX-07), which stays empty for a caller that may not read the updates it comes from.
    A caller that may not read the open itself sees the most specific of the opens derived from it
    that it may read, without content, or nothing.

    Args:
        session: The state of the topic.
        may_read: Whether the caller may read this event.
        derive: Who gets derived opens.

    Spec: 2.9; CTX-02 … CTX-08, D-32, D-33.
    """
    current = session.current_context
    if current is None:
        return _encode_view("", session.version_id, b"[]")
    if may_read(current.opened.name):
        reads_updates = may_read(parse_event_name(f"{current.anchor_type}-update"))
        content = _content_item(current, is_shown=reads_updates)
        context = current.opened.raw_context[:-1] + b"," + content + b"]"  # an open is never empty
        return _encode_view(current.anchor_type, current.version_id, context)
    if derive is not Derive.OFF:
        for derived in reversed(derived_opens(current.opened)):
            if may_read(derived.name):
                shown = derived.name.anchor_type or ""
                return _encode_view(shown, current.version_id, derived.raw_context)
    return _encode_view("", current.version_id, b"[]")


def _encode_view(anchor_type: str, version_id: str, context: bytes) -> bytes:
    view = {"context.type": anchor_type, "context.versionId": version_id, "context": Raw(context)}
    return msgspec.json.encode(view)


class _SharedEntry(msgspec.Struct, gc=False):
    full_url: str = msgspec.field(name="fullUrl")
    resource: Raw


def _content_item(context: OpenContext, *, is_shown: bool) -> bytes:
    """Return the item that holds what was shared since the open (CTX-07)."""
    entries = [
        _SharedEntry(shared.full_url or key, Raw(shared.resource))
        for key, shared in (context.content if is_shown else ())
    ]
    bundle = {
        "resourceType": "Bundle",
        "id": context.version_id,
        "type": "collection",
        **({"entry": entries} if entries else {}),  # FHIR knows no empty arrays
    }
    return msgspec.json.encode({"key": "content", "resource": bundle})
