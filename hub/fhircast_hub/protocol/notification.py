"""Event notifications as values: what the hub looks at, and the rest as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from fhircast_hub.protocol.decoding import decode_part
from fhircast_hub.protocol.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from fhircast_hub.protocol.events import EventName


class ResourceHead(msgspec.Struct, frozen=True, gc=False):
    """What the hub looks at in a resource; everything else passes through."""

    resource_type: str = msgspec.field(name="resourceType")
    id: str = ""


class _Reference(msgspec.Struct, frozen=True):
    reference: str


class _Item(msgspec.Struct, frozen=True):
    key: str
    resource: Raw = Raw()
    reference: Raw = Raw()
    extension: Raw = Raw()


class _Holder(msgspec.Struct, frozen=True):
    resource: Raw


_resource_in = msgspec.json.Decoder(_Holder).decode


class ContextEntry(msgspec.Struct, frozen=True, gc=False):
    """One element of a context array.

    Attributes:
        key: Its name, case-sensitive (EVT-14).
        raw: Its JSON as it came.
        head: Type and id of the resource, None if there is none.
        reference: The literal reference, "" if there is none.
        references: The elements of a `reference` that is an array, as raw JSON: the form of a
            selection in older IRA messages (D-09).
        target: The "Type/id" that the entry holds or points to, "" if it does neither.
        is_plain: Whether it has a key, a resource and nothing else.
    """

    key: str
    raw: bytes
    head: ResourceHead | None = None
    reference: str = ""
    references: tuple[bytes, ...] = ()
    target: str = ""
    is_plain: bool = False

    @property
    def resource(self) -> bytes:
        """The resource's JSON, b"" if there is none; cut out anew each time."""
        if self.head is None:
            return b""
        before = f'{{"key":"{self.key}","resource":'.encode()
        if self.is_plain and self.raw.startswith(before):
            return self.raw[len(before) : -1]  # without reading it
        return bytes(_resource_in(self.raw).resource)

    def __repr__(self) -> str:
        return f"<ContextEntry {self.key}>"  # what it holds is for no log


class EventNotification(msgspec.Struct, frozen=True, gc=False):
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
        outer: The message's own fields: text, or raw JSON.
        event: The event's fields: text, or raw JSON, which its context always is.
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
    outer: Mapping[str, Raw | str] = {}
    event: Mapping[str, Raw | str] = {}

    def entries(self, key: str) -> tuple[ContextEntry, ...]:
        """Return the elements of the context array with this key."""
        return tuple([entry for entry in self.context if entry.key == key])

    def with_versions(self, version_id: str, prior_version_id: str = "") -> EventNotification:
        """Return the notification with the versions that the hub assigned ("" leaves one out)."""
        return replace(self, version_id=version_id, prior_version_id=prior_version_id)

    def with_context(self, raw_entries: Iterable[bytes]) -> EventNotification:
        """Return the notification with another context array (IRA-HUB-12)."""
        raw = Raw(b"[" + b",".join(raw_entries) + b"]")
        return replace(self, context=parse_context(raw), event={**self.event, "context": raw})

    @property
    def raw_context(self) -> bytes:
        """The context array as JSON."""
        return bytes(self.event["context"])  # type: ignore[arg-type]  # this one is never text

    def __repr__(self) -> str:
        return f"<EventNotification {self.name.spelling} {self.id}>"  # nothing of its context


def parse_context(raw: bytes) -> tuple[ContextEntry, ...]:
    """Return the elements of a context array.

    Raises:
        InvalidRequest: No array, or an element is not as the standard has it (EVT-02, GEN-05).
    """
    return tuple(map(parse_entry, decode_part(raw, list[Raw], "context", "EVT-02")))


def parse_entry(raw: Raw) -> ContextEntry:
    """Return one element of a context array, or say what is wrong with it (EVT-02, GEN-05)."""
    item = decode_part(raw, _Item, "context", "EVT-02")
    check_extension(item.extension)
    head = None
    if item.resource and not (item.key == "select" and bytes(item.resource) == b"[]"):
        field = f"context.{_shown_key(item.key)}.resource"
        head = decode_part(item.resource, ResourceHead, field, "GEN-05")
        if not head.resource_type:
            raise InvalidRequest(field, "has no resourceType", rule="GEN-05")
    reference = literal_reference(item.reference)
    return ContextEntry(
        key=item.key,
        raw=bytes(raw),
        head=head,
        reference=reference,
        references=_parse_references(item.reference),
        target=target_of(head) if head is not None else reference_key(reference),
        is_plain=head is not None and len(msgspec.json.decode(raw, type=dict[str, Raw])) == 2,
    )


def check_extension(raw: bytes) -> None:
    """GEN-04: the standard reserves the name for a JSON object; what is in it is not looked at."""
    if raw:
        decode_part(raw, dict[str, Raw], "extension", "GEN-04")


def target_of(head: ResourceHead) -> str:
    """Return the "Type/id" of a resource, "" if it has no id."""
    return f"{head.resource_type}/{head.id}" if head.id else ""


def reference_key(reference: str) -> str:
    """Return the "Type/id" at the end of a literal reference or URL, "" if there is none."""
    if reference.count("/") == 1:  # as they mostly are
        kind, _, id = reference.partition("/")
        return reference if id and kind[:1].isupper() else ""
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


def _parse_references(raw: bytes) -> tuple[bytes, ...]:
    try:
        return tuple(map(bytes, msgspec.json.decode(raw, type=list[Raw]))) if raw else ()
    except msgspec.ValidationError:
        return ()


def _shown_key(key: str) -> str:
    """Return a key for an error text: a name the standard could use, or "?"."""
    return key if key.isidentifier() and len(key) <= 64 else "?"
