"""What a session shows: the opens for a new subscriber, and the answer to a GET."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from fhircast_hub.protocol.events import EventName
    from fhircast_hub.protocol.messages import EventNotification
    from fhircast_hub.protocol.session import OpenContext, Session


def replay(session: Session, subscribed: Callable[[EventName], bool]) -> list[EventNotification]:
    """Return what a new subscriber gets after its confirmation.

    The most recent open of each anchor type that is not closed, as it was first distributed, oldest
    first and the current context last.

    Args:
        session: The state of the topic.
        subscribed: Whether the subscriber gets this event.

    Spec: 2.4; REP-01 … REP-05, D-13, D-21.
    """
    newest: dict[str, OpenContext] = {}
    for context in session.contexts.values():
        best = newest.get(context.anchor_type)
        if best is None or _replay_order(session, best) <= _replay_order(session, context):
            newest[context.anchor_type] = context
    ordered = sorted(newest.values(), key=lambda it: _replay_order(session, it))
    opens = [context.opened for context in ordered]
    if session.home is not None:
        opens.append(session.home)
    return [opened for opened in opens if subscribed(opened.name)]


def _replay_order(session: Session, context: OpenContext) -> tuple[bool, datetime]:
    return (context is session.current_context, context.opened.happened_at)


def encode_current_context(session: Session, may_read: Callable[[EventName], bool]) -> bytes:
    """Return the answer to a GET of the current context.

    The resources of the open stand as they were opened; what changed since is in the `content`
    Bundle (CTX-07). Nothing is shown to a caller that may not read the open.

    Args:
        session: The state of the topic.
        may_read: Whether the caller may read this event.

    Spec: 2.9; CTX-02 … CTX-08, D-32, D-33.
    """
    current = session.current_context
    if current is None or not may_read(current.opened.name):
        version_id = current.version_id if current else session.version_id
        return msgspec.json.encode(
            {"context.type": "", "context.versionId": version_id, "context": []}
        )
    context = [Raw(entry.raw) for entry in current.opened.context]
    return msgspec.json.encode(
        {
            "context.type": current.anchor_type,
            "context.versionId": current.version_id,
            "context": [*context, {"key": "content", "resource": _content_bundle(current)}],
        }
    )


def _content_bundle(context: OpenContext) -> dict[str, object]:
    entries = [
        {"fullUrl": shared.full_url or key, "resource": Raw(shared.resource)}
        for key, shared in context.content
    ]
    return {
        "resourceType": "Bundle",
        "id": context.version_id,
        "type": "collection",
        **({"entry": entries} if entries else {}),  # FHIR knows no empty arrays
    }
