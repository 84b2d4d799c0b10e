"""Finding images by their UIDs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_demo.images.errors import not_found

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom.dataset import Dataset

    from fhircast_demo.cases import Cases


class Library:
    """The images of all cases, in the order of the cases."""

    def __init__(self, cases: Cases) -> None:
        self._images = tuple(image for case in cases for image in case.images)

    def all(self) -> tuple[Dataset, ...]:
        """Return every image."""
        return self._images

    def study(self, study_uid: str) -> list[Dataset]:
        """Return the images of a study; 404 if there are none."""
        return _some("study", (i for i in self._images if i.StudyInstanceUID == study_uid))

    def series(self, study_uid: str, series_uid: str) -> list[Dataset]:
        """Return the images of a series; 404 if there are none."""
        study = self.study(study_uid)
        return _some("series", (i for i in study if i.SeriesInstanceUID == series_uid))

    def instance(self, study_uid: str, series_uid: str, instance_uid: str) -> Dataset:
        """Return one image; 404 if it is not in that series."""
        series = self.series(study_uid, series_uid)
        return _some("instance", (i for i in series if i.SOPInstanceUID == instance_uid))[0]


def _some(what: str, images: Iterable[Dataset]) -> list[Dataset]:
    found = list(images)
    if not found:
        raise not_found(what)
    return found
