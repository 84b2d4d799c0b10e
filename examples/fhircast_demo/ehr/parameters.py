"""The search parameters the EHR knows: for each type, name -> kind and where the value is.

A path is dotted; lists on the way are walked through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fhircast_demo.ehr.errors import FhirError, Json

Kind = Literal["token", "reference", "string", "date"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter. `target` is the type a bare id refers to, where there is only one."""

    kind: Kind
    paths: tuple[str, ...]
    target: str | None = None


def _token(*paths: str) -> Parameter:
    return Parameter("token", paths)


def _date(*paths: str) -> Parameter:
    return Parameter("date", paths)


def _string(*paths: str) -> Parameter:
    return Parameter("string", paths)


def _reference(path: str, target: str | None = None) -> Parameter:
    return Parameter("reference", (path,), target)


_COMMON = {
    "_id": _token("id"),
    "_lastUpdated": _date("meta.lastUpdated"),
    "_tag": _token("meta.tag"),
    "identifier": _token("identifier"),
    "status": _token("status"),
    "subject": _reference("subject"),
    "patient": Parameter("reference", ("subject", "patient"), "Patient"),
    "based-on": _reference("basedOn"),
}
_NAMES = {
    "name": _string("name.family", "name.given", "name.text", "name.prefix", "name.suffix"),
    "family": _string("name.family"),
    "given": _string("name.given"),
}
_OF_TYPE: dict[str, dict[str, Parameter]] = {
    "Patient": {**_NAMES, "birthdate": _date("birthDate"), "gender": _token("gender")},
    "Practitioner": _NAMES,
    "ServiceRequest": {
        "accession": _token("identifier"),
        "intent": _token("intent"),
        "code": _token("code"),
        "authored": _date("authoredOn"),
        "requester": _reference("requester"),
    },
    "ImagingStudy": {
        "accession": _token("identifier"),
        "basedon": _reference("basedOn"),
        "modality": _token("modality", "series.modality"),
        "started": _date("started"),
        "endpoint": _reference("endpoint"),
    },
    "DiagnosticReport": {
        "accession": _token("basedOn.identifier", "identifier"),
        "study": _reference("imagingStudy", "ImagingStudy"),
        "result": _reference("result", "Observation"),
        "code": _token("code"),
        "issued": _date("issued"),
        "date": _date("effectiveDateTime"),
    },
    "Observation": {
        "code": _token("code"),
        "category": _token("category"),
        "derived-from": _reference("derivedFrom"),
        "date": _date("effectiveDateTime"),
    },
    "Endpoint": {"connection-type": _token("connectionType")},
}


def parameters_of(resource_type: str) -> dict[str, Parameter]:
    """Return every search parameter of the type, those of all types included."""
    return _COMMON | _OF_TYPE.get(resource_type, {})


def parameter(resource_type: str, name: str) -> Parameter:
    """Return one parameter.

    Raises:
        FhirError: 400, naming the parameter: an unknown one is never silently ignored.
    """
    known = parameters_of(resource_type)
    if name not in known:
        shown = name[:60]
        raise FhirError(
            400,
            "not-supported",
            f"unknown search parameter {shown!r} for {resource_type}; known: "
            + ", ".join(sorted(known)),
        )
    return known[name]


def values_at(resource: Json, path: str) -> list[Any]:
    """Return every value at a dotted path."""
    found: list[Any] = [resource]
    for step in path.split("."):
        found = [
            value
            for item in found
            if isinstance(item, dict) and step in item
            for value in (item[step] if isinstance(item[step], list) else [item[step]])
        ]
    return found


def values_of(resource: Json, wanted: Parameter) -> list[Any]:
    """Return every value the parameter looks at."""
    return [value for path in wanted.paths for value in values_at(resource, path)]
