"""Judges of the resources in opens and closes: FHIRcast's profiles and IHE IRA's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.subscriber.judges.shapes import (
    DCM,
    V2_0203,
    codings,
    identifiers,
    is_typed,
    name_of,
    objects,
    reference,
)
from fhircast_conformance.subscriber.session import items_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhircast_conformance.subscriber.findings import Finding
    from fhircast_conformance.subscriber.record import Json, Post
    from fhircast_conformance.subscriber.session import Context


def judge_open(post: Post) -> Iterator[Finding]:
    """Judge an open's resources."""
    resources = list(_resources(post))
    for key, resource in resources:
        yield from _patient(resource) if key == "patient" else ()
        yield from _encounter(resource) if key == "encounter" else ()
        yield from _study(resource) if key == "study" else ()
        yield from _report(resource) if key == "report" else ()
    keys = [key for key, _ in resources]
    if post.is_a("ImagingStudy-open"):
        yield "PROF-06", _patient_problem(post, resources)
    if post.is_a("DiagnosticReport-open"):
        wrong = [it for it in ("report", "patient") if keys.count(it) != 1]
        yield "PROF-09", f"not exactly one {' and one '.join(wrong)}" if wrong else ""
        yield from _links(resources)


def judge_close(post: Post, opened: Context | None) -> Iterator[Finding]:
    """Judge a close's resources against what was opened."""
    resources = list(_resources(post))
    if post.is_a("ImagingStudy-close"):
        yield "PROF-06", _patient_problem(post, resources)
    if opened is None:
        return
    rows = {"patient": "PROF-02", "encounter": "PROF-04", "study": "PROF-07", "report": "PROF-10"}
    for key, resource in resources:
        if key not in rows:
            continue
        before = opened.resource(name_of(resource))
        row, what = rows[key], f"{post.name}: {key}"
        yield row, "" if before else f"{what} has another id than in the open"
        if not before or key == "patient":
            continue
        same = reference(resource.get("subject")) == reference(before.get("subject"))
        yield row, "" if same else f"{what}.subject is not the one of the open"
        if key == "encounter":
            lacks = [it for it in ("status", "class") if not resource.get(it)]
            yield row, f"{what} lacks {', '.join(lacks)}" if lacks else ""


def _resources(post: Post) -> Iterator[tuple[str, Json]]:
    for item in items_of(post.event):
        if isinstance(item.get("resource"), dict):
            yield str(item.get("key")), item["resource"]


def _patient(patient: Json) -> Iterator[Finding]:
    lacks = [] if patient.get("id") else ["id"]
    lacks += [] if identifiers(patient) else ["identifier with a value"]
    yield "PROF-01", f"Patient lacks {', '.join(lacks)}" if lacks else ""
    numbers = [it for it in identifiers(patient) if is_typed(it, V2_0203, "MR")]
    yield "IRA-PR-02", "" if numbers else "Patient has no identifier of type MR with a value"
    shown = [it.get("display") for number in numbers for it in codings(number.get("type"))]
    if numbers and "Medical Record Number" not in shown:
        yield "IRA-PR-02", 'the coding MR lacks the display "Medical Record Number"'


def _encounter(encounter: Json) -> Iterator[Finding]:
    lacks = [it for it in ("id", "status", "class", "subject") if not encounter.get(it)]
    lacks += [] if identifiers(encounter) else ["identifier with a value"]
    yield "PROF-04", f"Encounter lacks {', '.join(lacks)}" if lacks else ""


def _study(study: Json) -> Iterator[Finding]:
    lacks = [it for it in ("id", "status", "subject") if not study.get(it)]
    lacks += [] if identifiers(study) else ["identifier with a value"]
    yield "PROF-05", f"ImagingStudy lacks {', '.join(lacks)}" if lacks else ""
    for it in identifiers(study):
        if it.get("system") == "urn:dicom:uid" and not str(it["value"]).startswith("urn:oid:"):
            yield "PROF-05", "the Study Instance UID does not start with urn:oid:"
    found = identifiers(study)
    uids = [it for it in found if is_typed(it, DCM, "110180")]
    accessions = [it for it in found if is_typed(it, V2_0203, "ACSN")]
    yield "IRA-PR-03", _one("identifier of type DCM 110180 (Study Instance UID)", uids)
    yield "IRA-PR-03", _one("identifier of type ACSN", accessions)
    is_available = study.get("status") == "available"
    yield "IRA-PR-03", "" if is_available else "ImagingStudy.status is not available"
    about = reference(study.get("subject")).startswith("Patient/")
    yield "IRA-PR-03", "" if about else "ImagingStudy.subject is no Patient"


def _report(report: Json) -> Iterator[Finding]:
    lacks = [it for it in ("id", "status", "subject") if not report.get(it)]
    lacks += [] if identifiers(report) or report.get("basedOn") else ["identifier or basedOn"]
    yield "PROF-08", f"DiagnosticReport lacks {', '.join(lacks)}" if lacks else ""
    is_unknown = report.get("status") == "unknown"
    yield "IRA-PR-01", "" if is_unknown else "DiagnosticReport.status of the open is not unknown"
    about = reference(report.get("subject")).startswith("Patient/")
    yield "IRA-PR-01", "" if about else "DiagnosticReport.subject is no Patient"
    # D-37: IRA is R5 (`study`); a deployment in R4 spells it `imagingStudy`.
    name = "study" if "study" in report else "imagingStudy"
    studies = [reference(it) for it in objects(report.get(name))]
    one = len(studies) == 1 and studies[0].startswith("ImagingStudy/")
    yield "IRA-PR-01", "" if one else "DiagnosticReport has not exactly one study reference"


def _links(resources: list[tuple[str, Json]]) -> Iterator[Finding]:
    """The report refers to the studies that come with it (PROF-08)."""
    studies = {name_of(it) for key, it in resources if key == "study"}
    for report in (it for key, it in resources if key == "report"):
        stated = {
            reference(it) for name in ("study", "imagingStudy") for it in objects(report.get(name))
        }
        missing = studies - stated
        yield "PROF-08", "the report does not refer to its study" if missing else ""


def _patient_problem(post: Post, resources: list[tuple[str, Json]]) -> str:
    keys = {key for key, _ in resources}
    studies = [it for key, it in resources if key == "study"]
    about = any(reference(it.get("subject")).startswith("Patient/") for it in studies)
    if about and "patient" not in keys:
        return f"{post.name}: no patient, though the study has one"
    return ""


def _one(what: str, found: list[Json]) -> str:
    return "" if len(found) == 1 else f"ImagingStudy has {len(found)} instead of one {what}"
