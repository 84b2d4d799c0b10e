from __future__ import annotations

from typing import Any

import msgspec
import pytest
from builders import PATIENT, REPORT, STUDY, Json, accession, identifier, mrn, study_uid
from fhircast_hub.protocol.errors import AnchorLinkBroken, InvalidRequest
from fhircast_hub.protocol.links import check_links


def check(opened: Json, *, ira: bool = False, **changed: Any) -> None:
    """Check an update that changes these fields of the opened resource; None leaves one out."""
    updated = {key: it for key, it in {**opened, **changed}.items() if it is not None}
    raw = msgspec.json.encode
    check_links(
        opened["resourceType"],
        raw(opened),
        raw(updated),
        field="updates.entry[0].resource",
        ira=ira,
    )


@pytest.mark.parametrize(
    ("opened", "changed"),
    [
        (PATIENT, {"telecom": [{"value": "555-0100"}]}),
        (PATIENT, {"identifier": [*PATIENT["identifier"], identifier("A-1", system="urn:oid:1")]}),
        (STUDY, {"numberOfInstances": 12}),
        (STUDY, {"subject": {"reference": "https://fhir.example.org/Patient/pt-1"}}),
        (REPORT, {"status": "final"}),
        (REPORT, {"identifier": [identifier("other")]}),
        (REPORT, {"basedOn": None}),
        (REPORT, {"subject": None}),
        (REPORT, {"basedOn": [*REPORT["basedOn"], {"reference": "ServiceRequest/sr-1"}]}),
        (REPORT, {"basedOn": [{"reference": "ServiceRequest/sr-1"}]}),
        (STUDY, {"identifier": [study_uid("2.999.9.1"), accession("GH1")]}),
        (STUDY, {"identifier": [*STUDY["identifier"], identifier("x", system="urn:oid:1")]}),
    ],
)
def test_an_update_may_change_everything_but_the_links(opened: Json, changed: Json) -> None:
    """RAD-150: IRA-HUB-11, a phone number added to the patient is accepted."""
    check(opened, **changed)


@pytest.mark.parametrize(
    ("opened", "changed"),
    [
        (PATIENT, {"identifier": [mrn("4438002")]}),
        (PATIENT, {"identifier": [{**mrn("441"), "system": "urn:oid:2.999.1.55"}]}),
        (STUDY, {"identifier": [study_uid("urn:oid:2.999.9.7"), accession("GH1")]}),
        (STUDY, {"identifier": [study_uid("urn:oid:2.999.9.1"), accession("GH7")]}),
        (STUDY, {"identifier": [study_uid("urn:oid:2.999.9.1")]}),
        (STUDY, {"subject": {"reference": "Patient/pt-2"}}),
        (REPORT, {"subject": {"reference": "Patient/pt-2"}}),
        (REPORT, {"basedOn": [{"identifier": accession("GH7")}]}),
        ({**STUDY, "basedOn": REPORT["basedOn"]}, {"basedOn": None}),
        (PATIENT, {"identifier": None}),
        (PATIENT, {"identifier": []}),
        (PATIENT, {"identifier": [*PATIENT["identifier"], mrn("4438002")]}),
        (STUDY, {"identifier": None}),
        (STUDY, {"identifier": [*STUDY["identifier"], study_uid("urn:oid:2.999.9.7")]}),
        (STUDY, {"identifier": [*STUDY["identifier"], accession("GH7")]}),
    ],
)
def test_an_update_that_breaks_a_link_is_refused(opened: Json, changed: Json) -> None:
    """RAD-150: patient id, Study Instance UID and accession stay (IRA-HUB-11, PROF-03)."""
    with pytest.raises(AnchorLinkBroken, match=r"updates\.entry\[0\]\.resource\."):
        check(opened, **changed)


def test_an_accession_number_in_the_reports_identifier_is_a_link_too() -> None:
    """RAD-150: IRA-HUB-11 says "accession in their identifiers"."""
    report = {**REPORT, "identifier": [accession("GH1")]}
    with pytest.raises(AnchorLinkBroken):
        check(report, identifier=[accession("GH7")])


def test_an_accession_number_may_be_added_where_there_was_none() -> None:
    """RAD-150: what was not stated does not change."""
    check({**REPORT, "basedOn": []}, basedOn=[{"identifier": accession("GH1")}])


def test_a_study_uid_without_a_type_is_known_by_its_system() -> None:
    """3.5.1: PROF-05, system urn:dicom:uid."""
    uid = identifier("urn:oid:2.999.9.1", system="urn:dicom:uid")
    with pytest.raises(AnchorLinkBroken):
        check({**STUDY, "identifier": [uid]}, identifier=[{**uid, "value": "urn:oid:2.999.9.2"}])


def test_a_resource_of_another_shape_is_refused_without_quoting_it() -> None:
    """GEN-05, SEC-03: valid FHIR JSON only, nothing of the patient in the error."""
    with pytest.raises(InvalidRequest) as caught:
        check(PATIENT, identifier="4438001")
    assert "4438001" not in str(caught.value)


@pytest.mark.parametrize(
    ("opened", "added", "is_refused"),
    [
        (identifier("1", code="MR"), identifier("2", code="MR"), True),
        (identifier("1", code="MR"), identifier("2", code="SS"), False),
        (identifier("1"), identifier("2"), True),
        (identifier("1", code="MR"), identifier("2"), False),
        (identifier("1"), identifier("2", code="MR"), False),
    ],
)
def test_a_second_patient_id_without_a_system(opened: Json, added: Json, is_refused: bool) -> None:
    """RAD-150, IRA-HUB-11: two ids of one kind leave open which of them is the patient's."""
    patient = {**PATIENT, "identifier": [opened]}
    if not is_refused:
        check(patient, identifier=[opened, added])
        return
    with pytest.raises(AnchorLinkBroken):
        check(patient, identifier=[opened, added])


@pytest.mark.parametrize("key", ["study", "imagingStudy"])
def test_a_report_does_not_move_to_another_study_under_ira(key: str) -> None:
    """RAD-150, IRA-HUB-11, D-37: in the spelling of R4 or R5, and comparisons may be added."""
    own, other = ({"reference": f"ImagingStudy/is-{it}"} for it in (1, 2))
    moved = {"study": None, key: [other]}
    with pytest.raises(AnchorLinkBroken, match="another study"):
        check(REPORT, ira=True, **moved)
    check(REPORT, ira=True, **{**moved, key: [own, other]})
    check(REPORT, ira=True, study=None)
    check({**REPORT, "study": []}, ira=True, **{key: [other]})


def test_a_report_may_name_another_study_in_the_base_profile() -> None:
    """3.6.3, D-37: the example of the standard does."""
    check(REPORT, study=None, imagingStudy=[{"reference": "ImagingStudy/is-2"}])
