"""Sample image in, the same pixels under our own made-up identity out.

The header is built anew: only elements on `_KEPT` (how to draw and measure the picture) are copied;
the rest of the original (names, dates, places, private elements, overlays, UIDs) stays behind.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

if TYPE_CHECKING:
    from datetime import datetime

    from fhircast_demo.cases.catalogue import Recipe

_NAMESPACE = uuid.UUID("6f0b6c0e-5d0c-5c0f-8a53-0f7f2f4ad901")
_IMPLEMENTATION = "FHIRCAST_DEMO"
MADE_UP = "Made-up test data: this patient does not exist"

_KEPT = (
    "SOPClassUID",
    "ImageType",
    "BodyPartExamined",
    "ViewPosition",
    "PatientPosition",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SliceLocation",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PatientOrientation",
    "Laterality",
    "ScanningSequence",
    "SequenceVariant",
    "MRAcquisitionType",
    "EchoTime",
    "RepetitionTime",
    "KVP",
    "FrameTime",
    "FrameIncrementPointer",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "PixelData",
)


def uid_of(*parts: str) -> str:
    """Return the UID (2.25.…) that always belongs to these words: a restart serves the same."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(parts)).int}"


def retag(original: Dataset, recipe: Recipe, *, taken_at: datetime) -> Dataset:
    """Return a new data set with the pixels of `original` and the identity of `recipe`.

    Window centre and width are always set: without them some viewers show a black image.
    """
    image = Dataset()
    for keyword in _KEPT:
        if keyword in original:
            image[keyword] = original[keyword]
    _identify(image, recipe)
    _date(image, taken_at)
    _calibrate(image)
    image.WindowCenter, image.WindowWidth = recipe.window
    image.file_meta = _file_meta(image, UID(original.file_meta.TransferSyntaxUID))
    return image


def _identify(image: Dataset, recipe: Recipe) -> None:
    person = recipe.person
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName = person.dicom_name
    image.PatientID = person.mrn
    image.IssuerOfPatientID = "FHIRcast demo"
    image.PatientBirthDate = person.birth_date.strftime("%Y%m%d")
    image.PatientSex = {"female": "F", "male": "M"}.get(person.gender, "O")
    image.PatientComments = MADE_UP
    image.PatientIdentityRemoved = "YES"
    image.DeidentificationMethod = "Header rebuilt with made-up values"
    image.InstitutionName = "Made-up Hospital"
    image.Manufacturer = ""
    image.ReferringPhysicianName = "Orderwell^Olga"
    image.AccessionNumber = recipe.accession
    image.StudyID = recipe.accession
    image.StudyDescription = recipe.description
    image.SeriesDescription = recipe.series_description
    image.Modality = recipe.modality
    image.SeriesNumber = 1
    image.InstanceNumber = 1
    image.StudyInstanceUID = uid_of(recipe.key, "study")
    image.SeriesInstanceUID = uid_of(recipe.key, "series", "1")
    image.SOPInstanceUID = uid_of(recipe.key, "instance", "1")
    image.FrameOfReferenceUID = uid_of(recipe.key, "frame-of-reference")


def _date(image: Dataset, taken_at: datetime) -> None:
    image.StudyDate = image.SeriesDate = image.ContentDate = taken_at.strftime("%Y%m%d")
    image.StudyTime = image.SeriesTime = image.ContentTime = taken_at.strftime("%H%M%S")
    image.TimezoneOffsetFromUTC = taken_at.strftime("%z")


def _calibrate(image: Dataset) -> None:
    """Drop a spacing of zero: it means "not calibrated", and a ruler must not multiply by it."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        values = image.get(keyword)
        if values is not None and not all(float(value) > 0 for value in values):
            del image[keyword]


def _file_meta(image: Dataset, transfer_syntax: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = image.SOPClassUID
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = UID(uid_of("implementation"))
    meta.ImplementationVersionName = _IMPLEMENTATION
    return meta
