"""Hub-derived opens: what an open means to a subscriber that does not get it (2.5).

Whoever asked for `Patient-open` alone would keep the last patient on the screen while a report of
another patient is opened. So an open that becomes the current context also opens the patient, the
encounter and the study that it holds, for those who do not get the open itself.

Everything here follows from the open as it was broadcast, the id included: every process, every
receiver and every replay makes the same derived open, and nothing has to be kept.
"""

from __future__ import annotations

import hashlib
from datetime import UTC
from enum import Enum
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from fhircast_hub.protocol.events import context_key
from fhircast_hub.protocol.parsing import parse_notification

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhircast_hub.protocol.notification import ContextEntry, EventNotification


class Derive(Enum):
    """Who gets derived opens (D-14).

    Attributes:
        MISSING: Who does not get the open itself and would learn something.
        ALL: Whoever would learn something, the literal reading of 2.5.
        OFF: Nobody; then all subscribers of a topic must ask for the same events (DER-03).
    """

    __hash__ = object.__hash__  # a member is one object; the usual hash runs in Python

    MISSING = "missing"
    ALL = "all"
    OFF = "off"


_KEYS_BY_TYPE = {
    "Patient": ("patient",),
    "Encounter": ("encounter", "patient"),
    "ImagingStudy": ("study", "encounter", "patient"),
}
"""Types that can be derived, the least specific first, each with the keys of its own open."""

_TYPES_BY_KEY = {context_key(it): it for it in _KEYS_BY_TYPE}

DERIVED_EVENTS = tuple(f"{it.lower()}-open" for it in _KEYS_BY_TYPE)
"""Comparison keys of the events that can be derived."""

_ID_NAMESPACE = bytes.fromhex("6b0d3f0c5f2e4c0f9a3b7d41c8e25a17")
"""A random UUID: names in it are ids of derived opens."""


def derived_opens(opened: EventNotification) -> tuple[EventNotification, ...]:
    """Return the opens derived from one, the most specific last; none from a Home-open.

    One for each type of which the context holds a resource under the key of that type; of several
    studies the first. A reference is no resource, and `subject` is no key of an event definition.

    Args:
        opened: An open as it was broadcast.

    Spec: 2.5, 2.3; DER-01, DER-04, EVT-20, D-15, D-50.
    """
    derived = []
    for resource_type, keys in _KEYS_BY_TYPE.items():
        anchor = _resource(opened, resource_type)
        if anchor is not None and resource_type != opened.name.anchor_type:
            others = (it for it in opened.context if it.key in keys[1:])
            derived.append(_derive(opened, resource_type, [anchor, *others]))
    return tuple(derived)


def derived_id(opened: EventNotification, resource_type: str) -> str:
    """Return the id of a derived open: a UUID made of the source's facts (version 5).

    The version that the hub gave to the source keeps a source id that comes again, long after it
    was forgotten, from making an id that was used before (EVT-08).
    """
    facts = (opened.topic, opened.id, opened.version_id, resource_type)
    name = _ID_NAMESPACE + msgspec.json.encode(facts)
    digest = bytearray(hashlib.sha1(name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def is_derived_from(opened: EventNotification, event_id: str) -> bool:
    """Tell whether an id is that of an open derived from this one."""
    return any(derived_id(opened, it) == event_id for it in _KEYS_BY_TYPE)


def contexts_of(event: EventNotification) -> Mapping[str, str]:
    """Return what an open shows: the resource type of its anchor, patient, … -> "Type/id"."""
    name = event.name
    shown: dict[str, str] = {}
    for it in event.context:
        resource_type = name.anchor_type if it.key == name.anchor_key else _TYPES_BY_KEY.get(it.key)
        if resource_type is None or resource_type in shown:
            continue
        if it.target.startswith(f"{resource_type}/"):
            shown[resource_type] = it.target
    return shown


def _resource(opened: EventNotification, resource_type: str) -> ContextEntry | None:
    """Return the first item that holds a resource of this type, with an id, under its own key."""
    for entry in opened.entries(context_key(resource_type)):
        if entry.head is not None and entry.target.startswith(f"{resource_type}/"):
            return entry
    return None


def _derive(
    opened: EventNotification, resource_type: str, items: list[ContextEntry]
) -> EventNotification:
    body = {
        "timestamp": _in_utc(opened),
        "id": derived_id(opened, resource_type),
        "event": {
            "hub.topic": opened.topic,
            "hub.event": f"{resource_type}-open",
            "context": [Raw(it.raw) for it in items],
        },
    }
    return parse_notification(msgspec.json.encode(body))


def _in_utc(opened: EventNotification) -> str:
    """Return the source's moment, written with Z (D-50) and no less exact than it came."""
    if opened.timestamp.endswith("Z"):
        return opened.timestamp
    return opened.happened_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
