"""Builders of FHIRcast messages and sessions for tests. Every patient here is made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
from fhircast_hub.protocol.judging import decide
from fhircast_hub.protocol.messages import EventNotification, parse_notification
from fhircast_hub.protocol.session import Decision, Rules, Session

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]

TOPIC = "5b1f2c1e-3c55-4b57-9d57-0a6f6f0c9b11"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
BASE = Rules()
IRA = Rules(ira=True)

_V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_KEYS = {"DiagnosticReport": "report", "ImagingStudy": "study"}
_ids = count(1000)


def identifier(value: str, *, system: str = "", code: str = "") -> Json:
    """An Identifier, typed by a code of v2-0203 (MR, ACSN) or DCM (110180)."""
    coding = {"system": _DCM if code.isdecimal() else _V2_0203, "code": code}
    return {
        **({"type": {"coding": [coding]}} if code else {}),
        **({"system": system} if system else {}),
        "value": value,
    }


def mrn(value: str) -> Json:
    return identifier(value, system="urn:oid:2.999.1.5", code="MR")


def study_uid(value: str) -> Json:
    return identifier(value, system="urn:dicom:uid", code="110180")


def accession(value: str) -> Json:
    return identifier(value, system="urn:oid:2.999.1.6", code="ACSN")


def case(number: int) -> tuple[Json, Json, Json]:
    """Report, patient and study of one reading case, as IRA wants them."""
    subject = {"reference": f"Patient/pt-{number}"}
    patient = {"resourceType": "Patient", "id": f"pt-{number}", "identifier": [mrn(f"44{number}")]}
    study = {
        "resourceType": "ImagingStudy",
        "id": f"is-{number}",
        "status": "available",
        "subject": subject,
        "identifier": [study_uid(f"urn:oid:2.999.9.{number}"), accession(f"GH{number}")],
    }
    report = {
        "resourceType": "DiagnosticReport",
        "id": f"dr-{number}",
        "identifier": [identifier(f"GH{number}.RPT1", system="urn:oid:2.999.1.7")],
        "status": "unknown",
        "basedOn": [{"type": "ServiceRequest", "identifier": accession(f"GH{number}")}],
        "subject": subject,
        "study": [{"reference": f"ImagingStudy/is-{number}"}],
    }
    return report, patient, study


def observation(id: str, value: float = 8.2) -> Json:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "preliminary",
        "subject": {"reference": "Patient/pt-1"},
        "valueQuantity": {"value": value, "unit": "mm"},
    }


REPORT, PATIENT, STUDY = case(1)
REPORT_2, PATIENT_2, STUDY_2 = case(2)
ENCOUNTER: Json = {
    "resourceType": "Encounter",
    "id": "en-1",
    "status": "unknown",
    "subject": {"reference": "Patient/pt-1"},
}
OBSERVATION = observation("ob-1")


def target(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def key_of(resource: Json) -> str:
    resource_type: str = resource["resourceType"]
    return _KEYS.get(resource_type, resource_type.lower())


def item(resource: Json, key: str = "") -> Json:
    """A context item that holds a resource, under the key of its type."""
    return {"key": key or key_of(resource), "resource": resource}


def ref(reference: str, key: str) -> Json:
    """A context item that points to a resource."""
    return {"key": key, "reference": {"reference": reference}}


def stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def after(seconds: float) -> datetime:
    """A moment after (or before) noon."""
    return NOON + timedelta(seconds=seconds)


def message(
    event: str,
    context: list[Json],
    *,
    id: str = "",
    at: datetime = NOON,
    topic: str = TOPIC,
    version_id: str = "",
) -> Json:
    """An event notification as JSON value."""
    version = {"context.versionId": version_id} if version_id else {}
    return {
        "timestamp": stamp(at),
        "id": id or f"e-{next(_ids)}",
        "event": {"hub.topic": topic, "hub.event": event, **version, "context": context},
    }


def parsed(value: Any) -> EventNotification:
    return parse_notification(msgspec.json.encode(value))


def event(name: str, *items: Json, **fields: Any) -> EventNotification:
    """Any event with these context items."""
    return parsed(message(name, list(items), **fields))


def open_event(anchor: Json, *others: Json, **fields: Any) -> EventNotification:
    """An open of the anchor, with further resources in its context."""
    items = [item(resource) for resource in (anchor, *others)]
    return event(f"{anchor['resourceType']}-open", *items, **fields)


def open_case(number: int = 1, **fields: Any) -> EventNotification:
    """A DiagnosticReport-open with report, patient and study."""
    return open_event(*case(number), **fields)


def close_event(anchor: Json, **fields: Any) -> EventNotification:
    return event(f"{anchor['resourceType']}-close", item(anchor), **fields)


def put(resource: Json) -> Json:
    """A Bundle entry that creates or replaces a resource."""
    url = target(resource)
    return {"fullUrl": url, "request": {"method": "PUT", "url": url}, "resource": resource}


def delete(url: str) -> Json:
    return {"fullUrl": url, "request": {"method": "DELETE", "url": url}}


def bundle(*entries: Json, **fields: Any) -> Json:
    """An updates Bundle."""
    return {
        "resourceType": "Bundle",
        "id": "b-1",
        "type": "transaction",
        "entry": list(entries),
        **fields,
    }


def update_event(
    anchor: Json, version_id: str, entries: Iterable[Json] = (), **fields: Any
) -> EventNotification:
    """An update of the anchor's content, based on this version."""
    updates = {"key": "updates", "resource": bundle(*entries)}
    name = f"{anchor['resourceType']}-update"
    named = ref(target(anchor), key_of(anchor))
    return event(name, named, updates, version_id=version_id, **fields)


def select_event(anchor: Json, *references: str, **fields: Any) -> EventNotification:
    """A selection of these resources; none clears it in the form of D-09."""
    selected = [ref(it, "select") for it in references] or [{"key": "select", "reference": []}]
    name = f"{anchor['resourceType']}-select"
    return event(name, ref(target(anchor), key_of(anchor)), *selected, **fields)


def sync_error(about: str, *, id: str = "", issue: Json | None = None) -> EventNotification:
    """A SyncError of a subscriber about an event."""
    codes = {"eventid": about, "eventname": "DiagnosticReport-open", "subscribername": "Dictation"}
    coding = [
        {"system": f"https://fhircast.hl7.org/events/syncerror/{system}", "code": code}
        for system, code in codes.items()
    ]
    issue = issue or {"severity": "warning", "code": "processing", "details": {"coding": coding}}
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    return event("SyncError", item(outcome), id=id)


def new_session() -> Session:
    """A session in which nothing was opened yet."""
    return Session(topic=TOPIC, version_id="v0")


def judge(
    session: Session, notification: EventNotification, version_id: str = "v9", rules: Rules = BASE
) -> Decision:
    """Decide at noon."""
    return decide(session, notification, version_id=version_id, now=NOON, rules=rules)


def session_after(*requests: EventNotification, rules: Rules = BASE) -> Session:
    """The session after these accepted requests, which get the versions v1, v2 and so on."""
    session = new_session()
    for number, request in enumerate(requests, 1):
        session = judge(session, request, f"v{number}", rules).session
    return session


def opened(*numbers: int) -> Session:
    """A session in which these cases were opened, a second apart; the last one is current."""
    return session_after(*(open_case(it, at=after(it - 60)) for it in numbers or (1,)))


def value(raw: bytes) -> Any:
    """The JSON value in these bytes."""
    return msgspec.json.decode(raw)
