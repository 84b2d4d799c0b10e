"""A session as the fields of a hash, so that a commit writes what it changes and no more.

life, format, holder, number, added    about the whole; see the scripts
revision, version, current, home       about the state; home is missing if there is none
order                                  anchors of the open contexts, in the order of their opens
o:ANCHOR                               an open as it was broadcast
v:ANCHOR                               newest version and patient of the context
c:(ANCHOR, KEY)                        a shared resource
r:ID                                   a remembered event
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from fhircast_hub.backends.redis import keys
from fhircast_hub.backends.redis.encoding import (
    FORMAT,
    UnknownFormat,
    decode_event,
    encode_event,
    pack,
    unpack,
)
from fhircast_hub.protocol.content import EMPTY, Content, SharedResource
from fhircast_hub.protocol.remembered import Accepted, RecentEvents, Remembered
from fhircast_hub.protocol.session import OpenContext, Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhircast_hub.protocol.messages import EventNotification


class _Version(msgspec.Struct, frozen=True, array_like=True):
    version_id: str
    patient: str


class _Shared(msgspec.Struct, frozen=True, array_like=True):
    order: int
    full_url: str
    resource: bytes


class _Known(msgspec.Struct, frozen=True, array_like=True):
    place: int
    digest: bytes
    id: str
    version_id: str
    status: int
    out_of_sync: bool


@dataclass(slots=True)
class Kept:
    """A session as it is kept.

    Attributes:
        life: Tells it from others that had the same topic before or after.
        session: The session.
        places: Where each remembered event stands among them.
    """

    life: bytes
    session: Session
    places: dict[str, int]


@dataclass(slots=True)
class Changes:
    """What makes one version of a session another.

    Attributes:
        broadcast: The event that did, as it goes out.
        encoded: The same as bytes.
        fields: To be set.
        gone: To be removed.
        places: Of events that are remembered anew.
        forgotten: Events that no longer are remembered.
    """

    broadcast: EventNotification
    encoded: bytes
    fields: dict[bytes, bytes] = field(default_factory=dict)
    gone: list[bytes] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)

    def bytes_of(self, event: EventNotification) -> bytes:
        """Return an event as bytes; it mostly is the one that goes out."""
        return self.encoded if event is self.broadcast else encode_event(event)


def changes_to(kept: Kept, after: Session, broadcast: EventNotification) -> Changes:
    """Return what makes a kept session this one, which was decided on it.

    Args:
        kept: As it is kept.
        after: As it is to be kept.
        broadcast: The event that changes it, as it goes out.
    """
    before, found = kept.session, Changes(broadcast, encode_event(broadcast))
    put = found.fields
    put[b"revision"] = b"%d" % after.revision
    if after.version_id != before.version_id:
        put[b"version"] = after.version_id.encode()
    if after.current != before.current:
        put[b"current"] = after.current.encode()
    if after.home is None and before.home is not None:
        found.gone.append(b"home")
    elif after.home is not None and after.home is not before.home:
        put[b"home"] = found.bytes_of(after.home)
    if list(after.contexts) != list(before.contexts):
        put[b"order"] = pack(list(after.contexts))
    for anchor, it in after.contexts.items():
        _compare(found, anchor, before.contexts.get(anchor), it)
    for anchor, it in before.contexts.items():
        if anchor not in after.contexts:
            _compare(found, anchor, it, None)
    _compare_remembered(found, kept, after)
    return found


def kept_after(kept: Kept, changes: Changes, after: Session) -> Kept:
    """Return how a session is kept once its changes were written; what was kept before is over."""
    kept.places.update(changes.places)
    for id in changes.forgotten:
        kept.places.pop(id, None)
    return Kept(kept.life, after, kept.places)


def read_session(topic: str, fields: Mapping[bytes, bytes]) -> Kept:
    """Return the session that these fields hold.

    Raises:
        UnknownFormat: They are not known.
    """
    if fields.get(b"format") != b"%d" % FORMAT:
        raise UnknownFormat
    contents, remembered = _read_many(fields)
    home = fields.get(b"home")
    try:
        order = unpack(fields[b"order"], list[str]) if b"order" in fields else []
        session = Session(
            topic=topic,
            version_id=fields[b"version"].decode(),
            revision=int(fields[b"revision"]),
            contexts={it: _read_context(it, fields, contents.get(it, [])) for it in order},
            current=fields.get(b"current", b"").decode(),
            home=decode_event(home) if home is not None else None,
            # As the newer ones: then the next event looks whether any are too many.
            remembered=RecentEvents(newer={id: event for _, id, event in remembered}),
        )
        return Kept(fields[b"life"], session, {id: place for place, id, _ in remembered})
    except (KeyError, ValueError):
        raise UnknownFormat from None


def _compare(
    found: Changes, anchor: str, before: OpenContext | None, after: OpenContext | None
) -> None:
    if before is after:
        return
    old = before.content if before is not None else EMPTY
    new = after.content if after is not None else EMPTY
    if old is not new:
        put, gone = new.changed_since(old)
        for key, it in put.items():
            field = keys.content_field(anchor, key)
            found.fields[field] = pack(_Shared(it.order, it.full_url, it.resource))
        found.gone += [keys.content_field(anchor, key) for key in gone]
    if after is None:
        found.gone += (keys.opened_field(anchor), keys.version_field(anchor))
        return
    if before is None or before.opened is not after.opened:
        found.fields[keys.opened_field(anchor)] = found.bytes_of(after.opened)
    version = (after.version_id, after.patient)
    if before is None or (before.version_id, before.patient) != version:
        found.fields[keys.version_field(anchor)] = pack(_Version(*version))


def _compare_remembered(found: Changes, kept: Kept, after: Session) -> None:
    put, gone = after.remembered.changed_since(kept.session.remembered)
    for id, it in put.items():
        place = kept.places.get(id)
        if place is None:
            place = found.places[id] = after.revision  # each revision remembers one event
        answer = it.answer
        known = _Known(
            place, it.digest, answer.id, answer.version_id, answer.status, it.out_of_sync
        )
        found.fields[keys.remembered_field(id)] = pack(known)
    found.forgotten = gone
    found.gone += map(keys.remembered_field, gone)


def _read_context(
    anchor: str, fields: Mapping[bytes, bytes], shared: list[tuple[str, SharedResource]]
) -> OpenContext:
    version = unpack(fields[keys.version_field(anchor)], _Version)
    opened = decode_event(fields[keys.opened_field(anchor)])
    return OpenContext(opened, version.version_id, Content.of(shared), version.patient)


def _read_many(
    fields: Mapping[bytes, bytes],
) -> tuple[dict[str, list[tuple[str, SharedResource]]], list[tuple[int, str, Remembered]]]:
    """Return the shared resources by anchor, and the remembered events, oldest first."""
    contents: dict[str, list[tuple[str, SharedResource]]] = {}
    remembered: list[tuple[int, str, Remembered]] = []
    for name, raw in fields.items():
        kind, rest = name[:2], name[2:]
        if kind == b"c:":
            anchor, key = unpack(rest, tuple[str, str])
            it = unpack(raw, _Shared)
            shared = SharedResource(it.resource, it.full_url, it.order)
            contents.setdefault(anchor, []).append((key, shared))
        elif kind == b"r:":
            known = unpack(raw, _Known)
            answer = Accepted(known.id, known.version_id, known.status)
            event = Remembered(known.digest, answer, known.out_of_sync)
            remembered.append((known.place, rest.decode(), event))
    return contents, sorted(remembered, key=lambda it: it[0])
