"""The standard's profiles for opens and closes, as far as a hub can check them cheaply (D-31).

What is found here is logged and forwarded, or refused by a switch. Without it a hub holds back
nothing that its subscribers could use: a missing element reads as "not available" (PROF-12).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from fhircast_hub.protocol.decoding import decode_part
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.events import EventKind, context_key
from fhircast_hub.protocol.notification import reference_key

if TYPE_CHECKING:
    from fhircast_hub.protocol.notification import EventNotification

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


class Fault(msgspec.Struct, frozen=True, gc=False):
    """What an event lacks or has too much; made of names of the standard only.

    Attributes:
        field: Where.
        problem: What is wrong there.
        rule: Requirement id.
    """

    field: str
    problem: str
    rule: str

    @property
    def remark(self) -> str:
        """Rule, place and problem in one line."""
        return f"{self.rule} {self.field}: {self.problem}"

    def as_error(self) -> InvalidRequest:
        """Return the refusal."""
        return InvalidRequest(self.field, self.problem, rule=self.rule)

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


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
_MUST_BE_EMPTY = Fault("context", "must be empty", "INF-04")
_UNKNOWN_KEY = Fault("context", "holds a key that the event does not have", "EVT-16")
_TWO_ENCOUNTERS = Fault("context.encounter", "occurs more than once", "PROF-09")

_Check = Callable[[_Profiled, "EventNotification"], Fault | None]


class _Profile:
    """What a resource must have, and one check that asks for more than an element."""

    def __init__(self, rule: str, type: str, *elements: str, check: _Check | None = None) -> None:
        self.rule = rule
        self.where = f"context.{context_key(type)}"
        self.missing = [Fault(f"{self.where}.{it}", "missing", rule) for it in elements]
        self.check = check
        attributes = ({"class": "class_"}.get(it, it) for it in elements)
        self.values_of: Callable[[_Profiled], tuple[object, ...]] = attrgetter(*attributes)


def _encounter_fault(resource: _Profiled, notification: EventNotification) -> Fault | None:
    patients = [entry.target for entry in notification.entries("patient")]
    if resource.subject is None or not patients:  # said elsewhere
        return None
    is_other = reference_key(resource.subject.reference) not in patients
    return _OTHER_PATIENT if is_other else None


def _study_fault(resource: _Profiled, _notification: EventNotification) -> Fault | None:
    for it in resource.identifier:
        if it.system == "urn:dicom:uid" and not it.value.startswith("urn:oid:"):
            return _BARE_UID
    return None


def _report_fault(resource: _Profiled, _notification: EventNotification) -> Fault | None:
    return None if resource.identifier or resource.based_on else _NO_ORDER


_OTHER_PATIENT = Fault("context.encounter.subject", "is not the event's patient", "PROF-04")
_BARE_UID = Fault("context.study.identifier", "a Study UID must start with urn:oid:", "PROF-05")
_NO_ORDER = Fault("context.report", "has neither identifier nor basedOn", "PROF-08")

_ENCOUNTER = ("PROF-04", "Encounter", "id")
_PROFILES = {
    EventKind.OPEN: {
        "Patient": _Profile("PROF-01", "Patient", "id", "identifier"),
        "Encounter": _Profile(
            *_ENCOUNTER, "identifier", "status", "class", "subject", check=_encounter_fault
        ),
        "ImagingStudy": _Profile(
            "PROF-05", "ImagingStudy", "id", "identifier", "status", "subject", check=_study_fault
        ),
        "DiagnosticReport": _Profile(
            "PROF-08", "DiagnosticReport", "id", "status", "subject", check=_report_fault
        ),
    },
    EventKind.CLOSE: {
        "Encounter": _Profile(*_ENCOUNTER, "status", "class", "subject", check=_encounter_fault)
    },
}


def profile_faults(notification: EventNotification) -> list[Fault]:
    """Return what an open or close lacks, or has too much, by the profiles of its event.

    Their texts name elements of the standard only, so that they can be logged.

    Spec: 3.3 … 3.6 and the profiles; EVT-16, PROF-01, PROF-04, PROF-05, PROF-08, PROF-09.
    """
    profiles = _PROFILES.get(notification.name.kind)
    if profiles is None:
        return []
    faults = _key_faults(notification)
    resources = _resources(notification)
    for entry, resource in zip(notification.context, resources, strict=True):
        profile = profiles.get(entry.head.resource_type) if entry.head is not None else None
        if profile is None:
            continue
        try:
            if resource is None:
                resource = decode_part(entry.resource, _Profiled, profile.where, profile.rule)
        except InvalidRequest as refusal:
            faults.append(Fault(refusal.field, refusal.problem, profile.rule))
            continue
        values = profile.values_of(resource)
        if not all(values):
            faults += [it for it, value in zip(profile.missing, values, strict=True) if not value]
        fault = profile.check(resource, notification) if profile.check is not None else None
        if fault is not None:
            faults.append(fault)
    return faults


def _resources(notification: EventNotification) -> list[_Profiled | None]:
    """Return the resource of each item; None for all if one of them has another shape."""
    try:
        return [it.resource for it in _items_in(notification.event["context"])]
    except msgspec.ValidationError:
        return [None] * len(notification.context)


def _key_faults(notification: EventNotification) -> list[Fault]:
    if notification.name.anchor_type is None:  # Home-open
        return [_MUST_BE_EMPTY] if notification.context else []
    known = _KEYS.get(notification.name.anchor_type)
    if known is None:
        return []
    keys = {entry.key for entry in notification.context}
    faults = []
    if not known.required <= keys:
        missing = sorted(known.required - keys)
        faults = [Fault(f"context.{it}", "missing", "EVT-16") for it in missing]
    if not keys <= known.allowed:
        faults.append(_UNKNOWN_KEY)
    if "encounter" in keys and len(notification.entries("encounter")) > 1:
        faults.append(_TWO_ENCOUNTERS)
    return faults
