"""Contexts to open and to close, checked before they leave.

A context about the wrong patient must not exist: see `profiles` for what each resource must be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fhircast_subscribers.catalogue import keys_of
from fhircast_subscribers.errors import InvalidContext
from fhircast_subscribers.fhir import FhirVersion
from fhircast_subscribers.profiles import (
    encounter_to_open,
    patient_to_open,
    report_to_open,
    study_to_open,
)
from fhircast_subscribers.wire import Item, Resource, resource_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhircast_subscribers.contexts import OpenContext


class Openable(Protocol):
    """What can be opened: its anchor's resource type and its context array."""

    @property
    def anchor_type(self) -> str:
        """Resource type of the anchor."""
        ...

    def open_items(self) -> list[Item]:
        """Return the context array of the open."""
        ...


@dataclass(frozen=True, slots=True)
class ReportContext:
    """A report, its patient and its studies, ready to be opened or closed; see `report_context`.

    Attributes:
        report: The DiagnosticReport, status unknown.
        patient: The Patient.
        studies: The ImagingStudies.
        encounter: The Encounter, None if there is none to tell.
    """

    report: Resource
    patient: Resource
    studies: tuple[Resource, ...]
    encounter: Resource | None = None

    @property
    def anchor(self) -> str:
        """The anchor, "DiagnosticReport/id"."""
        return resource_key(self.report)

    @property
    def anchor_type(self) -> str:
        """See `Openable.anchor_type`."""
        return "DiagnosticReport"

    def open_items(self) -> list[Item]:
        """Return the context array of the open (PROF-09)."""
        return [
            {"key": "report", "resource": self.report},
            {"key": "patient", "resource": self.patient},
            *({"key": "study", "resource": study} for study in self.studies),
            *([{"key": "encounter", "resource": self.encounter}] if self.encounter else []),
        ]


@dataclass(frozen=True, slots=True)
class AnchorContext:
    """A patient, encounter or study context, ready to be opened.

    Attributes:
        anchor_type: Resource type of the anchor.
        items: The context array, the anchor first.
    """

    anchor_type: str
    items: tuple[Item, ...]

    @property
    def anchor(self) -> str:
        """The anchor, "Type/id"."""
        return resource_key(self.items[0]["resource"])

    def open_items(self) -> list[Item]:
        """Return the context array of the open."""
        return list(self.items)


def report_context(
    report: Mapping[str, Any],
    patient: Mapping[str, Any],
    *studies: Mapping[str, Any],
    encounter: Mapping[str, Any] | None = None,
    fhir: FhirVersion = FhirVersion.R4,
    ira: bool = True,
) -> ReportContext:
    """Return the context of a report, or say what keeps it from being sent.

    Args:
        report: DiagnosticReport with an id, about this patient.
        patient: Patient with an id and an identifier that others can resolve.
        studies: ImagingStudies with an id and an identifier, about this patient.
        encounter: Encounter with an id and an identifier, of this patient.
        fhir: Decides the name of the report's references to the studies (PROF-11).
        ira: Demand IRA's parts too: one study exactly (a comparison comes as an update, D-37), a
            medical record number, a Study Instance UID and an accession number.

    Raises:
        InvalidContext: A part is missing or about somebody else.

    Spec: 3.6.1; PROF-01, 03, 04, 05, 08, 09, 11, IRA-PR-01 … 03.
    """
    if ira and len(studies) != 1:
        problem = "more than one; share a comparison study as an update" if studies else "missing"
        raise InvalidContext("study", problem, rule="IRA-HUB-07, IRA-PR-01")
    of_whom = patient_to_open(patient, ira=ira)
    ready = tuple(
        study_to_open(study, of_whom, f"study[{at}]", ira=ira) for at, study in enumerate(studies)
    )
    if len({resource_key(study) for study in ready}) != len(ready):
        raise InvalidContext("study", "the same study twice", rule="EVT-16")
    return ReportContext(
        report_to_open(report, of_whom, ready, fhir=fhir),
        of_whom,
        ready,
        None if encounter is None else encounter_to_open(encounter, of_whom, fhir=fhir),
    )


def patient_context(patient: Mapping[str, Any]) -> AnchorContext:
    """Return the context of a Patient-open (3.3.1, PROF-01).

    Raises:
        InvalidContext: No id, or no identifier that others can resolve.
    """
    of_whom = patient_to_open(patient, ira=False)
    return AnchorContext("Patient", ({"key": "patient", "resource": of_whom},))


def encounter_context(
    encounter: Mapping[str, Any],
    patient: Mapping[str, Any],
    *,
    fhir: FhirVersion = FhirVersion.R4,
) -> AnchorContext:
    """Return the context of an Encounter-open (3.4.1, PROF-04).

    Raises:
        InvalidContext: A part is missing or about somebody else.
    """
    of_whom = patient_to_open(patient, ira=False)
    visit = encounter_to_open(encounter, of_whom, fhir=fhir)
    items: tuple[Item, ...] = (
        {"key": "encounter", "resource": visit},
        {"key": "patient", "resource": of_whom},
    )
    return AnchorContext("Encounter", items)


def study_context(
    study: Mapping[str, Any], patient: Mapping[str, Any] | None = None
) -> AnchorContext:
    """Return the context of an ImagingStudy-open (3.5.1).

    Args:
        study: ImagingStudy with an id and an identifier.
        patient: Whose it is; needed unless it is a study of something that is no patient (PROF-06).

    Raises:
        InvalidContext: A part is missing or about somebody else.
    """
    of_whom = None if patient is None else patient_to_open(patient, ira=False)
    shown = study_to_open(study, of_whom, "study", ira=False)
    items: list[Item] = [{"key": "study", "resource": shown}]
    if of_whom is not None:
        items.append({"key": "patient", "resource": of_whom})
    return AnchorContext("ImagingStudy", tuple(items))


def reopen_items(context: OpenContext) -> list[Item]:
    """Return what opens a context again: the same resources, nothing that has no place there.

    Spec: IRA-SUB-10, TAB-04, EVT-16.
    """
    return _with_allowed_keys(context, f"{context.anchor_type}-open")


def close_items(context: OpenContext) -> list[Item]:
    """Return the context array that closes an open context: the same ids, the newest status.

    Spec: PROF-02, PROF-04, PROF-07, PROF-10.
    """
    items = _with_allowed_keys(context, f"{context.anchor_type}-close")
    return [_closing(item, context) for item in items]


def reference_item(key: str, target: str) -> Item:
    """Return an item that only refers to a resource of the open context."""
    return {"key": key, "reference": {"reference": target}}


def _with_allowed_keys(context: OpenContext, event_name: str) -> list[Item]:
    """EVT-16: what others added to their open is not ours to repeat."""
    allowed = keys_of(event_name)
    return [
        dict(item)
        for item in context.items
        if isinstance(item.get("resource"), dict)
        and (allowed is None or item.get("key") in allowed)
    ]


def _closing(item: Item, context: OpenContext) -> Item:
    resource = item["resource"]
    if item.get("key") == "patient":
        kept = {"resourceType", "id", "identifier"}
        resource = {name: it for name, it in resource.items() if name in kept}
    elif item.get("key") == "report" and context.status:
        resource = {**resource, "status": context.status}
    return {"key": item.get("key"), "resource": resource}
