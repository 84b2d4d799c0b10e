"""Report contexts that meet FHIRcast's profiles and IHE IRA's at once, checked before they leave.

A context about the wrong patient must not exist, so what does not fit together is an error here and
never silently corrected. What only spells the same fact in the other profile set's way is added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhircast_subscribers.errors import InvalidContext
from fhircast_subscribers.fhir import (
    V2_0203,
    FhirVersion,
    accession_of,
    is_typed,
    objects,
    require_resource,
    study_uid_of,
    with_study_identifiers,
    with_subject,
    with_type,
)
from fhircast_subscribers.wire import Item, Resource, reference_of, resource_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fhircast_subscribers.contexts import OpenContext


@dataclass(frozen=True, slots=True)
class ReportContext:
    """A report, its patient and its studies, ready to be opened or closed; see `report_context`.

    Attributes:
        report: The DiagnosticReport, status unknown.
        patient: The Patient.
        studies: The ImagingStudies.
    """

    report: Resource
    patient: Resource
    studies: tuple[Resource, ...]

    @property
    def anchor(self) -> str:
        """The anchor, "DiagnosticReport/id"."""
        return resource_key(self.report)

    def open_items(self) -> list[Item]:
        """Return the context array of the open (PROF-09)."""
        return [
            {"key": "report", "resource": self.report},
            {"key": "patient", "resource": self.patient},
            *({"key": "study", "resource": study} for study in self.studies),
        ]


def report_context(
    report: Mapping[str, Any],
    patient: Mapping[str, Any],
    *studies: Mapping[str, Any],
    fhir: FhirVersion = FhirVersion.R4,
    ira: bool = True,
) -> ReportContext:
    """Return the context of a report, or say what keeps it from being sent.

    Args:
        report: DiagnosticReport with an id, about this patient.
        patient: Patient with an id and an identifier that others can resolve.
        studies: ImagingStudies with an id and an identifier, about this patient.
        fhir: Decides the name of the report's references to the studies (PROF-11).
        ira: Demand IRA's parts too: one study at least, a medical record number, a Study Instance
            UID and an accession number.

    Raises:
        InvalidContext: A part is missing or about somebody else.

    Spec: 3.6.1; PROF-01, 03, 05, 08, 09, 11, IRA-PR-01 … 03.
    """
    if ira and not studies:
        raise InvalidContext("study", "missing", rule="IRA-HUB-07")
    patient = _patient(patient, ira=ira)
    ready = tuple(
        _study(study, patient, f"study[{at}]", ira=ira) for at, study in enumerate(studies)
    )
    if len({resource_key(study) for study in ready}) != len(ready):
        raise InvalidContext("study", "the same study twice", rule="EVT-16")
    return ReportContext(_report(report, patient, ready, fhir), patient, ready)


def context_of(context: OpenContext) -> ReportContext:
    """Return what to send to open a context again: the same resources (IRA-SUB-10).

    Raises:
        InvalidContext: It is no report context.
    """
    opened = context.opened_resources()
    by_key: dict[str, list[Resource]] = {}
    for item in context.items:
        if resource_key(item.get("resource") or {}) in opened:
            by_key.setdefault(str(item.get("key")), []).append(item["resource"])
    if not by_key.get("report") or not by_key.get("patient"):
        raise InvalidContext("context", "has no report or no patient", rule="PROF-09")
    return ReportContext(by_key["report"][0], by_key["patient"][0], tuple(by_key.get("study", ())))


def close_items(context: OpenContext) -> list[Item]:
    """Return the context array that closes an open context: the same ids, the newest status.

    Spec: PROF-02, PROF-04, PROF-07, PROF-10.
    """
    kept = {"report", "patient", "study", "encounter"}
    anchor_item = {"key": "", "resource": {}}
    for item in context.items:
        if resource_key(item.get("resource") or {}) == context.anchor:
            anchor_item = item
    return [
        _closing(item, context)
        for item in context.items
        if item.get("key") in kept or item is anchor_item
    ]


def reference_item(key: str, target: str) -> Item:
    """Return an item that only refers to a resource of the open context."""
    return {"key": key, "reference": {"reference": target}}


def _closing(item: Item, context: OpenContext) -> Item:
    resource = item.get("resource")
    if not isinstance(resource, dict):
        return item
    if item.get("key") == "patient":
        kept = {"resourceType", "id", "identifier"}
        resource = {name: it for name, it in resource.items() if name in kept}
    elif item.get("key") == "report" and context.status:
        resource = {**resource, "status": context.status}
    return {"key": item.get("key"), "resource": resource}


def _patient(value: Mapping[str, Any], *, ira: bool) -> Resource:
    patient = require_resource(value, "Patient", "patient")
    identifiers = _identifiers(patient, "patient", rule="PROF-01")
    typed = [
        with_type(it, V2_0203, "MR", "Medical Record Number")
        if is_typed(it, V2_0203, "MR")
        else dict(it)
        for it in identifiers
    ]
    if ira and not any(is_typed(it, V2_0203, "MR") for it in typed):
        raise InvalidContext(
            "patient.identifier", "no medical record number (type MR)", rule="IRA-PR-02"
        )
    return {**patient, "identifier": typed}


def _study(value: Mapping[str, Any], patient: Resource, field: str, *, ira: bool) -> Resource:
    study = with_subject(require_resource(value, "ImagingStudy", field), patient, field)
    _identifiers(study, field, rule="PROF-05")
    study = {**study, "identifier": with_study_identifiers(study["identifier"])}
    if ira and not study_uid_of(study):
        raise InvalidContext(f"{field}.identifier", "no Study Instance UID", rule="IRA-PR-03")
    if ira and accession_of(study) is None:
        raise InvalidContext(
            f"{field}.identifier", "no accession number (type ACSN)", rule="IRA-PR-03"
        )
    if ira or "status" not in study:
        study["status"] = "available"
    return study


def _report(
    value: Mapping[str, Any],
    patient: Resource,
    studies: Sequence[Resource],
    fhir: FhirVersion,
) -> Resource:
    report = with_subject(require_resource(value, "DiagnosticReport", "report"), patient, "report")
    report["status"] = "unknown"  # IRA-PR-01; the status that counts is shared as an update
    accessions = [it for it in map(accession_of, studies) if it is not None]
    if not report.get("basedOn") and accessions:
        report["basedOn"] = [{"type": "ServiceRequest", "identifier": dict(accessions[0])}]
    if not report.get("identifier") and not report.get("basedOn"):
        raise InvalidContext("report", "neither identifier nor basedOn", rule="PROF-08")
    stated = {
        reference_of(it)
        for name in ("imagingStudy", "study")
        for it in objects(report.pop(name, None))
    }
    wanted = [resource_key(study) for study in studies]
    if not stated <= set(wanted):
        raise InvalidContext("report", "refers to a study that is not here", rule="PROF-08")
    if wanted:
        report[fhir.study_element] = [{"reference": it} for it in wanted]
    return report


def _identifiers(resource: Resource, field: str, *, rule: str) -> list[Mapping[str, Any]]:
    identifiers = [it for it in objects(resource.get("identifier")) if it.get("value")]
    if not identifiers:
        raise InvalidContext(f"{field}.identifier", "missing or without a value", rule=rule)
    return identifiers
