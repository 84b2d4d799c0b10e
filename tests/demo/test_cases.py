"""The cases: made-up identity, fixed UIDs, a fallback that says so."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import fhircast_demo.cases as cases_module
import pydicom
import pytest
from fhircast_demo.cases import Cases, load_cases
from fhircast_demo.cases.catalogue import BUNDLED_ONLY, FULL, Recipe
from fhircast_demo.cases.retag import retag
from fhircast_demo.images.pixels import decode_frame
from pydicom.data import get_testdata_file

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
_UNUSABLE = ("693_", "bad_sequence", "US1_", "examples_rgb_color")
# Words and codes that belong to the picture, not to a person: these may be equal by chance.
_HARMLESS = {"", "1", "0", "M", "F", "O", "CR", "CT", "MR", "US", "ISO_IR 100", "CHEST"}
_KEPT_GROUPS = (0x0018, 0x0028)


def header_values(dataset: Dataset) -> set[str]:
    return {
        str(value)
        for element in dataset.iterall()
        if element.VR not in ("OB", "OW", "OB or OW", "SQ")
        and element.tag.group not in _KEPT_GROUPS
        for value in (element.value if element.VM > 1 else [element.value])
    }


def test_full_set_is_installed_and_used(cases: Cases) -> None:
    """Design 8: with pydicom-data there are six studies of five patients."""
    assert cases.complete
    assert [case.recipe.modality for case in cases] == ["CR", "MR", "MR", "CR", "US", "CT"]


def test_one_patient_has_a_prior(cases: Cases) -> None:
    """Design 8: one patient has two studies, the older one already reported."""
    studies = Counter(case.recipe.person.id for case in cases)
    twice = [person for person, count in studies.items() if count > 1]
    old, new = sorted(
        (case for case in cases if case.recipe.person.id == twice[0]), key=lambda c: c.started_at
    )
    assert len(twice) == 1
    assert old.recipe.conclusion
    assert new.recipe.conclusion is None


def test_uids_are_the_same_after_a_restart(cases: Cases) -> None:
    """Design 8: a restart serves the same UIDs, whatever the time."""
    again = load_cases(now=NOON)
    assert [image.SOPInstanceUID for case in cases for image in case.images] == [
        image.SOPInstanceUID for case in again for image in case.images
    ]


def test_uids_and_accession_numbers_are_unique_and_ours(cases: Cases) -> None:
    """Design 8: our own UID root 2.25, no longer than 64 characters, nothing used twice."""
    uids = [
        str(uid)
        for case in cases
        for image in case.images
        for uid in (image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID)
    ]
    assert len(set(uids)) == len(uids)
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)
    assert len({case.recipe.accession for case in cases}) == len(cases)


@pytest.mark.parametrize("recipe", [*FULL, *BUNDLED_ONLY], ids=lambda recipe: recipe.key)
def test_nothing_of_the_original_identity_is_left(
    recipe: Recipe,
) -> None:
    """Design 8: no name, date, UID, place or private element of the sample is served."""
    path = get_testdata_file(recipe.sample, download=False)
    assert isinstance(path, str)
    original = pydicom.dcmread(path)
    served = retag(original, recipe, taken_at=NOON)
    shared = header_values(original) & header_values(served)
    suspicious = {
        value
        for value in shared - _HARMLESS
        if value != str(original.SOPClassUID)
        and value not in (str(v) for v in original.get("ImageType", []))
        and value not in (str(v) for v in original.get("ImagePositionPatient", []))
        and value not in (str(v) for v in original.get("ImageOrientationPatient", []))
        and value not in (str(v) for v in original.get("PatientOrientation", []))
        and value != str(original.get("SliceLocation"))
    }
    assert suspicious == set()
    assert not any(element.tag.is_private for element in served.iterall())
    assert not any(0x6000 <= element.tag.group <= 0x60FF for element in served)


def test_window_is_always_set(cases: Cases) -> None:
    """Research 1a: without window centre and width some viewers show a black image."""
    images = [image for case in cases for image in case.images]
    assert all(float(image.WindowWidth) > 1 for image in images)
    assert all(image.WindowCenter is not None for image in images)


def test_patients_say_that_they_are_made_up(cases: Cases) -> None:
    images = [image for case in cases for image in case.images]
    assert all("Made-up" in image.PatientComments for image in images)
    assert all(image.PatientIdentityRemoved == "YES" for image in images)


@pytest.mark.parametrize("recipe", [*FULL, *BUNDLED_ONLY], ids=lambda recipe: recipe.key)
def test_samples_we_may_not_use_are_not_used(recipe: Recipe) -> None:
    """Research 1a: licence, an illegal UID, or a real hospital's name in the pixels."""
    assert not recipe.sample.startswith(_UNUSABLE)


def test_fallback_says_so_once_and_uses_the_bundled_samples(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Design 8: if pydicom-data cannot be had, the demo says so and uses pydicom's samples."""
    real = cases_module._find
    bundled = {recipe.sample for recipe in BUNDLED_ONLY}

    def only_bundled(sample: str) -> Path | None:
        return real(sample) if sample in bundled else None

    monkeypatch.setattr(cases_module, "_find", only_bundled)
    cases = load_cases()
    assert not cases.complete
    assert capsys.readouterr().err.count("pydicom-data") == 2  # one line: what and how to get it
    assert max(Counter(case.recipe.person.id for case in cases).values()) == 2
    assert all(len(set(decode_frame(case.images[0], 1))) > 50 for case in cases)


def test_bundled_samples_come_with_pydicom_itself() -> None:
    """The fallback must not need the package whose absence it stands in for."""
    paths = [get_testdata_file(recipe.sample, download=False) for recipe in BUNDLED_ONLY]
    assert all("pydicom/data" in str(path).replace("\\", "/") for path in paths)
