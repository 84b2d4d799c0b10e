"""CapabilityStatements: which FHIR resources each reference application shares (IRA-SUB-11).

The ones for R5, as IRA wants them, lie as files in `capabilities/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhircast_subscribers.fhir import FhirVersion

if TYPE_CHECKING:
    from fhircast_subscribers.actors import Actor
    from fhircast_subscribers.wire import Resource

_IRA = "https://profiles.ihe.net/RAD/IRA/StructureDefinition/"
_CONTEXT = {
    "DiagnosticReport": "diagnosticreportcontext",
    "Patient": "patientcontext",
    "ImagingStudy": "imagingstudycontext",
}
_CONTENT = {
    "DiagnosticReport": "diagnosticreportupdate",
    "ImagingSelection": "imagingselectioncontent",
    "Observation": "ira-observation",
}
_R5_ONLY = {"ImagingSelection"}
_DATE = "2026-01-01"
_NUMBERS = {FhirVersion.R4: "4.0.1", FhirVersion.R5: "5.0.0"}


def capability_statement(actor: Actor, *, fhir: FhirVersion = FhirVersion.R5) -> Resource:
    """Return the CapabilityStatement of a reference application.

    Args:
        actor: Which one.
        fhir: The version of its resources; IRA's profiles are named for R5 only.
    """
    opened = dict(_CONTEXT) if actor.opens else {}
    shared = [it for it in actor.shares if fhir is FhirVersion.R5 or it not in _R5_ONLY]
    types = sorted({*opened, *shared})
    rest: dict[str, Any] = {
        "mode": "client",
        "documentation": "Resources travel in FHIRcast events, not over a RESTful interface.",
    }
    if types:
        rest["resource"] = [_resource(it, it in opened, it in shared, fhir) for it in types]
    return {
        "resourceType": "CapabilityStatement",
        "id": f"fhircast-{actor.slug}",
        "status": "active",
        "date": _DATE,
        "kind": "instance",
        "software": {"name": f"FHIRcast reference {actor.name}"},
        "implementation": {"description": f"{actor.name} of IHE IRA over FHIRcast 3.0.0"},
        "fhirVersion": _NUMBERS[fhir],
        "format": ["json"],
        "rest": [rest],
    }


def _resource(kind: str, is_opened: bool, is_shared: bool, fhir: FhirVersion) -> dict[str, Any]:
    uses = {"DiagnosticReport-open and -close": is_opened, "DiagnosticReport-update": is_shared}
    named = " and in ".join(event for event, is_used in uses.items() if is_used)
    resource: dict[str, Any] = {"type": kind, "documentation": f"In {named}."}
    profiles = [
        f"{_IRA}{table[kind]}"
        for table, is_used in ((_CONTEXT, is_opened), (_CONTENT, is_shared))
        if is_used and kind in table
    ]
    if profiles and fhir is FhirVersion.R5:
        resource["supportedProfile"] = profiles
    return resource
