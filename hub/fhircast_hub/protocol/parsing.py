"""Reading an event notification: the usual shape at once, any other step by step.

The whole body is decoded once, which proves that it is JSON and makes its digest. Most of what is
to know stands in that value; only the items of the context are cut out of the text, as they came.
What looks in any way unusual is left to the step-by-step reading, which knows all the rules and
says what is wrong: so each fault has one text, and the short way refuses nothing of its own accord.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Raw

from fhircast_hub.protocol.decoding import decode_part
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.events import EventKind, parse_event_name
from fhircast_hub.protocol.json_text import AmbiguousJson, canonical_json
from fhircast_hub.protocol.notification import (
    ContextEntry,
    EventNotification,
    ResourceHead,
    check_extension,
    parse_context,
    parse_entry,
    reference_key,
)
from fhircast_hub.protocol.timestamps import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ID_LENGTH = 256
"""Characters in an event id, a topic or a subscriber's name."""

VERSION_KEYS = (
    "context.versionId",
    "context.priorVersionId",
    "versionId",
    "priorVersionId",
)
"""D-01: the first two are written, all are read."""

T = TypeVar("T")

_value_in = msgspec.json.Decoder().decode


def parse_notification(body: bytes) -> EventNotification:
    """Return the event notification in a JSON body.

    Raises:
        InvalidRequest: Not JSON, a field is missing or of the wrong type (EVT-02, EVT-09, GEN-05).

    Spec: 2.3, 2.5, 2.6.
    """
    value, digest = _read(body)
    return _parse_usual(body, value, digest) or parse_stepwise(body, digest)


def _read(body: bytes) -> tuple[Any, bytes]:
    """Return the JSON value, and its digest, whatever its spacing and the order of its fields.

    Reads the whole body, so it is also what proves that every byte of it is JSON in UTF-8, and that
    all its readers read the same (D-28).
    """
    try:
        value = _value_in(body)
    except (ValueError, RecursionError):
        value = decode_part(body, object, "body", "GEN-01")  # says what is wrong with it
    try:
        canonical = canonical_json(body, value)
    except AmbiguousJson as problem:
        raise InvalidRequest("body", str(problem), rule="GEN-01") from None
    return value, hashlib.sha256(canonical).digest()[:16]


# The usual shape

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)]


class _Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    topic: _Id = msgspec.field(name="hub.topic")
    name: _Text = msgspec.field(name="hub.event")
    items: list[Raw] = msgspec.field(name="context")
    version_id: str = msgspec.field(name=VERSION_KEYS[0], default="")
    prior_version_id: str = msgspec.field(name=VERSION_KEYS[1], default="")


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    timestamp: _Text
    id: _Id
    event: _Event


class _ContextOfEvent(msgspec.Struct, frozen=True):
    context: Raw


class _ContextOfMessage(msgspec.Struct, frozen=True):
    event: _ContextOfEvent


_usual_in = msgspec.json.Decoder(_Message).decode
_context_in = msgspec.json.Decoder(_ContextOfMessage).decode


def _parse_usual(body: bytes, outer: Any, digest: bytes) -> EventNotification | None:
    """Return the notification in a body with the fields of the standard and no others.

    Args:
        body: The JSON.
        outer: Its value, which becomes a part of the notification.
        digest: Of the value.

    Returns:
        None if there is anything unusual about it.
    """
    try:
        message = _usual_in(body)
    except msgspec.ValidationError:
        return None
    it = message.event
    name = parse_event_name(it.name)
    if name.kind is EventKind.PROPRIETARY and (it.version_id or it.prior_version_id):
        return None
    happened_at = parse_timestamp(message.timestamp)
    event = outer["event"]
    context = tuple(map(_parse_item, event["context"], it.items))
    event["context"] = _context_of(body, it.items)
    outer["event"] = ""  # its place is kept, its value is `event`
    return EventNotification(
        message.id,
        message.timestamp,
        happened_at,
        it.topic,
        name,
        it.version_id,
        it.prior_version_id,
        context,
        digest,
        outer,
        event,
    )


def _parse_item(value: Any, raw: Raw) -> ContextEntry:
    """Return an element of a context array that has a key and either a resource or a reference.

    Args:
        value: The element.
        raw: Its JSON; any other element is read from this.
    """
    try:
        key, resource = value["key"], value.get("resource")
        if resource is None:
            reference = value["reference"]["reference"]
            if len(value) == 2 and type(key) is type(reference) is str:
                target = reference_key(reference)
                return ContextEntry(key, bytes(raw), None, reference, (), target)
        else:
            kind, id = resource["resourceType"], resource.get("id", "")
            if len(value) == 2 and kind and type(key) is type(kind) is type(id) is str:
                target = f"{kind}/{id}" if id else ""
                return ContextEntry(key, bytes(raw), ResourceHead(kind, id), "", (), target, True)
    except (KeyError, TypeError, AttributeError):
        pass
    return parse_entry(raw)


def _context_of(body: bytes, items: list[Raw]) -> Raw:
    """Return the context array as it stands in a usual body.

    Mostly it comes last and has no spaces between its items; then it need not be looked for. No
    other array can end there, and a space would part the two at the first item behind it.
    """
    joined = b"[" + b",".join(items) + b"]"
    if body.endswith(b"}}") and body.endswith(joined, 0, -2):
        return Raw(joined)
    return _context_in(body).event.context


# Any shape


def parse_stepwise(body: bytes, digest: bytes) -> EventNotification:
    """Return the notification in a body of any shape.

    Args:
        body: JSON that can be read in one way only.
        digest: Of its value.

    Raises:
        InvalidRequest: A field is missing or of the wrong type (EVT-02, EVT-09, GEN-05).
    """
    outer = decode_part(body, dict[str, Raw], "body", "EVT-02")
    event_json = _required(outer, "event", Raw, "EVT-02")
    event = decode_part(event_json, dict[str, Raw], "event", "EVT-02")
    timestamp = _required(outer, "timestamp", str, "EVT-02")
    for fields in (outer, event):
        check_extension(fields.get("extension", Raw()))
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
        context=parse_context(_required(event, "context", Raw, "EVT-02")),
        digest=digest,
        outer=outer,
        event=event,
    )


def _required(fields: Mapping[str, Raw], key: str, shape: type[T], rule: str) -> T:
    if key not in fields:
        raise InvalidRequest(key, "missing", rule=rule)
    if shape is Raw:
        return fields[key]  # type: ignore[return-value]  # mypy cannot narrow T to Raw
    value = decode_part(fields[key], shape, key, rule)
    if value == "":
        raise InvalidRequest(key, "empty", rule=rule)
    return value


def _versions(event: Mapping[str, Raw]) -> dict[str, str]:
    read = (key for key in VERSION_KEYS if key in event)
    return {key: decode_part(event[key], str | None, key, "CONT-02") or "" for key in read}  # type: ignore[arg-type]  # a union


def _bounded(text: str, field: str) -> str:
    if len(text) > MAX_ID_LENGTH:
        raise InvalidRequest(field, f"longer than {MAX_ID_LENGTH} characters", rule="2.5")
    return text
