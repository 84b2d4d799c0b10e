"""Pixels of one frame, decoded: little-endian 16-bit, 8-bit, or interleaved RGB.

No numpy: uncompressed frames are slices, compressed ones go through Pillow.
"""

from __future__ import annotations

import io
import sys
import threading
from array import array
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image
from pydicom.encaps import get_frame
from pydicom.uid import (
    JPEG2000,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)

from fhircast_demo.images.errors import not_acceptable, not_found

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
_JPEG2000 = (JPEG2000, JPEG2000Lossless)
_SIZ = b"\xff\x4f\xff\x51"
_SSIZ_OFFSET = 42
_CACHE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the decoded pixels of an image are laid out."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    signed: bool
    photometric: str

    @property
    def frame_bytes(self) -> int:
        """Size of one decoded frame."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


def pixel_format(image: Dataset) -> PixelFormat:
    """Return the layout of the decoded pixels; colour is always RGB, whatever is stored."""
    samples = int(image.SamplesPerPixel)
    return PixelFormat(
        rows=int(image.Rows),
        columns=int(image.Columns),
        samples=samples,
        bits_allocated=int(image.BitsAllocated),
        signed=bool(image.PixelRepresentation),
        photometric="RGB" if samples > 1 else str(image.PhotometricInterpretation),
    )


def frame_count(image: Dataset) -> int:
    """Return the number of frames, 1 where the header does not say."""
    return int(image.get("NumberOfFrames") or 1)


def check_frame(image: Dataset, number: int) -> None:
    """Raise 404 unless the image has the frame (counted from 1)."""
    if not 1 <= number <= frame_count(image):
        raise not_found("frame")


def encoded_frame(image: Dataset, number: int) -> bytes:
    """Return a compressed frame as it is stored."""
    check_frame(image, number)
    return get_frame(image.PixelData, number - 1, number_of_frames=frame_count(image))


def decode_frame(image: Dataset, number: int) -> bytes:
    """Return the decoded pixels of a frame (counted from 1).

    Raises:
        ImageError: 404 no such frame, 406 an encoding that is not decoded here.
    """
    check_frame(image, number)
    syntax = image.file_meta.TransferSyntaxUID
    layout = pixel_format(image)
    if syntax in _PLAIN:
        _check_plain(image)
        start = (number - 1) * layout.frame_bytes
        return bytes(image.PixelData[start : start + layout.frame_bytes])
    if syntax in _JPEG2000 or syntax == JPEGBaseline8Bit:
        return _decompress(encoded_frame(image, number), layout)
    raise not_acceptable(f"transfer syntax {syntax} is not decoded here")


def _check_plain(image: Dataset) -> None:
    colour = int(image.SamplesPerPixel) > 1
    if colour and (image.PhotometricInterpretation != "RGB" or image.PlanarConfiguration != 0):
        raise not_acceptable("this colour encoding is not decoded here")


def _decompress(encoded: bytes, layout: PixelFormat) -> bytes:
    with Image.open(io.BytesIO(encoded)) as picture:
        picture.load()
        if layout.samples > 1:
            pixels = picture.convert("RGB").tobytes()
        elif picture.mode == "I;16":
            pixels = _undo_pillow_scaling(picture.tobytes(), encoded, signed=layout.signed)
        else:
            pixels = picture.convert("L").tobytes()
    if len(pixels) != layout.frame_bytes:
        raise not_acceptable("the compressed frame does not fit its header")
    return pixels


def _undo_pillow_scaling(pixels: bytes, encoded: bytes, *, signed: bool) -> bytes:
    """Return the stored values.

    Pillow stretches JPEG 2000 samples to 16 bits and makes signed ones positive. A code stream
    that calls its samples unsigned although the header says signed holds two's complement.
    """
    start = max(encoded.find(_SIZ), 0)
    size = encoded[start + _SSIZ_OFFSET]
    stream_signed, precision = bool(size & 0x80), (size & 0x7F) + 1
    shift, half, full = 16 - precision, 1 << (precision - 1), 1 << precision
    values = array("H")
    values.frombytes(pixels)
    if sys.byteorder == "big":
        values.byteswap()
    # One table for all 65536 samples is five times faster than arithmetic on every pixel.
    if stream_signed:
        table = [(v >> shift) - half & 0xFFFF for v in range(65536)]
    elif signed:
        table = [
            (s - full if s >= half else s) & 0xFFFF for s in (v >> shift for v in range(65536))
        ]
    else:
        table = [v >> shift for v in range(65536)]
    restored = array("H", map(table.__getitem__, values))
    if sys.byteorder == "big":
        restored.byteswap()
    return restored.tobytes()


class FrameCache:
    """Decoded frames, the least recently used dropped first; safe to use from several threads."""

    def __init__(self, max_bytes: int = _CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._frames: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes held now."""
        return self._size

    def get(self, image: Dataset, number: int) -> bytes:
        """Return the decoded frame, from the cache or newly decoded."""
        key = (str(image.SOPInstanceUID), number)
        with self._lock:
            if key in self._frames:
                self._frames.move_to_end(key)
                return self._frames[key]
        pixels = decode_frame(image, number)
        if image.file_meta.TransferSyntaxUID.is_compressed:
            self._keep(key, pixels)
        return pixels

    def _keep(self, key: tuple[str, int], pixels: bytes) -> None:
        if len(pixels) > self._max_bytes:
            return
        with self._lock:
            self._size += len(pixels) - len(self._frames.pop(key, b""))
            self._frames[key] = pixels
            while self._size > self._max_bytes:
                self._size -= len(self._frames.popitem(last=False)[1])
