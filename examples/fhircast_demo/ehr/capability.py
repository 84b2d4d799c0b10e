"""What the FHIR API says about itself: the CapabilityStatement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_demo.ehr.parameters import parameters_of
from fhircast_demo.ehr.r4_types import R4_TYPES
from fhircast_demo.ehr.search import MAX_COUNT

if TYPE_CHECKING:
    from fhircast_demo.ehr.errors import Json

_FHIRCAST = "http://fhircast.hl7.org/StructureDefinition/fhircast-configuration-extension"
_FHIRCAST_STU2 = "http://fhircast.hl7.org/StructureDefinition/fhircast-configuration"
_DATE = "2026-01-01"
_INTERACTIONS = ("read", "create", "update", "delete", "search-type")
_INCLUDES = {
    "ServiceRequest": ["ServiceRequest:patient", "ServiceRequest:requester"],
    "ImagingStudy": ["ImagingStudy:patient", "ImagingStudy:basedon", "ImagingStudy:endpoint"],
    "DiagnosticReport": [
        "DiagnosticReport:patient",
        "DiagnosticReport:based-on",
        "DiagnosticReport:study",
        "DiagnosticReport:result",
    ],
    "Observation": ["Observation:patient", "Observation:based-on", "Observation:derived-from"],
}


def capability_statement(base: str, *, hub_url: str | None, security: Json | None) -> Json:
    """Return the CapabilityStatement (R4).

    Args:
        base: Absolute base URL of the API.
        hub_url: Published in the FHIRcast extension of `rest`, also in its older form (CAP-01).
        security: `rest.security`, e.g. the SMART ``oauth-uris``.
    """
    rest: Json = {
        "mode": "server",
        "resource": [_resource(name) for name in sorted(R4_TYPES)],
        "interaction": [{"code": "transaction"}, {"code": "batch"}],
    }
    if security:
        rest["security"] = security
    if hub_url:
        hub, older = ({"url": "hub.url", name: hub_url} for name in ("valueUrl", "valueUri"))
        rest["extension"] = [
            {"url": _FHIRCAST, "extension": [hub]},
            {"url": _FHIRCAST_STU2, "extension": [older]},
        ]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _DATE,
        "kind": "instance",
        "software": {"name": "FHIRcast demo EHR"},
        "implementation": {"description": "Demo EHR with made-up test data", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [rest],
    }


def _resource(name: str) -> Json:
    described: Json = {
        "type": name,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "updateCreate": True,
        "searchParam": [
            {"name": key, "type": value.kind} for key, value in sorted(parameters_of(name).items())
        ],
        "documentation": f"Pages of at most {MAX_COUNT}.",
    }
    if name in _INCLUDES:
        described["searchInclude"] = _INCLUDES[name]
    return described
