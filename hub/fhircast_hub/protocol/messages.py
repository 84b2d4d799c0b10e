"""Wire forms: bytes to values and back. The wire's spelling of names lives in this file only.

A request's JSON is forwarded as it came: its context array is kept as raw bytes, so that numbers
keep their digits, unknown fields stay and the order is untouched. The hub writes two fields, the
version of the context and the one before it, and spells the event's name as the subscriber did.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Raw

from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.events import EventKind, EventName, parse_event_name
from fhircast_hub.protocol.json_text import AmbiguousJson, canonical_json, read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_ID_LENGTH = 256
"""Characters in an event id, a topic or a subscriber's name."""

_VERSION_KEYS = (
    "context.versionId",
    "context.priorVersionId",
    "versionId",
    "priorVersionId",
)
"""D-01: the first two are written, all are read."""

_HAS_TIME = re.compile(r"[Tt ][0-9]{2}:?[0-9]{2}")
"""Hours and minutes: Python reads a date alone too, and nearly any separator."""

T = TypeVar("T")


class ResourceHead(msgspec.Struct, frozen=True):
    """What the hub looks at in a resource; everything else passes through."""

    resource_type: str = msgspec.field(name="resourceType")
    id: str = ""


class _Entry(msgspec.Struct, frozen=True):
    key: str
    resource: Raw = Raw()
    reference: Raw = Raw()
    extension: Raw = Raw()


class _Reference(msgspec.Struct, frozen=True):
    reference: str


class _Response(msgspec.Struct, frozen=True):
    id: str
    status: object = None


@dataclass(frozen=True, slots=True)
class ContextEntry:
    """One element of a context array.

    Attributes:
        key: Its name, case-sensitive (EVT-14).
        raw: Its JSON as it came.
        resource: The resource's JSON, b"" if there is none.
        head: Type and id of the resource, None if there is none.
        reference: The literal reference, "" if there is none.
        references: The elements of a `reference` that is an array, as raw JSON: the form of a
            selection in older IRA messages (D-09).
    """

    key: str
    raw: bytes
    resource: bytes = b""
    head: ResourceHead | None = None
    reference: str = ""
    references: tuple[bytes, ...] = ()

    @property
    def target(self) -> str:
        """The "Type/id" that the entry holds or points to, "" if it does neither."""
        if self.head is not None:
            return f"{self.head.resource_type}/{self.head.id}" if self.head.id else ""
        return reference_key(self.reference)


@dataclass(frozen=True, slots=True)
class EventNotification:
    """An event notification; a context change request has the same shape (2.5, 2.6).

    Attributes:
        id: The event's id, unchanged from request to broadcast (EVT-05).
        timestamp: As it came.
        happened_at: The timestamp as aware UTC time; no zone reads as UTC (D-27).
        topic: The session's topic.
        name: The event.
        version_id: `context.versionId`, "" if there is none.
        prior_version_id: `context.priorVersionId`, "" if there is none.
        context: The context array.
        digest: Digest of the JSON value, for D-28; b"" for notifications made by the hub.
        outer: The message's own fields as raw JSON.
        event: The event's fields as raw JSON.
    """

    id: str
    timestamp: str
    happened_at: datetime
    topic: str
    name: EventName
    version_id: str
    prior_version_id: str
    context: tuple[ContextEntry, ...]
    digest: bytes = b""
    outer: Mapping[str, Raw] = field(default_factory=dict, repr=False)
    event: Mapping[str, Raw] = field(default_factory=dict, repr=False)

    def entries(self, key: str) -> tuple[ContextEntry, ...]:
        """Return the elements of the context array with this key."""
        return tuple(entry for entry in self.context if entry.key == key)

    def with_versions(self, version_id: str, prior_version_id: str = "") -> EventNotification:
        """Return the notification with the versions that the hub assigned ("" leaves one out)."""
        return replace(self, version_id=version_id, prior_version_id=prior_version_id)

    def with_context(self, raw_entries: Iterable[bytes]) -> EventNotification:
        """Return the notification with another context array (IRA-HUB-12)."""
        raw = Raw(b"[" + b",".join(raw_entries) + b"]")
        return replace(self, context=_parse_context(raw), event={**self.event, "context": raw})

    @property
    def raw_context(self) -> bytes:
        """The context array as JSON."""
        return bytes(self.event["context"])


@dataclass(frozen=True, slots=True)
class NotificationResponse:
    """A subscriber's answer to a notification.

    Attributes:
        id: Id of the notification.
        status: HTTP-like status, None for a plain receipt (D-04, D-41).
    """

    id: str
    status: int | None


def parse_notification(body: bytes) -> EventNotification:
    """Return the event notification in a JSON body.

    Raises:
        InvalidRequest: Not JSON, a field is missing or of the wrong type (EVT-02, EVT-09, GEN-05).

    Spec: 2.3, 2.5, 2.6.
    """
    digest = _digest(body)
    outer = _decode(body, dict[str, Raw], "body", "EVT-02")
    event_json = _required(outer, "event", Raw, "EVT-02")
    event = _decode(event_json, dict[str, Raw], "event", "EVT-02")
    timestamp = _required(outer, "timestamp", str, "EVT-02")
    for fields in (outer, event):
        _check_extension(fields.get("extension", Raw()))
    name = parse_event_name(_required(event, "hub.event", str, "EVT-02"))
    versions = {} if name.kind is EventKind.PROPRIETARY else _versions(event)
    return EventNotification(
        id=_bounded(_required(outer, "id", str, "EVT-02"), "id"),
        timestamp=timestamp,
        happened_at=parse_timestamp(timestamp),
        topic=_bounded(_required(event, "hub.topic", str, "EVT-02"), "hub.topic"),
        name=name,
        version_id=versions.get("context.versionId") or versions.get("versionId", ""),
        prior_version_id=versions.get("context.priorVersionId")
        or versions.get("priorVersionId", ""),
        context=_parse_context(_required(event, "context", Raw, "EVT-02")),
        digest=digest,
        outer=outer,
        event=event,
    )


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
        elif is_opaque or key not in _VERSION_KEYS:
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


def parse_response(frame: str | bytes) -> NotificationResponse | None:
    """Return the notification response in a frame, None if the frame is something else (D-38).

    Read tolerantly: the status may be a number or a numeric string; anything else counts as a plain
    receipt. What can be read two ways is none.

    Spec: 2.5; ACK-05, D-04.
    """
    try:
        response = msgspec.convert(read_json(frame), _Response)
    except ValueError:
        return None
    if isinstance(response.status, bool) or not isinstance(response.status, int | float | str):
        return NotificationResponse(response.id, None)
    try:
        return NotificationResponse(response.id, int(response.status))
    except ValueError:
        return NotificationResponse(response.id, None)


def parse_timestamp(text: str) -> datetime:
    """Return an ISO 8601 timestamp as aware UTC time; no zone reads as UTC.

    Raises:
        InvalidRequest: Not a date and time; a date alone is no moment.

    Spec: 2.5; EVT-09, D-27.
    """
    try:
        if not _HAS_TIME.search(text):
            raise ValueError
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest("timestamp", "not an ISO 8601 date and time", rule="EVT-09") from None


def format_timestamp(moment: datetime) -> str:
    """Return an aware time as the hub writes it: UTC, milliseconds, ending in Z (D-50)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reference_key(reference: str) -> str:
    """Return the "Type/id" at the end of a literal reference or URL, "" if there is none."""
    parts = reference.split("/_history/", 1)[0].rsplit("/", 2)
    if len(parts) < 2 or not parts[-1] or not parts[-2][:1].isupper():
        return ""
    return f"{parts[-2]}/{parts[-1]}"


def literal_reference(raw: bytes) -> str:
    """Return the literal reference in a reference element, "" for any other form of one."""
    try:
        return msgspec.json.decode(raw, type=_Reference).reference if raw else ""
    except msgspec.ValidationError:
        return ""


def decode_part(raw: bytes, shape: type[T], field: str, rule: str) -> T:
    """Return a part of a message as a typed value.

    Raises:
        InvalidRequest: The part does not have this shape; the message names where, never what.
    """
    return _decode(raw, shape, field, rule)


def _decode(raw: bytes, shape: type[T], field: str, rule: str) -> T:
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise InvalidRequest(field, _without_values(str(error)), rule=rule) from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(
            field, f"broken JSON ({_without_values(str(error))})", rule=rule
        ) from None
    except (ValueError, RecursionError):
        raise InvalidRequest(field, "broken JSON", rule=rule) from None


def _without_values(problem: str) -> str:
    """Cut what could quote the sender: unknown names and values come in backquotes or quotes."""
    return problem.split("'", 1)[0].rstrip()


def _required(fields: Mapping[str, Raw], key: str, shape: type[T], rule: str) -> T:
    if key not in fields:
        raise InvalidRequest(key, "missing", rule=rule)
    if shape is Raw:
        return fields[key]  # type: ignore[return-value]  # mypy cannot narrow T to Raw
    value = _decode(fields[key], shape, key, rule)
    if value == "":
        raise InvalidRequest(key, "empty", rule=rule)
    return value


def _versions(event: Mapping[str, Raw]) -> dict[str, str]:
    read = (key for key in _VERSION_KEYS if key in event)
    return {key: _decode(event[key], str | None, key, "CONT-02") or "" for key in read}  # type: ignore[arg-type]  # a union


def _bounded(text: str, field: str) -> str:
    if len(text) > MAX_ID_LENGTH:
        raise InvalidRequest(field, f"longer than {MAX_ID_LENGTH} characters", rule="2.5")
    return text


def _check_extension(raw: bytes) -> None:
    """GEN-04: the standard reserves the name for a JSON object; what is in it is not looked at."""
    if raw:
        _decode(raw, dict[str, Raw], "extension", "GEN-04")


def _parse_context(raw: bytes) -> tuple[ContextEntry, ...]:
    return tuple(map(_parse_entry, _decode(raw, list[Raw], "context", "EVT-02")))


def _parse_entry(raw: Raw) -> ContextEntry:
    entry = _decode(raw, _Entry, "context", "EVT-02")
    _check_extension(entry.extension)
    head = None
    if entry.resource and not (entry.key == "select" and bytes(entry.resource) == b"[]"):
        field = f"context.{_shown_key(entry.key)}.resource"
        head = _decode(entry.resource, ResourceHead, field, "GEN-05")
        if not head.resource_type:
            raise InvalidRequest(field, "has no resourceType", rule="GEN-05")
    return ContextEntry(
        key=entry.key,
        raw=bytes(raw),
        resource=bytes(entry.resource) if head else b"",
        head=head,
        reference=literal_reference(entry.reference),
        references=_parse_references(entry.reference),
    )


def _shown_key(key: str) -> str:
    """Return a key for an error text: a name the standard could use, or "?"."""
    return key if key.isidentifier() and len(key) <= 64 else "?"


def _parse_references(raw: bytes) -> tuple[bytes, ...]:
    try:
        return tuple(map(bytes, msgspec.json.decode(raw, type=list[Raw]))) if raw else ()
    except msgspec.ValidationError:
        return ()


def _digest(body: bytes) -> bytes:
    """Return a digest of the JSON value, whatever its spacing and the order of its fields (D-28).

    Reads the whole body, so it is also what proves that every byte of it is JSON in UTF-8, and that
    all its readers read the same.
    """
    value = _decode(body, object, "body", "GEN-01")
    try:
        canonical = canonical_json(body, value)
    except AmbiguousJson as problem:
        raise InvalidRequest("body", str(problem), rule="GEN-01") from None
    return hashlib.blake2b(canonical, digest_size=16).digest()
