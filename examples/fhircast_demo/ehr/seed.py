"""The EHR's first content: patients, orders, studies and reports, written from the cases.

Whatever a FHIR resource shares with a DICOM header (accession number, Study Instance UID, patient,
date) is read from the same `Case`, so the two cannot disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_demo.cases.retag import MADE_UP
from fhircast_demo.ehr.store import instant

if TYPE_CHECKING:
    from fhircast_demo.cases import Case, Cases
    from fhircast_demo.cases.catalogue import Person
    from fhircast_demo.ehr.errors import Json
    from fhircast_demo.ehr.store import FhirStore

MRN_SYSTEM = "urn:oid:2.999.1.5"
ACCESSION_SYSTEM = "urn:oid:2.999.1.6"
REPORT_SYSTEM = "urn:oid:2.999.1.7"
ENDPOINT_ID = "dicomweb"
RADIOLOGIST_ID = "rosa-readwell"
REFERRER_ID = "olga-orderwell"

_V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
_CONNECTION = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
_PAYLOAD = "http://terminology.hl7.org/CodeSystem/endpoint-payload-type"
_TAG = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "code": "HTEST",
    "display": MADE_UP,
}


def seed(store: FhirStore, cases: Cases, *, dicomweb_base: str) -> None:
    """Write every resource of the cases, all or nothing.

    Args:
        store: Where to; resources with the same ids are replaced.
        cases: The cases, see `fhircast_demo.cases.load_cases`.
        dicomweb_base: Absolute URL of the DICOMweb service that serves the same cases.
    """
    with store.atomic():
        for resource in (_radiologist(), _referrer(), _endpoint(dicomweb_base)):
            _put(store, resource)
        for person in {case.recipe.person.id: case.recipe.person for case in cases}.values():
            _put(store, patient(person))
        for case in cases:
            for resource in (service_request(case), imaging_study(case), diagnostic_report(case)):
                _put(store, resource)


def _put(store: FhirStore, resource: Json) -> None:
    store.update(resource["resourceType"], resource["id"], resource)


def patient(person: Person) -> Json:
    """The Patient, with the MRN as IRA wants it (IRA-PR-02)."""
    return {
        "resourceType": "Patient",
        "id": person.id,
        "meta": {"tag": [_TAG]},
        "identifier": [
            {
                "use": "usual",
                "type": _type(_V2_0203, "MR", "Medical Record Number"),
                "system": MRN_SYSTEM,
                "value": person.mrn,
            }
        ],
        "active": True,
        "name": [{"use": "official", "family": person.family, "given": [person.given]}],
        "gender": person.gender,
        "birthDate": person.birth_date.isoformat(),
    }


def service_request(case: Case) -> Json:
    """The order; `completed` for a prior."""
    recipe = case.recipe
    return {
        "resourceType": "ServiceRequest",
        "id": f"sr-{recipe.key}",
        "meta": {"tag": [_TAG]},
        "identifier": [_accession(case)],
        "status": "completed" if recipe.conclusion else "active",
        "intent": "order",
        "priority": "routine",
        "code": _examination(case),
        "subject": _subject(case),
        "authoredOn": instant(case.ordered_at),
        "requester": _named(f"Practitioner/{REFERRER_ID}", "Olga Orderwell"),
        "reasonCode": [{"text": recipe.reason}],
    }


def imaging_study(case: Case) -> Json:
    """The study: UID with system `urn:dicom:uid` and type DCM 110180 (PROF-05, IRA-PR-03)."""
    recipe = case.recipe
    uid = {
        "type": _type(_DCM, "110180", "Study Instance UID"),
        "system": "urn:dicom:uid",
        "value": f"urn:oid:{case.study_uid}",
    }
    modality = {"system": _DCM, "code": recipe.modality}
    return {
        "resourceType": "ImagingStudy",
        "id": f"is-{recipe.key}",
        "meta": {"tag": [_TAG]},
        "identifier": [uid, _accession(case)],
        "status": "available",
        "modality": [modality],
        "subject": _subject(case),
        "started": instant(case.started_at),
        "basedOn": [{"reference": f"ServiceRequest/sr-{recipe.key}", "type": "ServiceRequest"}],
        "referrer": _named(f"Practitioner/{REFERRER_ID}", "Olga Orderwell"),
        "endpoint": [{"reference": f"Endpoint/{ENDPOINT_ID}"}],
        "numberOfSeries": len({str(image.SeriesInstanceUID) for image in case.images}),
        "numberOfInstances": len(case.images),
        "procedureCode": [_examination(case)],
        "description": recipe.description,
        "series": _series(case, modality),
    }


def _series(case: Case, modality: Json) -> list[Json]:
    by_uid: dict[str, Json] = {}
    for image in case.images:
        series = by_uid.setdefault(
            str(image.SeriesInstanceUID),
            {
                "uid": str(image.SeriesInstanceUID),
                "number": int(image.SeriesNumber),
                "modality": modality,
                "description": str(image.SeriesDescription),
                "numberOfInstances": 0,
                "instance": [],
            },
        )
        series["numberOfInstances"] += 1
        series["instance"].append(
            {
                "uid": str(image.SOPInstanceUID),
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{image.SOPClassUID}"},
                "number": int(image.InstanceNumber),
            }
        )
    return list(by_uid.values())


def diagnostic_report(case: Case) -> Json:
    """The report: `registered` until somebody reads the case, `final` for a prior (PROF-08)."""
    recipe = case.recipe
    report: Json = {
        "resourceType": "DiagnosticReport",
        "id": f"dr-{recipe.key}",
        "meta": {"tag": [_TAG]},
        "identifier": [{"system": REPORT_SYSTEM, "value": f"{recipe.accession}.RPT1"}],
        "basedOn": [
            {
                "reference": f"ServiceRequest/sr-{recipe.key}",
                "type": "ServiceRequest",
                "identifier": _accession(case),
            }
        ],
        "status": "registered",
        "category": [_type(_SECTION, "RAD", "Radiology")],
        "code": _examination(case),
        "subject": _subject(case),
        "imagingStudy": [{"reference": f"ImagingStudy/is-{recipe.key}"}],
    }
    if recipe.conclusion:
        report |= {
            "status": "final",
            "effectiveDateTime": instant(case.started_at),
            "issued": instant(case.started_at),
            "resultsInterpreter": [_named(f"Practitioner/{RADIOLOGIST_ID}", "Rosa Readwell")],
            "conclusion": recipe.conclusion,
        }
    return report


def _endpoint(address: str) -> Json:
    return {
        "resourceType": "Endpoint",
        "id": ENDPOINT_ID,
        "status": "active",
        "connectionType": {"system": _CONNECTION, "code": "dicom-wado-rs"},
        "name": "Images of the demo",
        "payloadType": [_type(_PAYLOAD, "any", "Any")],
        "payloadMimeType": ["application/dicom"],
        "address": address,
    }


def _radiologist() -> Json:
    return _practitioner(RADIOLOGIST_ID, "Readwell", "Rosa")


def _referrer() -> Json:
    return _practitioner(REFERRER_ID, "Orderwell", "Olga")


def _practitioner(resource_id: str, family: str, given: str) -> Json:
    return {
        "resourceType": "Practitioner",
        "id": resource_id,
        "meta": {"tag": [_TAG]},
        "active": True,
        "name": [{"family": family, "given": [given], "prefix": ["Dr."]}],
    }


def _subject(case: Case) -> Json:
    person = case.recipe.person
    return _named(f"Patient/{person.id}", f"{person.given} {person.family}")


def _accession(case: Case) -> Json:
    return {
        "type": _type(_V2_0203, "ACSN", "Accession ID"),
        "system": ACCESSION_SYSTEM,
        "value": case.recipe.accession,
    }


def _examination(case: Case) -> Json:
    code = case.recipe.code
    coding = {"system": "http://loinc.org", "code": code.code, "display": code.display}
    return {"coding": [coding], "text": case.recipe.description}


def _type(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _named(reference: str, display: str) -> Json:
    return {"reference": reference, "display": display}
