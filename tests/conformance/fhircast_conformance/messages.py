"""Requests that conform, as JSON values; a check breaks the one thing that it is about.

Patients are made up. Resources satisfy the profiles of FHIRcast 3.0.0 (FHIR R4) and, with `study`
beside `imagingStudy`, those of IHE IRA.
"""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

_ACSN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
_MR = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/v2-0203",
            "code": "MR",
            "display": "Medical Record Number",
        }
    ]
}
_STUDY_UID = {
    "coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "110180"}]
}
SYNC_ERROR_SYSTEM = "https://fhircast.hl7.org/events/syncerror/"

_numbers = itertools.count(1)


def new_id() -> str:
    """Return an id never used before."""
    return str(uuid.uuid4())


def stamp(*, ahead_seconds: float = 0.0) -> str:
    """Return now, or a time before or after it, as FHIRcast writes it."""
    at = datetime.now(UTC) + timedelta(seconds=ahead_seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def message(topic: str, event: str, context: list[Json], **fields: Any) -> Json:
    """Return a request for any event.

    Args:
        topic: `hub.topic`.
        event: `hub.event`.
        context: The items.
        fields: `id` and `timestamp` of the message; anything else goes into the event, dots
            written as `__` (`context__versionId`).
    """
    outer = {
        "timestamp": fields.pop("timestamp", stamp()),
        "id": fields.pop("id", new_id()),
    }
    further = {key.replace("__", "."): value for key, value in fields.items()}
    inner = {"hub.topic": topic, "hub.event": event, "context": context, **further}
    return {**outer, "event": inner}


def item(key: str, resource: Json) -> Json:
    """Return a context item that holds a resource."""
    return {"key": key, "resource": resource}


def ref(key: str, reference: str) -> Json:
    """Return a context item that holds a reference."""
    return {"key": key, "reference": {"reference": reference}}


def target(resource: Json) -> str:
    """Return "Type/id" of a resource."""
    return f"{resource['resourceType']}/{resource['id']}"


def put(resource: Json) -> Json:
    """Return a Bundle entry that creates or replaces a resource."""
    return {"request": {"method": "PUT", "url": target(resource)}, "resource": resource}


def delete(named: str) -> Json:
    """Return a Bundle entry that removes "Type/id"."""
    return {"fullUrl": named, "request": {"method": "DELETE", "url": named}}


def bundle(*entries: Json, **fields: Any) -> Json:
    """Return an update's Bundle."""
    made = {"resourceType": "Bundle", "id": new_id(), "type": "transaction", "entry": list(entries)}
    return made | fields


@dataclass(frozen=True, slots=True)
class Case:
    """A patient with a study and a report on it; accession number and study UID agree."""

    patient: Json
    study: Json
    report: Json

    def opens(self, topic: str, **fields: Any) -> Json:
        """Return DiagnosticReport-open with report, patient and study."""
        return message(topic, "DiagnosticReport-open", self.items(), **fields)

    def closes(self, topic: str, **fields: Any) -> Json:
        """Return DiagnosticReport-close."""
        return message(topic, "DiagnosticReport-close", self.items(), **fields)

    def opens_patient(self, topic: str, **fields: Any) -> Json:
        """Return Patient-open."""
        return message(topic, "Patient-open", [item("patient", self.patient)], **fields)

    def closes_patient(self, topic: str, **fields: Any) -> Json:
        """Return Patient-close."""
        return message(topic, "Patient-close", [item("patient", self.patient)], **fields)

    def opens_study(self, topic: str, **fields: Any) -> Json:
        """Return ImagingStudy-open with study and patient."""
        return message(topic, "ImagingStudy-open", self._study_items(), **fields)

    def closes_study(self, topic: str, **fields: Any) -> Json:
        """Return ImagingStudy-close."""
        return message(topic, "ImagingStudy-close", self._study_items(), **fields)

    def updates(self, topic: str, version: str | None, *entries: Json, **fields: Any) -> Json:
        """Return DiagnosticReport-update on a version; None leaves the version out."""
        versioned = {} if version is None else {"context__versionId": version}
        context = [ref("report", target(self.report)), item("updates", bundle(*entries))]
        return message(topic, "DiagnosticReport-update", context, **(versioned | fields))

    def selects(self, topic: str, *references: str, **fields: Any) -> Json:
        """Return DiagnosticReport-select of these references; none clears the selection."""
        chosen = [ref("select", it) for it in references] or [{"key": "select", "reference": []}]
        context = [ref("report", target(self.report)), *chosen]
        return message(topic, "DiagnosticReport-select", context, **fields)

    def items(self) -> list[Json]:
        """Return the context items of the report's open."""
        return [
            item("report", self.report),
            item("patient", self.patient),
            item("study", self.study),
        ]

    def observation(self, text: str = "length 8.20 mm") -> Json:
        """Return a new measurement on the study."""
        return {
            "resourceType": "Observation",
            "id": new_id(),
            "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{new_id()}"}],
            "status": "preliminary",
            "code": {"text": "Length"},
            "subject": {"reference": target(self.patient)},
            "derivedFrom": [{"reference": target(self.study)}],
            "valueString": text,
        }

    def _study_items(self) -> list[Json]:
        return [item("study", self.study), item("patient", self.patient)]


def new_case(*, patient: Json | None = None) -> Case:
    """Return a case never seen before; `patient` gives an existing patient another study."""
    number = next(_numbers)
    accession = {"type": _ACSN, "system": "urn:oid:2.16.840.1.113883.19.5", "value": new_id()[:12]}
    uid = {
        "type": _STUDY_UID,
        "system": "urn:dicom:uid",
        "value": f"urn:oid:2.25.{uuid.uuid4().int}",
    }
    patient = patient or {
        "resourceType": "Patient",
        "id": new_id(),
        "identifier": [
            {"type": _MR, "system": "urn:oid:2.16.840.1.113883.19.6", "value": new_id()}
        ],
        "name": [{"family": "Madeup", "given": [f"Sample{number}"]}],
        "gender": "unknown",
        "birthDate": "1970-01-01",
    }
    study = {
        "resourceType": "ImagingStudy",
        "id": new_id(),
        "identifier": [uid, accession],
        "status": "available",
        "subject": {"reference": target(patient)},
    }
    report = {
        "resourceType": "DiagnosticReport",
        "id": new_id(),
        "status": "unknown",
        "subject": {"reference": target(patient)},
        "code": {"text": "Radiology report"},
        "basedOn": [{"type": "ServiceRequest", "identifier": accession}],
        "imagingStudy": [{"reference": target(study)}],
        "study": [{"reference": target(study)}],
    }
    return Case(patient, study, report)


def sync_error(topic: str, about: str, event: str, name: str, **fields: Any) -> Json:
    """Return a subscriber's SyncError about an event that it had accepted."""
    coding = [
        {"system": f"{SYNC_ERROR_SYSTEM}{system}", "code": code}
        for system, code in (("eventid", about), ("eventname", event), ("subscribername", name))
    ]
    issue = {
        "severity": "warning",
        "code": "processing",
        "diagnostics": f"{name} cannot follow: unsaved text",
        "details": {"coding": coding},
    }
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    return message(topic, "SyncError", [item("operationoutcome", outcome)], **fields)


def codings(frame: Json) -> dict[str, str]:
    """Return what a SyncError says: last part of each coding's system -> code, in order.

    Raises:
        KeyError, IndexError, TypeError: It is not shaped like a SyncError.
    """
    issue = frame["event"]["context"][0]["resource"]["issue"][0]
    return {it["system"].rsplit("/", 1)[-1]: it["code"] for it in issue["details"]["coding"]}
