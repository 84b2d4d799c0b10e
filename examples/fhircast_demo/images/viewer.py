"""What the demo's canvas viewer needs to draw a frame. Ours, not DICOMweb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhircast_demo.images.pixels import frame_count, pixel_format
from fhircast_demo.images.rendering import header_window, rescale

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Json = dict[str, Any]


def instance_description(image: Dataset, base: str) -> Json:
    """Return ``viewer.json`` of one image; `base` is the URL of the DICOMweb root."""
    layout = pixel_format(image)
    slope, intercept = rescale(image)
    window = header_window(image)
    return {
        "rows": layout.rows,
        "columns": layout.columns,
        "bitsAllocated": layout.bits_allocated,
        "bitsStored": int(image.BitsStored),
        "signed": layout.signed,
        "samplesPerPixel": layout.samples,
        "photometricInterpretation": layout.photometric,
        "slope": slope,
        "intercept": intercept,
        "windowCenter": window.center,
        "windowWidth": window.width,
        "pixelSpacing": _spacing(image),
        "frames": frame_count(image),
        "frameTimeMs": float(image.FrameTime) if image.get("FrameTime") else None,
        "modality": str(image.Modality),
        "description": f"{image.StudyDescription}: {image.SeriesDescription}",
        **_whose(image),
        "seriesInstanceUid": str(image.SeriesInstanceUID),
        "sopInstanceUid": str(image.SOPInstanceUID),
        "sopClassUid": str(image.SOPClassUID),
        "rawUrl": f"{instance_url(image, base)}/frames/{{frame}}/raw",
    }


def study_description(images: list[Dataset], base: str) -> Json:
    """Return ``viewer.json`` of a study: its series and their images in one answer."""
    series: dict[str, Json] = {}
    for image in images:
        entry = series.setdefault(
            str(image.SeriesInstanceUID),
            {
                "seriesInstanceUid": str(image.SeriesInstanceUID),
                "number": int(image.SeriesNumber),
                "description": str(image.SeriesDescription),
                "modality": str(image.Modality),
                "instances": [],
            },
        )
        entry["instances"].append(instance_description(image, base))
    first = images[0]
    return {
        **_whose(first),
        "description": str(first.StudyDescription),
        "studyDate": _iso(str(first.StudyDate)),
        "series": list(series.values()),
    }


def instance_url(image: Dataset, base: str) -> str:
    """Return the WADO-RS URL of an image."""
    return (
        f"{base}/studies/{image.StudyInstanceUID}/series/{image.SeriesInstanceUID}"
        f"/instances/{image.SOPInstanceUID}"
    )


def _whose(image: Dataset) -> Json:
    name = image.PatientName
    return {
        "patientName": f"{name.family_name}, {name.given_name}",
        "patientId": str(image.PatientID),
        "birthDate": _iso(str(image.PatientBirthDate)),
        "sex": str(image.PatientSex),
        "accession": str(image.AccessionNumber),
        "studyInstanceUid": str(image.StudyInstanceUID),
    }


def _spacing(image: Dataset) -> list[float] | None:
    """Return row and column spacing in mm; None when the picture is not calibrated.

    The spacing at a detector (ImagerPixelSpacing) is not that of the anatomy, so it does not count.
    """
    spacing = image.get("PixelSpacing")
    if spacing is None or not all(float(value) > 0 for value in spacing):
        return None
    return [float(value) for value in spacing]


def _iso(dicom_date: str) -> str:
    return f"{dicom_date[:4]}-{dicom_date[4:6]}-{dicom_date[6:8]}"
