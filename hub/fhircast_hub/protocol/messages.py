"""Wire forms: event notifications, their responses, confirmations and denials.

What a requester sends is forwarded as it came: its context array is kept as raw bytes, so that
numbers keep their digits, unknown fields stay and the order is untouched. The hub writes two
fields, the version of the context and the one before it, and spells the event's name as the
subscriber did.

How they are read is told in `parsing` and `responses`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from fhircast_hub.protocol.decoding import decode_part
from fhircast_hub.protocol.events import EventKind
from fhircast_hub.protocol.notification import (
    ContextEntry,
    EventNotification,
    ResourceHead,
    literal_reference,
    reference_key,
)
from fhircast_hub.protocol.parsing import MAX_ID_LENGTH, VERSION_KEYS, parse_notification
from fhircast_hub.protocol.responses import NotificationResponse, parse_response
from fhircast_hub.protocol.timestamps import format_timestamp, parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

__all__ = [
    "MAX_ID_LENGTH",
    "ContextEntry",
    "EventNotification",
    "NotificationResponse",
    "ResourceHead",
    "decode_part",
    "encode_confirmation",
    "encode_denial",
    "encode_notification",
    "format_timestamp",
    "literal_reference",
    "make_notification",
    "parse_notification",
    "parse_response",
    "parse_timestamp",
    "reference_key",
]


def make_notification(
    *, id: str, happened_at: datetime, topic: str, event: str, context: list[Any]
) -> EventNotification:
    """Return a notification from plain values, written as our own frames are (D-50).

    Args:
        id: A UUID.
        happened_at: Aware time of the event.
        topic: The session's topic.
        event: The event's name.
        context: The context array as JSON values (`msgspec.Raw` allowed).
    """
    body = {
        "timestamp": format_timestamp(happened_at),
        "id": id,
        "event": {"hub.topic": topic, "hub.event": event, "context": context},
    }
    return parse_notification(msgspec.json.encode(body))


def encode_notification(notification: EventNotification, spelling: str = "") -> bytes:
    """Return the frame of a notification.

    Args:
        notification: What to send.
        spelling: How the subscriber spells the event's name (D-30); "" for the catalogue's way.
    """
    event: dict[str, Any] = {}
    is_opaque = notification.name.kind is EventKind.PROPRIETARY  # EVT-13: its fields are its own
    for key, value in notification.event.items():
        if key == "hub.event":
            event[key] = spelling or notification.name.spelling
            if notification.version_id:
                event["context.versionId"] = notification.version_id
            if notification.prior_version_id:
                event["context.priorVersionId"] = notification.prior_version_id
        elif is_opaque or key not in VERSION_KEYS:
            event[key] = value
    return msgspec.json.encode({**notification.outer, "event": event})


def encode_confirmation(topic: str, events: Iterable[str], lease_seconds: int) -> bytes:
    """Return the confirmation frame: these four fields and nothing else (CONF-01)."""
    return msgspec.json.encode(
        {
            "hub.mode": "subscribe",
            "hub.topic": topic,
            "hub.events": ",".join(events),
            "hub.lease_seconds": lease_seconds,
        }
    )


def encode_denial(topic: str, events: Iterable[str], reason: str) -> bytes:
    """Return the denial frame that announces the end of a subscription (CONF-05)."""
    return msgspec.json.encode(
        {
            "hub.mode": "denied",
            "hub.topic": topic,
            "hub.events": ",".join(events),
            "hub.reason": reason,
        }
    )
