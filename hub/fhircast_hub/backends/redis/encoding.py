"""What is kept and published, as bytes. `FORMAT` counts up with every change that others must know.

Everything is MessagePack in the order of the fields below, and whatever came as JSON stays the JSON
that came.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec looks at it
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Raw

from fhircast_hub.backends.base import (
    Envelope,
    Published,
    SubscriptionEnded,
    SubscriptionMoved,
    SubscriptionReplaced,
)
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.errors import FhircastError, Unavailable
from fhircast_hub.protocol.events import parse_event_name
from fhircast_hub.protocol.messages import EventNotification, parse_timestamp
from fhircast_hub.protocol.notification import parse_context
from fhircast_hub.protocol.subscription import Subscription, shared_events

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
"""Of all that is kept and published. Processes of one site must agree about it."""

T = TypeVar("T")


class UnknownFormat(Unavailable):
    """What is kept was written by another version of the hub, or by somebody else."""

    def __init__(self) -> None:
        super().__init__(
            "the session is kept in a format that this version of the hub does not know",
            rule="FHIRCAST_BACKEND",
        )


class _Event(msgspec.Struct, frozen=True, array_like=True):
    """An event notification: text stays text, raw JSON is bytes."""

    id: str
    timestamp: str
    topic: str
    name: str
    version_id: str
    prior_version_id: str
    digest: bytes
    outer: dict[str, Any]
    event: dict[str, Any]


class _Record(msgspec.Struct, frozen=True, array_like=True):
    format: int
    topic: str
    endpoint_id: str
    events: dict[str, str]
    lease_seconds: int
    subscriber_name: str
    subject: str
    expires_at: datetime
    token_expires_at: datetime | None
    token_id: str


class _Published(msgspec.Struct, frozen=True, array_like=True, tag="event"):
    revision: int
    event: Raw
    sets_context: bool
    is_resend: bool
    only_for: str


class _Replaced(msgspec.Struct, frozen=True, array_like=True, tag="replaced"):
    record: _Record
    newly_granted: list[str]


class _Moved(msgspec.Struct, frozen=True, array_like=True, tag="moved"):
    endpoint_id: str
    node: str


class _Ended(msgspec.Struct, frozen=True, array_like=True, tag="ended"):
    endpoint_id: str
    reason: str


class _Message(msgspec.Struct, frozen=True, array_like=True):
    format: int
    content: _Published | _Replaced | _Moved | _Ended


pack = msgspec.msgpack.Encoder().encode


def unpack(raw: bytes, shape: type[T]) -> T:
    """Return a value of this shape.

    Raises:
        UnknownFormat: It is none.
    """
    try:
        value: T = _decoder(shape).decode(raw)  # type: ignore[arg-type]  # a type has a hash
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise UnknownFormat from None
    return value


@lru_cache
def _decoder(shape: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(shape)


def encode_event(it: EventNotification) -> bytes:
    """Return an event notification as bytes."""
    return pack(_event_out(it))


def decode_event(raw: bytes) -> EventNotification:
    """Return an event notification.

    Raises:
        UnknownFormat: It is none.
    """
    return _event_in(unpack(raw, _Event))


def encode_record(it: Subscription) -> bytes:
    """Return a subscription as bytes; equal ones are equal bytes."""
    return pack(_record_out(it))


def decode_record(raw: bytes) -> Subscription:
    """Return a subscription.

    Raises:
        UnknownFormat: It is none.
    """
    return _record_in(unpack(raw, _Record))


def encode_envelope(envelope: Envelope, *, event: bytes = b"", node: str = "") -> bytes:
    """Return what is published.

    Args:
        envelope: What happened.
        event: Its event notification, encoded already.
        node: Who publishes it, where that matters.
    """
    content: _Published | _Replaced | _Moved | _Ended
    match envelope:
        case Published():
            content = _Published(
                envelope.revision,
                Raw(event or encode_event(envelope.notification)),
                envelope.sets_context,
                envelope.is_resend,
                envelope.only_for,
            )
        case SubscriptionReplaced():
            record = _record_out(envelope.subscription)
            content = _Replaced(record, sorted(envelope.newly_granted))
        case SubscriptionMoved():
            content = _Moved(envelope.endpoint_id, node)
        case SubscriptionEnded():
            content = _Ended(envelope.endpoint_id, envelope.reason.name)
        case _:
            raise TypeError(f"{type(envelope).__name__} is not published")
    return pack(_Message(FORMAT, content))


def decode_envelope(topic: str, raw: bytes) -> tuple[Envelope, str]:
    """Return what was published for a topic, and by whom, where that matters.

    Raises:
        UnknownFormat: It is not known.
    """
    message = unpack(raw, _Message)
    if message.format != FORMAT:
        raise UnknownFormat
    match message.content:
        case _Published() as it:
            event = decode_event(it.event)
            return Published(
                topic, it.revision, event, it.sets_context, it.is_resend, it.only_for
            ), ""
        case _Replaced() as it:
            return SubscriptionReplaced(_record_in(it.record), frozenset(it.newly_granted)), ""
        case _Moved() as it:
            return SubscriptionMoved(topic, it.endpoint_id), it.node
        case _Ended() as it:
            return SubscriptionEnded(topic, it.endpoint_id, _reason(it.reason)), ""


def _reason(name: str) -> CloseReason:
    # One that a newer version has ends the subscription all the same.
    return CloseReason.__members__.get(name, CloseReason.NOT_KNOWN)


def _event_out(it: EventNotification) -> _Event:
    outer = _fields_out(it.outer)
    if "event" in outer:
        outer["event"] = ""  # its place is kept, its value is `event`
    return _Event(
        it.id,
        it.timestamp,
        it.topic,
        it.name.spelling,
        it.version_id,
        it.prior_version_id,
        it.digest,
        outer,
        _fields_out(it.event),
    )


def _event_in(it: _Event) -> EventNotification:
    event = _fields_in(it.event)
    try:
        return EventNotification(
            id=it.id,
            timestamp=it.timestamp,
            happened_at=parse_timestamp(it.timestamp),
            topic=it.topic,
            name=parse_event_name(it.name),
            version_id=it.version_id,
            prior_version_id=it.prior_version_id,
            context=parse_context(Raw(it.event["context"])),
            digest=it.digest,
            outer=_fields_in(it.outer),
            event=event,
        )
    except (FhircastError, KeyError, TypeError):
        raise UnknownFormat from None


def _fields_out(fields: Mapping[str, Raw | str]) -> dict[str, str | bytes]:
    return {key: it if isinstance(it, str) else bytes(it) for key, it in fields.items()}


def _fields_in(fields: dict[str, Any]) -> dict[str, Raw | str]:
    return {key: it if isinstance(it, str) else Raw(it) for key, it in fields.items()}


def _record_out(it: Subscription) -> _Record:
    return _Record(
        FORMAT,
        it.topic,
        it.endpoint_id,
        dict(it.events),
        it.lease_seconds,
        it.subscriber_name,
        it.subject,
        it.expires_at,
        it.token_expires_at,
        it.token_id,
    )


def _record_in(it: _Record) -> Subscription:
    if it.format != FORMAT:
        raise UnknownFormat
    return Subscription(
        topic=it.topic,
        endpoint_id=it.endpoint_id,
        events=shared_events(it.events),
        lease_seconds=it.lease_seconds,
        subscriber_name=it.subscriber_name,
        subject=it.subject,
        expires_at=it.expires_at,
        token_expires_at=it.token_expires_at,
        token_id=it.token_id,
    )
