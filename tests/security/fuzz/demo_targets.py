"""The readers of the demo, as far as they are functions of text."""

from __future__ import annotations

import json
from functools import cache
from urllib.parse import parse_qsl

from builders import OBSERVATION, PATIENT, REPORT, STUDY
from fhircast_demo.ehr import dates
from fhircast_demo.ehr.bundles import process
from fhircast_demo.ehr.errors import FhirError
from fhircast_demo.ehr.http import parse_json
from fhircast_demo.ehr.search import search
from fhircast_demo.ehr.store import FhirStore
from fhircast_demo.images.accept import parse_accept
from fhircast_demo.images.errors import ImageError
from fhircast_demo.images.qido import LEVELS, query
from pydicom.dataset import Dataset
from security.fuzz.target import Target, header_of, text_of

_KINDS = ("Patient", "DiagnosticReport", "ImagingStudy", "Observation", "ServiceRequest")


def _filled() -> FhirStore:
    store = FhirStore()
    for resource in (PATIENT, REPORT, STUDY, OBSERVATION):
        store.update(resource["resourceType"], resource["id"], resource)
    return store


_shared = cache(_filled)


@cache
def _images() -> tuple[Dataset, ...]:
    images = []
    for number in range(3):
        image = Dataset()
        image.PatientName, image.PatientID = "Fictional^Ada", f"MRN-{number}"
        image.PatientBirthDate, image.StudyDate = "19700506", f"2026030{number + 1}"
        image.StudyInstanceUID, image.SeriesInstanceUID = "2.999.1", f"2.999.1.{number}"
        image.SOPInstanceUID, image.SOPClassUID = f"2.999.1.{number}.1", "1.2.840.10008.5.1.4.1.1.2"
        image.AccessionNumber, image.Modality = "GH1", "CT"
        image.StudyID, image.StudyDescription, image.SeriesDescription = "1", "Chest", "Axial"
        images.append(image)
    return tuple(images)


def _pairs(data: bytes) -> list[tuple[str, str]]:
    return parse_qsl(text_of(data[1:]), keep_blank_values=True, max_num_fields=200)


def search_fhir(data: bytes) -> object:
    """The first byte chooses the type, the rest is the query."""
    return search(_shared(), _KINDS[(data or b"\0")[0] % len(_KINDS)], _pairs(data))


def search_images(data: bytes) -> object:
    """The first byte chooses the level, the rest is the query."""
    level = list(LEVELS)[(data or b"\0")[0] % len(LEVELS)]
    return query(_images(), level, _pairs(data), "http://demo.example/dicomweb")


def process_bundle(data: bytes) -> object:
    return json.dumps(process(_filled(), parse_json(data), "http://demo.example/fhir"))


def read_date(data: bytes) -> object:
    return dates.parse(text_of(data))


def read_accept(data: bytes) -> object:
    return [
        it.covers("image/png") or it.covers_part("image/jpeg")
        for it in parse_accept(header_of(data))
    ]


DEMO = {
    "demo-search": Target(search_fhir, (FhirError,), (ValueError,), seeds=("query",)),
    "demo-images": Target(search_images, (ImageError,), (ValueError,), seeds=("query",)),
    "demo-bundle": Target(process_bundle, (FhirError,), seeds=("bundle",)),
    "demo-date": Target(read_date, seeds=("time",)),
    "demo-accept": Target(read_accept, seeds=("accept",)),
}
"""The demo's readers, by name."""
