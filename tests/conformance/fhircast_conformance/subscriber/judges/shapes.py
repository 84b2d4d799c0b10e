"""Small readers of FHIR JSON, for judges: nothing here trusts a shape."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fhircast_conformance.subscriber.record import Json

_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
DCM = "http://dicom.nema.org/resources/ontology/DCM"


def objects(value: object) -> list[Json]:
    """Return the objects of an array; one object counts as an array of it."""
    values = value if isinstance(value, list) else [value]
    return [it for it in values if isinstance(it, dict)]


def reference(value: object) -> str:
    """Return the text of a Reference, "" if it is none."""
    return str(value.get("reference", "")) if isinstance(value, dict) else ""


def identifiers(resource: Mapping[str, Any]) -> list[Json]:
    """Return the identifiers that have a value."""
    return [it for it in objects(resource.get("identifier")) if it.get("value")]


def codings(concept: object) -> Iterator[Json]:
    """Yield the codings of a CodeableConcept."""
    if isinstance(concept, dict):
        yield from objects(concept.get("coding"))


def is_typed(identifier: Mapping[str, Any], system: str, code: str) -> bool:
    """Whether an identifier has this type."""
    return any(
        it.get("system") == system and it.get("code") == code
        for it in codings(identifier.get("type"))
    )


def is_uuid(value: object) -> bool:
    """Whether a value is a UUID."""
    return bool(_UUID.fullmatch(str(value)))


def name_of(resource: Mapping[str, Any]) -> str:
    """Return "Type/id"."""
    return f"{resource.get('resourceType')}/{resource.get('id')}"
