"""The demo's central promise: FHIR resources and DICOM headers tell of the same case.

Everything is read from outside: resources over the FHIR API, headers from the files that
WADO-RS serves at the address the EHR itself names.
"""

from __future__ import annotations

import io
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any

import pydicom

if TYPE_CHECKING:
    import httpx
    from pydicom.dataset import Dataset

Json = dict[str, Any]
STORED = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}


async def resources(client: httpx.AsyncClient, kind: str) -> list[Json]:
    bundle = (await client.get(f"/fhir/{kind}?_count=200")).json()
    return [entry["resource"] for entry in bundle["entry"]]


def of_type(resource: Json, code: str) -> str:
    """Return the value of the one identifier whose type has the code."""
    (value,) = [
        str(one["value"])
        for one in resource["identifier"]
        if any(coding["code"] == code for coding in one.get("type", {}).get("coding", []))
    ]
    return value


async def served_files(client: httpx.AsyncClient, study: Json) -> list[Dataset]:
    """Retrieve the study where the ImagingStudy's endpoint says it is."""
    endpoint = (await client.get(f"/fhir/{study['endpoint'][0]['reference']}")).json()
    uid = of_type(study, "110180").removeprefix("urn:oid:")
    answer = await client.get(f"{endpoint['address']}/studies/{uid}", headers=STORED)
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + answer.content)
    parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    return [pydicom.dcmread(io.BytesIO(part)) for part in parts if isinstance(part, bytes)]


async def test_accession_study_and_patient_agree_for_every_case(client: httpx.AsyncClient) -> None:
    """Accession number, Study Instance UID and patient: one truth in all resources and files."""
    orders = {order["id"]: order for order in await resources(client, "ServiceRequest")}
    patients = {patient["id"]: patient for patient in await resources(client, "Patient")}
    studies = await resources(client, "ImagingStudy")
    for study in studies:
        patient = patients[study["subject"]["reference"].removeprefix("Patient/")]
        order = orders[study["basedOn"][0]["reference"].removeprefix("ServiceRequest/")]
        assert order["subject"] == study["subject"]
        assert of_type(order, "ACSN") == of_type(study, "ACSN")
        files = await served_files(client, study)
        assert len(files) == study["numberOfInstances"]
        for file in files:
            assert f"urn:oid:{file.StudyInstanceUID}" == of_type(study, "110180")
            assert file.AccessionNumber == of_type(study, "ACSN")
            assert file.PatientID == of_type(patient, "MR")
            assert file.PatientName.family_name == patient["name"][0]["family"]
            assert file.PatientName.given_name == patient["name"][0]["given"][0]
            assert file.PatientBirthDate == patient["birthDate"].replace("-", "")
            assert file.PatientSex == patient["gender"][0].upper()
            assert file.Modality == study["modality"][0]["code"]
            assert file.StudyDescription == study["description"]
            started = study["started"].replace("-", "").replace(":", "")
            assert started.startswith(f"{file.StudyDate}T{file.StudyTime}")
    assert len(studies) == len(orders) == 6


async def test_series_and_instances_agree(client: httpx.AsyncClient) -> None:
    for study in await resources(client, "ImagingStudy"):
        listed = {
            (series["uid"], instance["uid"], instance["sopClass"]["code"])
            for series in study["series"]
            for instance in series["instance"]
        }
        files = await served_files(client, study)
        assert listed == {
            (f.SeriesInstanceUID, f.SOPInstanceUID, f"urn:oid:{f.SOPClassUID}") for f in files
        }
        assert study["numberOfSeries"] == len({f.SeriesInstanceUID for f in files})


async def test_file_meta_agrees_with_the_data_set(client: httpx.AsyncClient) -> None:
    for study in await resources(client, "ImagingStudy"):
        for file in await served_files(client, study):
            assert file.file_meta.MediaStorageSOPInstanceUID == file.SOPInstanceUID
            assert file.file_meta.MediaStorageSOPClassUID == file.SOPClassUID


async def test_reports_refer_to_order_study_and_patient(client: httpx.AsyncClient) -> None:
    """PROF-03, PROF-08: accession in basedOn, study and subject of the same case."""
    studies = {study["id"]: study for study in await resources(client, "ImagingStudy")}
    reports = await resources(client, "DiagnosticReport")
    for report in reports:
        study = studies[report["imagingStudy"][0]["reference"].removeprefix("ImagingStudy/")]
        (based_on,) = report["basedOn"]
        assert based_on["type"] == "ServiceRequest"
        assert of_type({"identifier": [based_on["identifier"]]}, "ACSN") == of_type(study, "ACSN")
        assert based_on["reference"] == study["basedOn"][0]["reference"]
        assert report["subject"]["reference"] == study["subject"]["reference"]
    assert len(reports) == len(studies)


async def test_identifiers_are_those_of_the_profiles(client: httpx.AsyncClient) -> None:
    """IRA-PR-02, IRA-PR-03, PROF-05."""
    for patient in await resources(client, "Patient"):
        (coding,) = patient["identifier"][0]["type"]["coding"]
        assert coding["display"] == "Medical Record Number"
        assert patient["meta"]["tag"][0]["display"].startswith("Made-up test data")
    for study in await resources(client, "ImagingStudy"):
        (uid,) = [one for one in study["identifier"] if one["system"] == "urn:dicom:uid"]
        assert uid["value"].startswith("urn:oid:2.25.")
        assert study["status"] == "available"


async def test_the_prior_is_reported_and_the_others_are_not(client: httpx.AsyncClient) -> None:
    orders = {order["id"]: order["status"] for order in await resources(client, "ServiceRequest")}
    for report in await resources(client, "DiagnosticReport"):
        order = orders[report["basedOn"][0]["reference"].removeprefix("ServiceRequest/")]
        assert (report["status"], order) in (("registered", "active"), ("final", "completed"))
        assert bool(report.get("conclusion")) == (report["status"] == "final")
    assert sorted(orders.values()) == ["active"] * 5 + ["completed"]
