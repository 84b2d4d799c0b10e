"""Small FHIR pieces that contexts are made of: identifiers, references, codes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fhircast_subscribers.errors import InvalidContext
from fhircast_subscribers.wire import Resource, reference_of, resource_key

if TYPE_CHECKING:
    from collections.abc import Iterator

V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
DICOM_UID = "urn:dicom:uid"
_UID_PREFIX = "urn:oid:"
_STUDY_UID_TYPE = "110180"


class FhirVersion(Enum):
    """The FHIR version of the resources in a session (PROF-11)."""

    R4 = "R4"
    R5 = "R5"

    @property
    def study_element(self) -> str:
        """Name of the DiagnosticReport's element that refers to its studies."""
        return "imagingStudy" if self is FhirVersion.R4 else "study"


def new_id() -> str:
    """Return a UUID: for an event, or for a resource that comes from no server (PROF-13)."""
    return str(uuid4())


def objects(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON objects in a list; nothing if it is no list."""
    if isinstance(value, list):
        yield from (it for it in value if isinstance(it, Mapping))


def is_typed(identifier: Mapping[str, Any], system: str, code: str) -> bool:
    """Whether an identifier's type has this coding."""
    kind = identifier.get("type")
    codings = kind.get("coding") if isinstance(kind, Mapping) else None
    return any(it.get("system") == system and it.get("code") == code for it in objects(codings))


def with_type(
    identifier: Mapping[str, Any], system: str, code: str, display: str = ""
) -> dict[str, Any]:
    """Return the identifier with a coding for its type, spelled as the profiles want it."""
    kind = identifier.get("type")
    kept = dict(kind) if isinstance(kind, Mapping) else {}
    others = [
        dict(it)
        for it in objects(kept.get("coding"))
        if (it.get("system"), it.get("code")) != (system, code)
    ]
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return {**identifier, "type": {**kept, "coding": [coding, *others]}}


def accession_of(study: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the accession number's identifier, None if the study has none (PROF-05)."""
    for identifier in objects(study.get("identifier")):
        if is_typed(identifier, V2_0203, "ACSN") and identifier.get("value"):
            return identifier
    return None


def study_uid_of(study: Mapping[str, Any]) -> str:
    """Return the Study Instance UID without its prefix, "" if the study has none."""
    for identifier in objects(study.get("identifier")):
        if identifier.get("system") == DICOM_UID or is_typed(identifier, DCM, _STUDY_UID_TYPE):
            return str(identifier.get("value", "")).removeprefix(_UID_PREFIX)
    return ""


def with_study_identifiers(identifiers: object) -> list[dict[str, Any]]:
    """Return a study's identifiers; the Study Instance UID meets both profile sets.

    FHIRcast wants the system `urn:dicom:uid` and a value `urn:oid:…` (PROF-05), IRA the type
    DCM 110180 (IRA-PR-03).
    """
    result = []
    for identifier in objects(identifiers):
        is_uid = identifier.get("system") == DICOM_UID
        if is_uid or is_typed(identifier, DCM, _STUDY_UID_TYPE):
            uid = str(identifier.get("value", "")).removeprefix(_UID_PREFIX)
            stated = {**identifier, "system": DICOM_UID, "value": f"{_UID_PREFIX}{uid}"}
            result.append(with_type(stated, DCM, _STUDY_UID_TYPE))
        else:
            result.append(dict(identifier))
    return result


def require_resource(value: object, resource_type: str, field: str) -> Resource:
    """Return a copy of a resource that has this type and an id.

    Raises:
        InvalidContext: It does not.
    """
    if not isinstance(value, Mapping) or value.get("resourceType") != resource_type:
        raise InvalidContext(field, f"is no {resource_type}", rule="EVT-15")
    if not resource_key(value):
        raise InvalidContext(f"{field}.id", "missing", rule="PROF-13")
    return dict(value)


def with_subject(resource: Resource, patient: Mapping[str, Any], field: str) -> Resource:
    """Return the resource about this patient; another subject is an error, not a correction.

    Raises:
        InvalidContext: The resource names another subject (PROF-03, EVT-17).
    """
    wanted = resource_key(patient)
    stated = resource.get("subject")
    if stated is None:
        return {**resource, "subject": {"reference": wanted}}
    if reference_of(stated) != wanted:
        raise InvalidContext(f"{field}.subject", "names another subject", rule="PROF-03")
    return resource
