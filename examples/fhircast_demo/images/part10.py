"""Images as DICOM files, as DICOM JSON and as multipart/related bodies."""

from __future__ import annotations

import copy
import io
import uuid
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from fhircast_demo.images.errors import not_acceptable
from fhircast_demo.images.pixels import decode_frame, frame_count, pixel_format

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_demo.images.accept import Range

_MAX_DECODED_BYTES = 32 * 1024 * 1024


def encode(image: Dataset, accepted: Range) -> bytes:
    """Return the image as a DICOM file in a transfer syntax the caller takes.

    Without a transfer syntax in the Accept header that is Explicit VR Little Endian (PS3.18
    8.7.3.5.2), so compressed pixels are decoded; ``*`` gets them as they are stored.

    Raises:
        ImageError: 406 for another syntax, or where decoding would need too much memory.
    """
    stored = str(image.file_meta.TransferSyntaxUID)
    wanted = accepted.transfer_syntax or str(ExplicitVRLittleEndian)
    if wanted in ("*", stored):
        return _write(image)
    if wanted != ExplicitVRLittleEndian:
        raise not_acceptable("this transfer syntax is not offered; use transfer-syntax=*")
    if not image.file_meta.TransferSyntaxUID.is_compressed:
        return _write(image)
    return _write(_decoded(image))


def _decoded(image: Dataset) -> Dataset:
    layout = pixel_format(image)
    if layout.frame_bytes * frame_count(image) > _MAX_DECODED_BYTES:
        raise not_acceptable("too large to decode at once; use transfer-syntax=* or single frames")
    plain = header(image)
    plain.file_meta = copy.deepcopy(image.file_meta)
    plain.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    plain.PhotometricInterpretation = layout.photometric
    frames = range(1, frame_count(image) + 1)
    pixels = b"".join(decode_frame(image, number) for number in frames)
    plain.PixelData = pixels + b"\0" * (len(pixels) % 2)
    plain["PixelData"].VR = "OW" if layout.bits_allocated > 8 else "OB"
    return plain


def _write(image: Dataset) -> bytes:
    out = io.BytesIO()
    image.save_as(out, enforce_file_format=True)
    return out.getvalue()


def metadata(image: Dataset) -> dict[str, Any]:
    """Return the header as DICOM JSON, without the pixels."""
    return header(image).to_json_dict()


def header(image: Dataset) -> Dataset:
    """Return a copy of everything but the pixels.

    A deep one: data sets share their elements when these are merely put into another data set, and
    setting a value there would change the image for everybody.
    """
    copied = Dataset()
    copied.update(
        {element.tag: copy.deepcopy(element) for element in image if element.keyword != "PixelData"}
    )
    return copied


def multipart(parts: Iterable[tuple[str, bytes]], content_type: str) -> tuple[bytes, str]:
    """Return body and Content-Type of a multipart/related answer.

    Args:
        parts: Content-Location and bytes of each part.
        content_type: Of every part, parameters allowed.
    """
    boundary = uuid.uuid4().hex
    body = bytearray()
    for location, payload in parts:
        head = f"--{boundary}\r\nContent-Type: {content_type}\r\nContent-Location: {location}\r\n"
        body += head.encode() + b"\r\n" + payload + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    inner = content_type.partition(";")[0]
    return bytes(body), f'multipart/related; type="{inner}"; boundary={boundary}'
