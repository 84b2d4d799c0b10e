"""The demo's electronic health record: a small FHIR R4 server over made-up patients."""

from __future__ import annotations

from fhircast_demo.ehr.errors import FhirError
from fhircast_demo.ehr.fhir import fhir_app, fhir_routes
from fhircast_demo.ehr.seed import ACCESSION_SYSTEM, MRN_SYSTEM, REPORT_SYSTEM, seed
from fhircast_demo.ehr.store import FhirStore, Stored

__all__ = [
    "ACCESSION_SYSTEM",
    "MRN_SYSTEM",
    "REPORT_SYSTEM",
    "FhirError",
    "FhirStore",
    "Stored",
    "fhir_app",
    "fhir_routes",
    "seed",
]
