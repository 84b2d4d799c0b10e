"""Contexts and content that subscribers send: both profile sets, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from builders import NOON, PATIENT, REPORT, STUDY, case
from fhircast_subscribers import InvalidContext, OpenContext, measurement, report_context
from fhircast_subscribers.builders import close_items
from fhircast_subscribers.content import imaging_selection, updates_bundle
from fhircast_subscribers.fhir import FhirVersion, study_uid_of
from fhircast_subscribers.wire import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    Json = dict[str, Any]

V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
UID = {"system": "urn:dicom:uid", "value": "2.999.9.1"}


def opened(number: int = 1, **fields: Any) -> OpenContext:
    context = report_context(*case(number))
    return OpenContext(
        anchor=context.anchor,
        anchor_type="DiagnosticReport",
        items=tuple(context.open_items()),
        version_id="v1",
        **fields,
    )


def test_open_meets_both_profile_sets() -> None:
    """PROF-08, PROF-09, IRA-PR-01: status unknown, subject, basedOn, one reference per study."""
    context = report_context({**REPORT, "status": "final"}, PATIENT, STUDY)
    assert context.report["status"] == "unknown"
    assert context.report["imagingStudy"] == [{"reference": "ImagingStudy/is-1"}]
    assert "study" not in context.report
    assert [it["key"] for it in context.open_items()] == ["report", "patient", "study"]


def test_r5_names_the_study_element_anew() -> None:
    """PROF-11."""
    context = report_context(REPORT, PATIENT, STUDY, fhir=FhirVersion.R5)
    assert context.report["study"] == [{"reference": "ImagingStudy/is-1"}]
    assert "imagingStudy" not in context.report


def test_study_uid_is_written_for_both_profile_sets() -> None:
    """PROF-05, IRA-PR-03: system and urn:oid for the one, type 110180 for the other."""
    accession = next(it for it in STUDY["identifier"] if it["system"].startswith("urn:oid"))
    context = report_context(REPORT, PATIENT, {**STUDY, "identifier": [UID, accession]})
    uid = context.studies[0]["identifier"][0]
    assert (uid["system"], uid["value"]) == ("urn:dicom:uid", "urn:oid:2.999.9.1")
    assert uid["type"]["coding"][0]["code"] == "110180"
    assert study_uid_of(context.studies[0]) == "2.999.9.1"


def test_record_number_gets_its_display() -> None:
    """IRA-PR-02: the pattern includes the display."""
    coding = report_context(REPORT, PATIENT, STUDY).patient["identifier"][0]["type"]["coding"]
    assert coding == [{"system": V2_0203, "code": "MR", "display": "Medical Record Number"}]


def test_accession_of_the_study_goes_into_based_on() -> None:
    """PROF-08: if it is known."""
    bare = {key: value for key, value in REPORT.items() if key != "basedOn"}
    based_on = report_context(bare, PATIENT, STUDY).report["basedOn"]
    assert based_on[0]["identifier"]["value"] == "GH1"


def test_missing_subject_is_filled_in() -> None:
    """PROF-03."""
    bare = {key: value for key, value in REPORT.items() if key != "subject"}
    context = report_context(bare, PATIENT, STUDY)
    assert context.report["subject"] == {"reference": "Patient/pt-1"}


def test_what_was_handed_in_is_not_changed() -> None:
    """The application's own resources stay as they are."""
    before = encode([REPORT, PATIENT, STUDY])
    report_context(REPORT, PATIENT, STUDY)
    assert encode([REPORT, PATIENT, STUDY]) == before


@pytest.mark.parametrize(
    ("report", "patient", "study", "field"),
    [
        ({**REPORT, "subject": {"reference": "Patient/pt-2"}}, PATIENT, STUDY, "report.subject"),
        (REPORT, PATIENT, {**STUDY, "subject": {"reference": "Patient/pt-2"}}, "study.*subject"),
        (REPORT, {**PATIENT, "identifier": []}, STUDY, "patient.identifier"),
        (REPORT, {**PATIENT, "identifier": [{"value": "7"}]}, STUDY, "medical record number"),
        (REPORT, PATIENT, {**STUDY, "identifier": [UID]}, "accession number"),
        (REPORT, PATIENT, {**STUDY, "identifier": STUDY["identifier"][1:]}, "Study Instance UID"),
        ({**REPORT, "id": ""}, PATIENT, STUDY, "report.id"),
        (PATIENT, PATIENT, STUDY, "report: is no DiagnosticReport"),
        ({**REPORT, "study": [{"reference": "ImagingStudy/x"}]}, PATIENT, STUDY, "not here"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    report: Json, patient: Json, study: Json, field: str
) -> None:
    """EVT-17, PROF-01, PROF-03, PROF-05, PROF-08, IRA-PR-02, IRA-PR-03: an error names the part."""
    with pytest.raises(InvalidContext, match=field):
        report_context(report, patient, study)


def test_ira_wants_a_study() -> None:
    """IRA-HUB-07; plain FHIRcast does without."""
    with pytest.raises(InvalidContext, match="study"):
        report_context(REPORT, PATIENT)
    bare = {key: value for key, value in REPORT.items() if key != "study"}
    assert not report_context(bare, PATIENT, ira=False).studies


def test_close_tells_the_newest_status_and_no_more_of_the_patient() -> None:
    """PROF-02, PROF-10."""
    final = {**REPORT, "status": "final"}
    items = close_items(opened(content={"DiagnosticReport/dr-1": final}))
    assert items[0]["resource"]["status"] == "final"
    assert set(items[1]["resource"]) == {"resourceType", "id", "identifier"}


def test_measurement_is_about_the_contexts_patient() -> None:
    """CONT-20, CONT-21: subject, derivedFrom, business identifier, the digits of the value."""
    shared = measurement(opened(), Decimal("8.20"), "mm", measured_at=NOON)
    assert shared["subject"] == {"reference": "Patient/pt-1"}
    assert shared["derivedFrom"] == [{"reference": "ImagingStudy/is-1"}]
    assert shared["identifier"]
    assert b'"value":8.20' in encode(shared)


def test_imaging_selection_refers_to_one_instance() -> None:
    """IRA-PR-04."""
    chosen = imaging_selection(opened(), study_uid="1", series_uid="1.2", instance_uid="1.2.3")
    assert chosen["status"] == "unknown"
    assert chosen["derivedFrom"] == [{"reference": "ImagingStudy/is-1"}]
    assert chosen["instance"] == [{"uid": "1.2.3"}]


def test_bundle_names_every_target() -> None:
    """CONT-09 … CONT-12, D-06: fullUrl and request.url, PUT and DELETE only."""
    shared = measurement(opened(), 8, "mm", measured_at=NOON, id="ob-1")
    bundle = updates_bundle([shared], ["Observation/ob-2"])
    targets = [(it["fullUrl"], it["request"]["method"]) for it in bundle["entry"]]
    assert targets == [("Observation/ob-1", "PUT"), ("Observation/ob-2", "DELETE")]
    assert bundle["type"] == "transaction"


@pytest.mark.parametrize(
    "make",
    [
        lambda: updates_bundle(),
        lambda: updates_bundle([{"resourceType": "Observation"}]),
        lambda: updates_bundle([REPORT, REPORT]),
    ],
)
def test_bundles_that_the_hub_would_refuse_are_not_made(make: Callable[[], Json]) -> None:
    """CONT-09, CONT-10."""
    with pytest.raises(InvalidContext):
        make()
