"""Decoded pixels and rendered pictures: right values, not blank, bounded."""

from __future__ import annotations

import io
import statistics
from array import array
from typing import TYPE_CHECKING

import pytest
from fhircast_demo.cases.catalogue import FULL
from fhircast_demo.images.errors import ImageError
from fhircast_demo.images.pixels import FrameCache, decode_frame, frame_count, pixel_format
from fhircast_demo.images.rendering import Window, render
from PIL import Image, ImageStat
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import RLELossless

if TYPE_CHECKING:
    from fhircast_demo.cases import Cases
    from pydicom.dataset import Dataset

KEYS = [recipe.key for recipe in FULL]
# Smallest and largest stored value of each sample.
RANGES = {
    "chest-cr": (874, 26479),
    "liver-mr": (0, 1123),
    "shoulder-mr": (0, 595),
    "tibia-cr": (0, 1023),
    "abdomen-ct": (-1024, 1186),
}


def image_of(cases: Cases, key: str) -> Dataset:
    (image,) = (case.images[0] for case in cases if case.recipe.key == key)
    return image


def sample(name: str) -> Dataset:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return dcmread(path)


def values(image: Dataset, pixels: bytes) -> array[int]:
    layout = pixel_format(image)
    kind = "B" if layout.bits_allocated == 8 else "h" if layout.signed else "H"
    return array(kind, pixels)


def picture(image: Dataset, **how: object) -> Image.Image:
    pixels = decode_frame(image, 1)
    return Image.open(io.BytesIO(render(image, pixels, media_type="image/png", **how)))  # type: ignore[arg-type]  # tests pass each option by name


@pytest.mark.parametrize("key", KEYS)
def test_every_case_has_a_picture(cases: Cases, key: str) -> None:
    """Not blank, not noise around one value, as large as the header says."""
    image = image_of(cases, key)
    pixels = decode_frame(image, 1)
    found = values(image, pixels)
    assert len(pixels) == pixel_format(image).frame_bytes
    assert statistics.pstdev(found[::97]) > 10
    assert len(set(found)) > 100


@pytest.mark.parametrize("key", RANGES)
def test_stored_values_are_exact(cases: Cases, key: str) -> None:
    """A ruler or a density reading depends on them: no shift, no lost sign."""
    image = image_of(cases, key)
    found = values(image, decode_frame(image, 1))
    assert (min(found), max(found)) == RANGES[key]


@pytest.mark.parametrize("key", KEYS)
def test_first_picture_a_reader_sees_is_usable(cases: Cases, key: str) -> None:
    """With the header's window there is contrast, and neither black nor white everywhere."""
    stat = ImageStat.Stat(picture(image_of(cases, key)).convert("L"))
    (mean,), (spread,) = stat.mean, stat.stddev
    assert 5 < mean < 220
    assert spread > 20


@pytest.mark.parametrize(
    ("compressed", "plain"),
    [
        ("MR2_J2KR.dcm", "MR2_UNCR.dcm"),
        ("RG3_J2KR.dcm", "RG3_UNCR.dcm"),
        ("JPEG2000.dcm", "JPEG2000_UNC.dcm"),
    ],
)
def test_lossless_jpeg_2000_gives_the_same_pixels(compressed: str, plain: str) -> None:
    """The same picture compressed without loss: 12 bits, 10 bits, 16 bits with a sign."""
    assert decode_frame(sample(compressed), 1) == decode_frame(sample(plain), 1)


def test_lossless_colour_jpeg_2000_gives_the_same_pixels() -> None:
    assert decode_frame(sample("US1_J2KR.dcm"), 1) == decode_frame(sample("US1_UNCR.dcm"), 1)


def test_unsigned_stream_of_a_signed_image_keeps_its_sign() -> None:
    """Air of a CT is far below zero, whatever the code stream calls its samples."""
    image = sample("J2K_pixelrep_mismatch.dcm")
    found = values(image, decode_frame(image, 1))
    assert min(found) < -900
    assert 900 < max(found) < 4096


def test_frames_of_a_cine_differ(cases: Cases) -> None:
    image = image_of(cases, "heart-us")
    assert frame_count(image) == 120
    frames = {decode_frame(image, number) for number in (1, 60, 120)}
    assert {len(frame) for frame in frames} == {640 * 480 * 3}
    assert len(frames) == 3


@pytest.mark.parametrize("number", [0, -1, 121, 10**9])
def test_frame_that_is_not_there_is_404(cases: Cases, number: int) -> None:
    with pytest.raises(ImageError) as caught:
        decode_frame(image_of(cases, "heart-us"), number)
    assert caught.value.status == 404


def test_other_encodings_are_refused_not_guessed() -> None:
    """An unread encoding must not come out as a wrong picture."""
    image = sample("MR_small_RLE.dcm")
    assert image.file_meta.TransferSyntaxUID == RLELossless
    with pytest.raises(ImageError) as caught:
        decode_frame(image, 1)
    assert caught.value.status == 406


def test_monochrome1_is_drawn_inverted(cases: Cases) -> None:
    """Bones are bright and air is dark in both X-rays."""
    image = image_of(cases, "tibia-cr")
    grey = picture(image)
    stored = values(image, decode_frame(image, 1))
    dark, bright = stored.index(max(stored)), stored.index(min(stored))
    width = grey.width
    assert grey.getpixel((dark % width, dark // width)) == 0
    assert grey.getpixel((bright % width, bright // width)) == 255


def test_window_works_after_slope_and_intercept(cases: Cases) -> None:
    """Fat (about -100 HU) is black in a bone window and grey in a wide one."""
    image = image_of(cases, "abdomen-ct")
    narrow = ImageStat.Stat(picture(image, window=Window(400, 400))).mean[0]
    wide = ImageStat.Stat(picture(image, window=Window(0, 3000))).mean[0]
    assert narrow < 10 < wide


def test_viewport_keeps_the_shape_and_never_enlarges(cases: Cases) -> None:
    image = image_of(cases, "chest-cr")
    assert picture(image, viewport=(300, 300)).size == (283, 300)
    assert picture(image, viewport=(4000, 4000)).size == (1841, 1955)


def test_cache_stays_within_its_bound(cases: Cases) -> None:
    image = image_of(cases, "heart-us")
    frame = 640 * 480 * 3
    cache = FrameCache(max_bytes=2 * frame + 5)
    first = cache.get(image, 1)
    for number in (2, 3, 4, 3):
        cache.get(image, number)
    assert cache.size == 2 * frame
    assert cache.get(image, 1) == first
    assert cache.get(image, 1) is cache.get(image, 1)
