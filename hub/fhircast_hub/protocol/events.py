"""Event names: how they are spelled, what kind they are, and the catalogue of the standard.

Names are compared without regard to case (GEN-03) and shown in the catalogue's spelling (D-30).
A name is `Resource-(open|close|update|select)` for any FHIR resource type (EVT-12), one of the
infrastructure events, or a reverse-domain name without dash (EVT-13).
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

import msgspec

from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.fhir_types import RESOURCE_TYPES

MAX_NAME_LENGTH = 128
"""Characters in an event name; the longest catalogued one has 23."""


class EventKind(Enum):
    """What an event does to a session."""

    __hash__ = object.__hash__  # each is there once; the hash of their names is slow

    OPEN = "open"
    CLOSE = "close"
    UPDATE = "update"
    SELECT = "select"
    INFRASTRUCTURE = "infrastructure"
    PROPRIETARY = "proprietary"


class EventName(msgspec.Struct, frozen=True, gc=False):
    """One event name.

    Attributes:
        spelling: The catalogue's spelling, or a proprietary name as it came.
        key: The spelling for comparisons, lower case.
        kind: What the event does to a session.
        anchor_type: Resource type of the anchor context; None for events without one.
        anchor_key: Its key in the context array, "" for events without an anchor (EVT-14).
    """

    spelling: str
    key: str
    kind: EventKind
    anchor_type: str | None = None
    anchor_key: str = ""


class CatalogueEntry(msgspec.Struct, frozen=True):
    """One row of the standard's event catalogue.

    Attributes:
        spelling: The event's name.
        required: Keys that the context array must hold (D-31: no more than the hub checks).
        required_ira: Further keys that IRA demands (IRA-HUB-07, 09, 11, 12).
    """

    spelling: str
    required: tuple[str, ...] = ()
    required_ira: tuple[str, ...] = ()


CATALOGUE: tuple[CatalogueEntry, ...] = (
    CatalogueEntry("Patient-open", ("patient",)),
    CatalogueEntry("Patient-close", ("patient",)),
    CatalogueEntry("Encounter-open", ("encounter",)),
    CatalogueEntry("Encounter-close", ("encounter",)),
    CatalogueEntry("ImagingStudy-open", ("study",)),
    CatalogueEntry("ImagingStudy-close", ("study",)),
    CatalogueEntry("DiagnosticReport-open", ("report", "patient"), ("study",)),
    CatalogueEntry("DiagnosticReport-close", ("report",)),
    CatalogueEntry("DiagnosticReport-update", ("report", "updates")),
    CatalogueEntry("DiagnosticReport-select", ("report",), ("select",)),
    CatalogueEntry("SyncError", ("operationoutcome",)),
    CatalogueEntry("UserLogout"),
    CatalogueEntry("UserHibernate"),
    CatalogueEntry("Home-open"),
)
"""The 14 events of FHIRcast 3.0.0 (chapter 3), in the order of the well-known document."""

SYNC_ERROR = EventName("SyncError", "syncerror", EventKind.INFRASTRUCTURE)
HOME_OPEN = EventName("Home-open", "home-open", EventKind.OPEN)

_INFRASTRUCTURE = {
    name.lower(): EventName(name, name.lower(), EventKind.INFRASTRUCTURE)
    for name in ("SyncError", "UserLogout", "UserHibernate")
}
_RESOURCE_TYPE_BY_LOWER = {name.lower(): name for name in RESOURCE_TYPES}
_CONTEXT_KINDS = {
    kind.value: kind
    for kind in (EventKind.OPEN, EventKind.CLOSE, EventKind.UPDATE, EventKind.SELECT)
}
_CATALOGUE_BY_KEY = {entry.spelling.lower(): entry for entry in CATALOGUE}
_LEGACY_KEYS = {"DiagnosticReport": "report", "ImagingStudy": "study"}
_REVERSE_DOMAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)+")
_SUBSCRIBABLE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


def context_key(resource_type: str) -> str:
    """Return the key under which a resource of this type stands in a context array (EVT-14)."""
    return _LEGACY_KEYS.get(resource_type, resource_type.lower())


def required_keys(name: EventName, *, ira: bool) -> tuple[str, ...]:
    """Return the keys that the context array of this event must hold.

    Args:
        name: Any event name.
        ira: Whether the rules of the IRA profile bind.
    """
    entry = _CATALOGUE_BY_KEY.get(name.key)
    if entry is not None:
        return entry.required + (entry.required_ira if ira else ())
    if name.kind is EventKind.UPDATE:
        return (name.anchor_key, "updates")
    return (name.anchor_key,) if name.anchor_type else ()


@lru_cache(maxsize=2048)
def parse_event_name(text: str) -> EventName:
    """Return the event that a `hub.event` names.

    Raises:
        InvalidRequest: Not a name that the standard allows for an event.

    Spec: 2.3 Event Definition; EVT-12, EVT-13, SUB-07.
    """
    key = text.lower() if text.isascii() else ""  # the Kelvin sign is a k in lower case
    if len(text) > MAX_NAME_LENGTH:
        raise InvalidRequest("hub.event", f"longer than {MAX_NAME_LENGTH} characters", rule="2.3")
    if key in _INFRASTRUCTURE:
        return _INFRASTRUCTURE[key]
    if key == HOME_OPEN.key:
        return HOME_OPEN
    resource, dash, suffix = key.partition("-")
    if dash and suffix in _CONTEXT_KINDS and resource in _RESOURCE_TYPE_BY_LOWER:
        anchor_type = _RESOURCE_TYPE_BY_LOWER[resource]
        spelling, kind = f"{anchor_type}-{suffix}", _CONTEXT_KINDS[suffix]
        return EventName(spelling, key, kind, anchor_type, context_key(anchor_type))
    if _REVERSE_DOMAIN.fullmatch(text):
        return EventName(text, key, EventKind.PROPRIETARY)
    raise InvalidRequest(
        "hub.event",
        "neither Resource-(open|close|update|select) of a FHIR resource type, an infrastructure "
        "event, nor a reverse-domain name without dash",
        rule="EVT-12, EVT-13",
    )


def parse_subscribed_name(text: str) -> str:
    """Return the comparison key of a name in `hub.events`.

    More generous than `parse_event_name`: names that no event can have are granted and simply never
    delivered, since deployed clients subscribe to such names and a refusal locks them out (D-36).

    Raises:
        InvalidRequest: A wildcard or not a name at all.

    Spec: 2.3; SUB-07, D-36.
    """
    if "*" in text:
        raise InvalidRequest("hub.events", "wildcards are not supported", rule="SUB-07")
    if len(text) > MAX_NAME_LENGTH or not _SUBSCRIBABLE.fullmatch(text):
        raise InvalidRequest("hub.events", "holds something that is not an event name", rule="2.3")
    return text.lower()
