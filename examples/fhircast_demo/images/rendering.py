"""A frame as a picture for people: windowed to 8 bits, scaled, PNG or JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from fhircast_demo.images.pixels import PixelFormat, pixel_format

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SIGN = 32768


@dataclass(frozen=True, slots=True)
class Window:
    """Window centre and width in modality units."""

    center: float
    width: float


def header_window(image: Dataset) -> Window:
    """Return the window in the header (always set by `cases.retag`)."""
    return Window(float(image.WindowCenter), float(image.WindowWidth))


def rescale(image: Dataset) -> tuple[float, float]:
    """Return slope and intercept, 1 and 0 where the header has none."""
    slope, intercept = image.get("RescaleSlope"), image.get("RescaleIntercept")
    return (
        1.0 if slope is None else float(slope),
        0.0 if intercept is None else float(intercept),
    )


def render(
    image: Dataset,
    pixels: bytes,
    *,
    media_type: str,
    window: Window | None = None,
    viewport: tuple[int, int] | None = None,
    quality: int = 90,
) -> bytes:
    """Return the frame as ``image/png`` or ``image/jpeg``.

    Args:
        image: The header.
        pixels: The decoded frame.
        media_type: What to make.
        window: Another window than the header's; ignored for colour.
        viewport: Largest width and height; the picture keeps its shape and is never enlarged.
        quality: Of a JPEG, 1 to 100.
    """
    layout = pixel_format(image)
    picture = _picture(pixels, layout)
    if viewport is not None:
        picture = _fit(picture, viewport)
    if layout.samples == 1:
        table = _table(image, layout, window or header_window(image))
        picture = picture.point(table, "L")
    out = io.BytesIO()
    if media_type == "image/png":
        picture.save(out, "PNG", compress_level=3)
    else:
        picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _picture(pixels: bytes, layout: PixelFormat) -> Image.Image:
    size = (layout.columns, layout.rows)
    if layout.samples > 1:
        return Image.frombytes("RGB", size, pixels)
    if layout.bits_allocated == 8:
        return Image.frombytes("L", size, pixels)
    if layout.signed:
        picture = Image.frombytes("I", size, pixels, "raw", "I;16S")
        return picture.point(lambda value: value * 1 + _SIGN)
    return Image.frombytes("I", size, pixels, "raw", "I;16")


def _fit(picture: Image.Image, viewport: tuple[int, int]) -> Image.Image:
    factor = min(viewport[0] / picture.width, viewport[1] / picture.height, 1)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.BOX) if factor < 1 else picture


def _table(image: Dataset, layout: PixelFormat, window: Window) -> list[int]:
    """Return the grey value of every stored value (PS3.3 C.11.2.1.2.1, linear)."""
    slope, intercept = rescale(image)
    offset = _SIGN if layout.signed and layout.bits_allocated == 16 else 0
    low = window.center - 0.5 - (window.width - 1) / 2
    scale = 255 / max(window.width - 1, 1)
    table = [
        min(255, max(0, round(((stored - offset) * slope + intercept - low) * scale)))
        for stored in range(1 << layout.bits_allocated)
    ]
    return [255 - grey for grey in table] if layout.photometric == "MONOCHROME1" else table
