"""The standard's profiles for opens and closes, as far as a hub can check them cheaply (D-31).

What is found here is logged and forwarded, or refused by a switch. Without it a hub holds back
nothing that its subscribers could use: a missing element reads as "not available" (PROF-12).
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from fhircast_hub.protocol.decoding import decode_part
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.events import EventKind, context_key
from fhircast_hub.protocol.notification import reference_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fhircast_hub.protocol.notification import ContextEntry, EventNotification

_ANYWHERE = "extension"
"""GEN-04: may stand in every context array."""


class _Identifier(msgspec.Struct, frozen=True):
    system: str = ""
    value: str = ""


class _Reference(msgspec.Struct, frozen=True):
    reference: str = ""


class _Profiled(msgspec.Struct, frozen=True):
    """The elements that the profiles ask for."""

    id: str = ""
    identifier: list[_Identifier] = []
    status: str = ""
    class_: Raw = msgspec.field(name="class", default=Raw())
    subject: _Reference | None = None
    based_on: list[Raw] = msgspec.field(name="basedOn", default_factory=list)


class _Item(msgspec.Struct, frozen=True):
    resource: _Profiled | None = None


_items_in = msgspec.json.Decoder(list[_Item]).decode


class _Keys:
    """Keys of a catalogued open or close: those that must and those that may be there."""

    def __init__(self, *required: str, optional: tuple[str, ...] = ()) -> None:
        self.required = frozenset(required)
        self.allowed = self.required | {*optional, _ANYWHERE}


_KEYS = {
    "Patient": _Keys("patient"),
    "Encounter": _Keys("encounter", "patient"),
    "ImagingStudy": _Keys("study", optional=("patient", "encounter")),
    "DiagnosticReport": _Keys("report", "patient", optional=("study", "encounter")),
}


class _Elements:
    """Elements that a resource must have, by the rule of this name."""

    def __init__(self, rule: str, *names: str) -> None:
        self.rule = rule
        self.names = names
        self.of: Callable[[_Profiled], tuple[object, ...]] = attrgetter(
            *({"class": "class_"}.get(it, it) for it in names)
        )


_ELEMENTS = {
    EventKind.OPEN: {
        "Patient": _Elements("PROF-01", "id", "identifier"),
        "Encounter": _Elements("PROF-04", "id", "identifier", "status", "class", "subject"),
        "ImagingStudy": _Elements("PROF-05", "id", "identifier", "status", "subject"),
        "DiagnosticReport": _Elements("PROF-08", "id", "status", "subject"),
    },
    EventKind.CLOSE: {"Encounter": _Elements("PROF-04", "id", "status", "class", "subject")},
}


def profile_faults(notification: EventNotification) -> list[InvalidRequest]:
    """Return what an open or close lacks, or has too much, by the profiles of its event.

    Their texts name elements of the standard only, so that they can be logged.

    Spec: 3.3 … 3.6 and the profiles; EVT-16, PROF-01, PROF-04, PROF-05, PROF-08, PROF-09.
    """
    elements_of = _ELEMENTS.get(notification.name.kind)
    if elements_of is None:
        return []
    faults = _key_faults(notification)
    for entry, resource in zip(notification.context, _resources(notification), strict=True):
        elements = elements_of.get(entry.head.resource_type) if entry.head is not None else None
        if elements is not None:
            faults += _resource_faults(entry, resource, elements, notification)
    return faults


def _resources(notification: EventNotification) -> list[_Profiled | None]:
    """Return the resource of each item; None for all if one of them has another shape."""
    try:
        return [it.resource for it in _items_in(notification.event["context"])]
    except msgspec.ValidationError:
        return [None] * len(notification.context)


def _key_faults(notification: EventNotification) -> list[InvalidRequest]:
    if notification.name.anchor_type is None:  # Home-open
        is_empty = not notification.context
        return [] if is_empty else [InvalidRequest("context", "must be empty", rule="INF-04")]
    known = _KEYS.get(notification.name.anchor_type)
    if known is None:
        return []
    keys = [entry.key for entry in notification.context]
    missing = known.required.difference(keys)
    faults = [InvalidRequest(f"context.{it}", "missing", rule="EVT-16") for it in sorted(missing)]
    if not known.allowed.issuperset(keys):
        faults.append(
            InvalidRequest("context", "holds a key that the event does not have", rule="EVT-16")
        )
    if keys.count("encounter") > 1:
        faults.append(InvalidRequest("context.encounter", "occurs more than once", rule="PROF-09"))
    return faults


def _resource_faults(
    entry: ContextEntry,
    resource: _Profiled | None,
    elements: _Elements,
    notification: EventNotification,
) -> list[InvalidRequest]:
    resource_type = entry.head.resource_type if entry.head else ""
    where = f"context.{context_key(resource_type)}"
    if resource is None:
        try:
            resource = decode_part(entry.resource, _Profiled, where, elements.rule)
        except InvalidRequest as fault:
            return [fault]
    values = elements.of(resource)
    faults = []
    if not all(values):
        faults = [
            InvalidRequest(f"{where}.{name}", "missing", rule=elements.rule)
            for name, value in zip(elements.names, values, strict=True)
            if not value
        ]
    faults.extend(_further_faults(resource_type, resource, where, notification))
    return faults


def _further_faults(
    resource_type: str, resource: _Profiled, where: str, notification: EventNotification
) -> Iterator[InvalidRequest]:
    """What is more than the presence of one element."""
    match resource_type:
        case "Encounter" if _is_of_another(resource.subject, notification):
            yield InvalidRequest(f"{where}.subject", "is not the event's patient", rule="PROF-04")
        case "ImagingStudy":
            uids = [it.value for it in resource.identifier if it.system == "urn:dicom:uid"]
            if not all(uid.startswith("urn:oid:") for uid in uids):
                yield InvalidRequest(
                    f"{where}.identifier", "a Study UID must start with urn:oid:", rule="PROF-05"
                )
        case "DiagnosticReport" if not (resource.identifier or resource.based_on):
            yield InvalidRequest(where, "has neither identifier nor basedOn", rule="PROF-08")
        case _:
            pass


def _is_of_another(subject: _Reference | None, notification: EventNotification) -> bool:
    patients = [entry.target for entry in notification.entries("patient")]
    if subject is None or not patients:
        return False  # said elsewhere
    return reference_key(subject.reference) not in patients
