"""The demo's reading cases: made-up patients and orders that agree with the images.

Central promise: accession number, Study Instance UID and patient are the same in the FHIR resources
and in the DICOM headers, because both are written from the same `Case`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
from pydicom.data import get_testdata_file

from fhircast_demo.cases.catalogue import BUNDLED_ONLY, FULL, Person, Recipe
from fhircast_demo.cases.retag import retag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

__all__ = ["Case", "Cases", "Person", "load_cases"]

_ORDER_TO_IMAGE = timedelta(minutes=4)
_NO_SAMPLES = (
    "fhircast demo: the package pydicom-data is not installed; "
    "showing the smaller samples that come with pydicom instead "
    "(pip install pydicom-data for the full set)"
)


@dataclass(frozen=True, slots=True)
class Case:
    """One study to read or a prior: the order, the patient and the retagged images.

    Attributes:
        recipe: Everything invented: patient, accession number, reason, codes.
        images: The data sets to serve, pixel data included; all of one study.
        ordered_at: When the order was written (aware UTC).
        started_at: When the images were taken (aware UTC).
    """

    recipe: Recipe
    images: tuple[Dataset, ...]
    ordered_at: datetime
    started_at: datetime

    @property
    def study_uid(self) -> str:
        """The Study Instance UID, as the DICOM header has it."""
        return str(self.images[0].StudyInstanceUID)


@dataclass(frozen=True, slots=True)
class Cases:
    """All cases; `complete` is False when the fallback samples had to be used."""

    items: tuple[Case, ...]
    complete: bool = True

    def __iter__(self) -> Iterator[Case]:
        """Go through the cases in worklist order, priors last."""
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def load_cases(*, now: datetime | None = None) -> Cases:
    """Read and retag the sample images; nothing is downloaded.

    UIDs, ids, names and accession numbers are the same at every start; dates are counted back from
    `now`, so that the worklist looks like this morning's. Says so once on stderr when
    ``pydicom-data`` is missing and the fallback is used.

    Raises:
        FileNotFoundError: Not even pydicom's own samples are there.
    """
    start = (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    complete = all(_find(recipe.sample) is not None for recipe in FULL)
    if not complete:
        print(_NO_SAMPLES, file=sys.stderr)
    recipes = FULL if complete else BUNDLED_ONLY
    return Cases(tuple(_load(recipe, start) for recipe in recipes), complete)


def _load(recipe: Recipe, start: datetime) -> Case:
    path = _find(recipe.sample)
    if path is None:
        raise FileNotFoundError(f"the sample image {recipe.sample} is not installed")
    ordered_at = start - recipe.ordered_before
    started_at = ordered_at + _ORDER_TO_IMAGE
    image = retag(pydicom.dcmread(path), recipe, taken_at=started_at)
    return Case(recipe, (image,), ordered_at, started_at)


def _find(sample: str) -> Path | None:
    found = get_testdata_file(sample, download=False)
    return Path(found) if isinstance(found, str) else None
