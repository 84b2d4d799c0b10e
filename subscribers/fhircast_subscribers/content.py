"""What subscribers share: measurements, image references, report status, and the updates Bundle.

Spec: 2.10, 3.6.3; CONT-08 … CONT-14, CONT-20, CONT-21, IRA-CC-02, IRA-PR-04.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhircast_hub.protocol.messages import format_timestamp
from fhircast_hub.protocol.syncerror import EVENT_ID, EVENT_NAME, SUBSCRIBER_NAME

from fhircast_subscribers.errors import InvalidContext, RefusedLocally
from fhircast_subscribers.fhir import DCM, new_id, objects
from fhircast_subscribers.wire import Item, Resource, reference_of, resource_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from decimal import Decimal

    from fhircast_subscribers.contexts import OpenContext

LENGTH = {"system": "http://snomed.info/sct", "code": "410668003", "display": "Length"}
OF_INTEREST = {"system": DCM, "code": "113000", "display": "Of Interest"}
UCUM = "http://unitsofmeasurement.org"
_OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_LOGOUT_CODES = "http://fhircast.hl7.org/CodeSystem/fhircast-codesystem"
_MAX_NAME = 256


def measurement(
    context: OpenContext,
    value: Decimal | float,
    unit: str,
    *,
    measured_at: datetime,
    code: Mapping[str, Any] = LENGTH,
    derived_from: str = "",
    id: str = "",
) -> Resource:
    """Return an Observation of the context's patient (CONT-21, IRA-PR-04).

    Args:
        context: The open report context.
        value: What was measured; a `Decimal` keeps its digits.
        unit: UCUM code.
        measured_at: Aware time.
        code: Coding of what was measured.
        derived_from: "Type/id" of the ImagingSelection or study; the context's study by default.
        id: Of the Observation; a new UUID by default. Reuse it to change a measurement (CONT-20).

    Raises:
        InvalidContext: The context has no patient.
    """
    _report, patient, studies = context.association
    if not patient:
        raise InvalidContext("context.patient", "missing", rule="CONT-21")
    observation: Resource = {
        "resourceType": "Observation",
        "id": id or new_id(),
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{new_id()}"}],
        "status": "preliminary",
        "category": [{"coding": [{"system": _OBSERVATION_CATEGORY, "code": "imaging"}]}],
        "code": {"coding": [dict(code)]},
        "subject": {"reference": patient},
        "effectiveDateTime": format_timestamp(measured_at),
        "valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit},
    }
    origin = derived_from or next(iter(studies), "")
    if origin:
        observation["derivedFrom"] = [{"reference": origin}]
    return observation


def imaging_selection(
    context: OpenContext, *, study_uid: str, series_uid: str, instance_uid: str, id: str = ""
) -> Resource:
    """Return an R5 ImagingSelection of one instance (IRA-CC-02, IRA-PR-04).

    Args:
        context: The open report context.
        study_uid: Study Instance UID.
        series_uid: Series Instance UID.
        instance_uid: SOP Instance UID.
        id: Of the ImagingSelection; a new UUID by default.

    Raises:
        InvalidContext: The context has no patient or no study.
    """
    _report, patient, studies = context.association
    if not patient or not studies:
        raise InvalidContext("context", "has no patient or no study", rule="IRA-PR-04")
    return {
        "resourceType": "ImagingSelection",
        "id": id or new_id(),
        "status": "unknown",
        "subject": {"reference": patient},
        "code": {"coding": [dict(OF_INTEREST)]},
        "studyUid": study_uid,
        "derivedFrom": [{"reference": studies[0]}],
        "seriesUid": series_uid,
        "instance": [{"uid": instance_uid}],
    }


def updates_bundle(puts: Iterable[Resource] = (), deletes: Iterable[str] = ()) -> Resource:
    """Return the updates Bundle: PUT and DELETE entries, each resource once (CONT-09 … CONT-12).

    Args:
        puts: Resources that are new or replaced, whole.
        deletes: "Type/id"s that go.

    Raises:
        InvalidContext: A resource without type or id, one that comes twice, or nothing at all.
    """
    entries: list[dict[str, Any]] = []
    seen: set[str] = set()
    for resource in puts:
        key = _once(resource_key(resource), seen)
        entries.append(
            {"fullUrl": key, "request": {"method": "PUT", "url": key}, "resource": resource}
        )
    for target in deletes:
        key = _once(target, seen)
        entries.append({"fullUrl": key, "request": {"method": "DELETE", "url": key}})
    if not entries:
        raise InvalidContext("updates.entry", "nothing to change", rule="CONT-09")
    return {"resourceType": "Bundle", "id": new_id(), "type": "transaction", "entry": entries}


def check_update(context: OpenContext, bundle: Mapping[str, Any]) -> None:
    """Pass if the Bundle may be sent for this context.

    Raises:
        RefusedLocally: It would remove a resource of the open (CONT-13), or share something about
            another patient (CONT-21, PROF-03).
    """
    opened = context.opened_resources()
    patient = context.association[1]
    for entry in objects(bundle.get("entry")):
        request = entry.get("request") or {}
        if request.get("method") == "DELETE" and entry.get("fullUrl") in opened:
            raise RefusedLocally("a resource of the open event cannot be removed", rule="CONT-13")
        resource = entry.get("resource") or {}
        subject = reference_of(resource.get("subject"))
        if resource.get("resourceType") == "Observation" and not subject:
            raise RefusedLocally("an Observation needs a subject", rule="CONT-21")
        if patient and subject.startswith("Patient/") and subject != patient:
            raise RefusedLocally("the content is about another patient", rule="PROF-03")


def select_items(targets: Iterable[str]) -> list[Item]:
    """Return the items of a selection: one per resource, or the empty form (SEL-01, D-09)."""
    chosen: list[Item] = [
        {"key": "select", "reference": {"reference": it}} for it in dict.fromkeys(targets)
    ]
    return chosen or [{"key": "select", "reference": []}]


def sync_error_items(*, event_id: str, event_name: str, subscriber: str, reason: str) -> list[Item]:
    """Return the context of a SyncError that a subscriber sends itself (SYNC-02 … SYNC-04).

    Args:
        event_id: Of the event that is not followed.
        event_name: Its name.
        subscriber: Own name.
        reason: In words, for the other users; no patient data.
    """
    codes = ((EVENT_ID, event_id), (EVENT_NAME, event_name), (SUBSCRIBER_NAME, subscriber))
    issue = {
        "severity": "warning",
        "code": "processing",
        "diagnostics": f"{subscriber}: {reason}"[:_MAX_NAME],
        "details": {"coding": [{"system": system, "code": code} for system, code in codes]},
    }
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    return [{"key": "operationoutcome", "resource": outcome}]


def logout_items(code: str = "user-initiated") -> list[Item]:
    """Return the context of a UserLogout or UserHibernate (INF-01, INF-03, D-35)."""
    coding = {"system": _LOGOUT_CODES, "code": code}
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "code", "valueCoding": coding}],
    }
    return [{"key": "parameters", "resource": parameters}]


def _once(key: str, seen: set[str]) -> str:
    if "/" not in key:
        raise InvalidContext("updates.entry", "a resource without type or id", rule="CONT-10")
    if key in seen:
        raise InvalidContext("updates.entry", "the same resource twice", rule="CONT-09")
    seen.add(key)
    return key
