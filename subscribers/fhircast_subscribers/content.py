"""What subscribers share: measurements, image references, report status, and the updates Bundle.

Spec: 2.10, 3.6.3; CONT-08 … CONT-14, CONT-20, CONT-21, IRA-CC-02, IRA-PR-04.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhircast_hub.protocol.messages import format_timestamp

from fhircast_subscribers.errors import InvalidContext, RefusedLocally
from fhircast_subscribers.fhir import DCM, new_id, objects
from fhircast_subscribers.profiles import study_to_open
from fhircast_subscribers.wire import Item, Resource, reference_of, resource_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from fhircast_subscribers.contexts import OpenContext

LENGTH = {"system": "http://snomed.info/sct", "code": "410668003", "display": "Length"}
ANNOTATION = {"system": "http://loinc.org", "code": "48767-8", "display": "Annotation comment"}
OF_INTEREST = {"system": DCM, "code": "113000", "display": "Of Interest"}
UCUM = "http://unitsofmeasurement.org"
ASSOCIATED_STUDY = "https://profiles.ihe.net/RAD/IRA/StructureDefinition/associatedStudy"
"""IRA's extension of a DiagnosticReport that names a comparison study."""
_OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def measurement(
    context: OpenContext,
    value: Decimal | float,
    unit: str,
    *,
    measured_at: datetime,
    code: Mapping[str, Any] = LENGTH,
    derived_from: str = "",
    members: Iterable[str] = (),
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
        members: "Observation/id"s that belong to it (`hasMember`).
        id: Of the Observation; a new UUID by default. Reuse it to change a measurement (CONT-20).

    Raises:
        InvalidContext: The context has no patient.
    """
    observation = _observation(context, code, measured_at, derived_from=derived_from, id=id)
    observation["valueQuantity"] = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    if belonging := [{"reference": it} for it in members]:
        observation["hasMember"] = belonging
    return observation


def text_note(
    context: OpenContext,
    text: str,
    *,
    written_at: datetime,
    derived_from: str = "",
    id: str = "",
) -> Resource:
    """Return an Observation that holds a note (IRA-CC-02); arguments as for `measurement`.

    Raises:
        InvalidContext: The context has no patient.
    """
    note = _observation(context, ANNOTATION, written_at, derived_from=derived_from, id=id)
    return {**note, "valueString": text}


def imaging_selection(
    context: OpenContext,
    *,
    study_uid: str,
    series_uid: str,
    instance_uid: str,
    region: tuple[str, Sequence[float]] | None = None,
    id: str = "",
) -> Resource:
    """Return an R5 ImagingSelection of one instance (IRA-CC-02, IRA-PR-04).

    Args:
        context: The open report context.
        study_uid: Study Instance UID.
        series_uid: Series Instance UID.
        instance_uid: SOP Instance UID.
        region: Type (point, polyline …) and image coordinates of a region in it.
        id: Of the ImagingSelection; a new UUID by default.

    Raises:
        InvalidContext: The context has no patient or no study.
    """
    _report, patient, studies = context.association
    if not patient or not studies:
        raise InvalidContext("context", "has no patient or no study", rule="IRA-PR-04")
    instance: dict[str, Any] = {"uid": instance_uid}
    if region is not None:
        kind, coordinates = region
        instance["imageRegion2D"] = [{"regionType": kind, "coordinate": list(coordinates)}]
    id = id or new_id()
    return {
        "resourceType": "ImagingSelection",
        "id": id,
        "identifier": _identifiers(context, f"ImagingSelection/{id}"),
        "status": "unknown",
        "subject": {"reference": patient},
        "code": {"coding": [dict(OF_INTEREST)]},
        "studyUid": study_uid,
        "derivedFrom": [{"reference": studies[0]}],
        "seriesUid": series_uid,
        "instance": [instance],
    }


def with_comparison(context: OpenContext, study: Mapping[str, Any]) -> list[Resource]:
    """Return what to PUT so that a study is a comparison: the study, and the report naming it.

    Args:
        context: The open report context.
        study: An ImagingStudy of the same patient, with an identifier.

    Raises:
        InvalidContext: There is no report or no patient, or the study is about somebody else.

    Spec: CONT-15, IRA-CC-02, IRA-PR-04, D-37.
    """
    report, patient = context.report, context.patient
    if report is None or patient is None:
        raise InvalidContext("context", "has no report or no patient", rule="IRA-CC-02")
    shared = study_to_open(study, patient, "study", ira=False)
    key = resource_key(shared)
    named = {"url": ASSOCIATED_STUDY, "valueReference": {"reference": key}}
    others = _without_comparison(report, key)
    return [shared, {**report, "extension": [*others, named]}]


def without_comparison(context: OpenContext, study: str) -> Resource:
    """Return the report that does not name a comparison study any more, to PUT it.

    Args:
        context: The open report context.
        study: "ImagingStudy/id"; to be deleted in the same update.

    Raises:
        InvalidContext: The context has no report.
    """
    report = context.report
    if report is None:
        raise InvalidContext("context", "has no report", rule="IRA-CC-02")
    others = _without_comparison(report, study)
    kept = {name: it for name, it in report.items() if name != "extension"}
    return {**kept, "extension": others} if others else kept


def comparisons_of(context: OpenContext) -> tuple[Resource, ...]:
    """Return the comparison studies that are shared in a context (IRA-ID-02)."""
    report = context.report or {}
    keys = (reference_of(it.get("valueReference")) for it in _comparisons(report))
    return tuple(context.content[key] for key in keys if key in context.content)


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


def _once(key: str, seen: set[str]) -> str:
    if "/" not in key:
        raise InvalidContext("updates.entry", "a resource without type or id", rule="CONT-10")
    if key in seen:
        raise InvalidContext("updates.entry", "the same resource twice", rule="CONT-09")
    seen.add(key)
    return key


def _observation(
    context: OpenContext,
    code: Mapping[str, Any],
    moment: datetime,
    *,
    derived_from: str,
    id: str,
) -> Resource:
    _report, patient, studies = context.association
    if not patient:
        raise InvalidContext("context.patient", "missing", rule="CONT-21")
    id = id or new_id()
    observation: Resource = {
        "resourceType": "Observation",
        "id": id,
        "identifier": _identifiers(context, f"Observation/{id}"),
        "status": "preliminary",
        "category": [{"coding": [{"system": _OBSERVATION_CATEGORY, "code": "imaging"}]}],
        "code": {"coding": [dict(code)]},
        "subject": {"reference": patient},
        "effectiveDateTime": format_timestamp(moment),
    }
    origin = derived_from or next(iter(studies), "")
    if origin:
        observation["derivedFrom"] = [{"reference": origin}]
    return observation


def _identifiers(context: OpenContext, key: str) -> list[Any]:
    """CONT-20: a business identifier, the same for as long as the resource lives."""
    shared = (context.content.get(key) or {}).get("identifier")
    if isinstance(shared, list) and shared:
        return shared
    return [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{new_id()}"}]


def _comparisons(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [it for it in objects(report.get("extension")) if it.get("url") == ASSOCIATED_STUDY]


def _without_comparison(report: Mapping[str, Any], study: str) -> list[Mapping[str, Any]]:
    return [
        it
        for it in objects(report.get("extension"))
        if it.get("url") != ASSOCIATED_STUDY or reference_of(it.get("valueReference")) != study
    ]
