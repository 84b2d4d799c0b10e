"""Frames and answers to values: generous in what is read, exact in what is written.

JSON numbers with a fraction become `Decimal` and are written with the digits they came with, so a
measured 8.20 stays 8.20 when an application sends a resource on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.events import EventKind, EventName, context_key, parse_event_name
from fhircast_hub.protocol.messages import format_timestamp, parse_timestamp, reference_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

Resource: TypeAlias = dict[str, Any]
"""A FHIR resource or any other JSON object."""
Item: TypeAlias = dict[str, Any]
"""One element of a context array: `key` and `resource`, `reference` or another value."""


def _number(text: str) -> Decimal:
    """A number with its digits; one too near to nothing for a Decimal is nothing.

    It must not make the event unreadable: the hub forwards what it can read itself.
    """
    try:
        return Decimal(text)
    except InvalidOperation:
        number = float(text)
        if math.isinf(number):
            raise ValueError("number out of range") from None
        return Decimal(number)


_DECODER = msgspec.json.Decoder(float_hook=_number)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The hub confirms the subscription (2.4).

    Attributes:
        topic: The session's topic.
        events: The granted events as the hub spells them.
        lease_seconds: The granted lease, 0 if the hub does not say.
    """

    topic: str
    events: tuple[str, ...]
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class Denial:
    """The hub ends the subscription (2.4).

    Attributes:
        topic: The session's topic.
        reason: In the hub's words, "" if it gives none.
    """

    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class Notification:
    """An event notification (2.5).

    Attributes:
        id: To be repeated in the answer.
        happened_at: Aware UTC; None if the timestamp cannot be read.
        topic: The session's topic, "" if missing.
        event_name: As spelled by the hub.
        name: The parsed name, None for something that no event may be called.
        version_id: `context.versionId`, "" if there is none.
        prior_version_id: `context.priorVersionId`, "" if there is none.
        items: The context array.
    """

    id: str
    happened_at: datetime | None
    topic: str
    event_name: str
    name: EventName | None
    version_id: str
    prior_version_id: str
    items: tuple[Item, ...]

    @property
    def kind(self) -> EventKind:
        """What the event does."""
        return self.name.kind if self.name else EventKind.PROPRIETARY

    @property
    def anchor(self) -> str:
        """The anchor ("Type/id") that the event names, "" if it names none."""
        anchor_type = self.name.anchor_type if self.name else None
        return anchor_in(self.items, anchor_type) if anchor_type else ""


@dataclass(frozen=True, slots=True)
class CurrentContext:
    """The answer to a GET of the current context (2.9).

    Attributes:
        anchor: Of the current context, "" if there is none.
        anchor_type: `context.type`.
        version_id: The newest version.
        items: The context array without the content.
        content: The shared resources by "Type/id".
    """

    anchor: str
    anchor_type: str
    version_id: str
    items: tuple[Item, ...]
    content: Mapping[str, Resource] = field(default_factory=dict)


Message = Confirmation | Denial | Notification


def decode(data: bytes | str) -> Any:
    """Return the JSON value; fractions as `Decimal`.

    Raises:
        ValueError: Not JSON.
    """
    try:
        return _DECODER.decode(data)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None


def encode(value: object) -> bytes:
    """Return the JSON of a value; a `Decimal` with its own digits."""
    return _ENCODER.encode(value)


def read_frame(frame: bytes | str) -> Message | None:
    """Return what a frame says, None for anything that asks for nothing (GEN-02, D-38)."""
    try:
        fields = decode(frame)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    if isinstance(fields.get("event"), dict):
        return _read_notification(fields)
    mode = fields.get("hub.mode")
    if mode == "denied":
        return Denial(_text(fields.get("hub.topic")), _text(fields.get("hub.reason")))
    if mode == "subscribe":
        events = _text(fields.get("hub.events")).split(",")
        names = tuple(filter(None, (name.strip() for name in events)))
        return Confirmation(_text(fields.get("hub.topic")), names, _seconds(fields))
    return None


def read_current_context(body: bytes | str) -> CurrentContext:
    """Return the answer to a GET of the current context.

    Raises:
        ValueError: Not a JSON object of this shape.
    """
    fields = decode(body)
    if not isinstance(fields, dict) or not isinstance(fields.get("context.type"), str):
        raise ValueError("no context.type")
    anchor_type = fields["context.type"]
    items = _items(fields.get("context"))
    return CurrentContext(
        anchor=anchor_in(items, anchor_type) if anchor_type else "",
        anchor_type=anchor_type,
        version_id=_version(fields, "versionId"),
        items=tuple(item for item in items if item.get("key") != "content"),
        content=_content(items),
    )


def write_notification(
    *,
    id: str,
    happened_at: datetime,
    topic: str,
    event_name: str,
    items: Sequence[Item],
    version_id: str = "",
) -> bytes:
    """Return the body of a context change request (2.6; EVT-02, EVT-09)."""
    event: dict[str, Any] = {"hub.topic": topic, "hub.event": event_name}
    if version_id:
        event["context.versionId"] = version_id
    event["context"] = list(items)
    return encode({"timestamp": format_timestamp(happened_at), "id": id, "event": event})


def write_answer(event_id: str, status: int) -> str:
    """Return the frame that answers a notification; the status as a string (ACK-01, D-04)."""
    return encode({"id": event_id, "status": str(status)}).decode()


def target_of(item: Mapping[str, Any]) -> str:
    """Return the "Type/id" that an item of a context array holds or points to, "" if neither."""
    resource = item.get("resource")
    if isinstance(resource, dict):
        return resource_key(resource)
    reference = item.get("reference")
    return reference_of(reference) if isinstance(reference, dict) else ""


def resource_key(resource: Mapping[str, Any]) -> str:
    """Return "Type/id" of a resource, "" if it has no type or no id."""
    kind, id_ = resource.get("resourceType"), resource.get("id")
    return (
        f"{kind}/{id_}" if isinstance(kind, str) and isinstance(id_, str) and kind and id_ else ""
    )


def reference_of(reference: object) -> str:
    """Return the "Type/id" of a FHIR Reference element, "" for any other form."""
    literal = reference.get("reference") if isinstance(reference, dict) else None
    return reference_key(literal) if isinstance(literal, str) else ""


def anchor_in(items: Sequence[Item], anchor_type: str) -> str:
    """Return the anchor of this type in a context array, "" if there is none.

    A DiagnosticReport context without a report is anchored on its study (D-49).
    """
    keys = [context_key(anchor_type), anchor_type.lower()]
    if anchor_type == "DiagnosticReport":
        keys.append(context_key("ImagingStudy"))
    for key in keys:
        for item in items:
            if item.get("key") == key and target_of(item):
                return target_of(item)
    return ""


def selected_in(items: Sequence[Item]) -> tuple[str, ...]:
    """Return the selected "Type/id"s, whichever of the forms in D-09 the sender used."""
    selected: list[str] = []
    for item in items:
        if item.get("key") != "select":
            continue
        for name in ("reference", "resource", "resources"):
            value = item.get(name)
            for one in value if isinstance(value, list) else [value]:
                key = reference_of(one) or (resource_key(one) if isinstance(one, dict) else "")
                if key and key not in selected:
                    selected.append(key)
    return tuple(selected)


def _read_notification(fields: Mapping[str, Any]) -> Notification:
    event: Mapping[str, Any] = fields["event"]
    event_name = _text(event.get("hub.event"))
    try:
        name = parse_event_name(event_name)
    except InvalidRequest:
        name = None
    try:
        happened_at = parse_timestamp(_text(fields.get("timestamp")))
    except InvalidRequest:
        happened_at = None
    return Notification(
        id=_text(fields.get("id")),
        happened_at=happened_at,
        topic=_text(event.get("hub.topic")),
        event_name=event_name,
        name=name,
        version_id=_version(event, "versionId"),
        prior_version_id=_version(event, "priorVersionId"),
        items=_items(event.get("context")),
    )


def _items(value: object) -> tuple[Item, ...]:
    return tuple(it for it in value if isinstance(it, dict)) if isinstance(value, list) else ()


def _content(items: Sequence[Item]) -> dict[str, Resource]:
    content: dict[str, Resource] = {}
    for item in items:
        bundle = item.get("resource")
        if item.get("key") != "content" or not isinstance(bundle, dict):
            continue
        for entry in _items(bundle.get("entry")):
            resource = entry.get("resource")
            if isinstance(resource, dict) and resource_key(resource):
                content[resource_key(resource)] = resource
    return content


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _version(fields: Mapping[str, Any], name: str) -> str:
    """D-01: both spellings are read."""
    return _text(fields.get(f"context.{name}")) or _text(fields.get(name))


def _seconds(fields: Mapping[str, Any]) -> float:
    value = fields.get("hub.lease_seconds")
    try:
        seconds = float(value) if isinstance(value, int | str | Decimal) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0
