"""Resources as the profiles for opens want them: checked, and spelled in both profile sets' ways.

What does not fit together is an error here and never silently corrected; what only spells the same
fact in the other profile set's way is added.
"""

from __future__ import annotations

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
from fhircast_subscribers.wire import Resource, reference_of, resource_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UNKNOWN_CLASS = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor",
    "code": "UNK",
    "display": "unknown",
}


def patient_to_open(value: Mapping[str, Any], *, ira: bool) -> Resource:
    """Return the patient of an open (PROF-01; IRA-PR-02 with `ira`).

    Raises:
        InvalidContext: No id, or no identifier that others can resolve.
    """
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


def encounter_to_open(
    value: Mapping[str, Any], patient: Resource, *, fhir: FhirVersion
) -> Resource:
    """Return the encounter of an open; a status or class that is not known says so (PROF-04).

    Raises:
        InvalidContext: No id, no identifier, or it is about somebody else.
    """
    field = "encounter"
    encounter = with_subject(require_resource(value, "Encounter", field), patient, field)
    _identifiers(encounter, field, rule="PROF-04")
    unknown = _UNKNOWN_CLASS if fhir is FhirVersion.R4 else [{"coding": [_UNKNOWN_CLASS]}]
    return {"status": "unknown", "class": unknown, **encounter}


def study_to_open(
    value: Mapping[str, Any], patient: Resource | None, field: str, *, ira: bool
) -> Resource:
    """Return a study of an open (PROF-05, PROF-06; IRA-PR-03 with `ira`).

    Args:
        value: The ImagingStudy.
        patient: Whose it is; None for a study of something that is no patient.
        field: Where it stands, for the error.
        ira: Demand a Study Instance UID and an accession number.

    Raises:
        InvalidContext: A part is missing, or it is about somebody else.
    """
    study = require_resource(value, "ImagingStudy", field)
    if patient is not None:
        study = with_subject(study, patient, field)
    elif not study.get("subject"):
        raise InvalidContext(f"{field}.subject", "missing", rule="PROF-05")
    elif reference_of(study["subject"]).startswith("Patient/"):
        raise InvalidContext("patient", "missing, though the study has one", rule="PROF-06")
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


def report_to_open(
    value: Mapping[str, Any],
    patient: Resource,
    studies: Sequence[Resource],
    *,
    fhir: FhirVersion,
) -> Resource:
    """Return the report of an open, with status unknown and its studies (PROF-08, IRA-PR-01).

    Raises:
        InvalidContext: No identifier and no basedOn, or it is about somebody or something else.
    """
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
