"""QIDO-RS: searching for studies, series and instances."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from fhircast_demo.images.errors import bad_request
from fhircast_demo.images.part10 import header
from fhircast_demo.images.viewer import instance_url

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
Pairs = Sequence[tuple[str, str]]

_MAX_LIMIT = 1000
_STUDY = (
    "SpecificCharacterSet",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "TimezoneOffsetFromUTC",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
    "StudyDescription",
)
_SERIES = ("Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber")
_INSTANCE = (
    "SOPClassUID",
    "SOPInstanceUID",
    "InstanceNumber",
    "Rows",
    "Columns",
    "BitsAllocated",
    "NumberOfFrames",
)
LEVELS = {
    "studies": (_STUDY, "StudyInstanceUID"),
    "series": ((*_STUDY, *_SERIES), "SeriesInstanceUID"),
    "instances": ((*_STUDY, *_SERIES, *_INSTANCE), "SOPInstanceUID"),
}
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_MATCHED = {
    *_UIDS,
    "AccessionNumber",
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "StudyDate",
    "StudyID",
    "StudyDescription",
    "SeriesDescription",
    "Modality",
}
_RANGE = re.compile(r"(\d{8})?-(\d{8})?")


def query(images: Sequence[Dataset], level: str, pairs: Pairs, base: str) -> list[Json]:
    """Return the DICOM JSON of what matches, one object per study, series or instance.

    Raises:
        ImageError: 400, naming the parameter that is unknown or cannot be read.
    """
    tests: list[Callable[[Dataset], bool]] = []
    extra: list[str] = []
    for name, value in pairs:
        if name in ("limit", "offset", "fuzzymatching"):
            continue
        if name == "includefield":
            extra += [_keyword(field, "includefield") for field in value.split(",")]
        else:
            tests.append(_test(name, value))
    limit, offset = _number(pairs, "limit", _MAX_LIMIT), _number(pairs, "offset", 0)
    attributes, key = LEVELS[level]
    groups: dict[str, list[Dataset]] = {}
    for image in images:
        if all(test(image) for test in tests):
            groups.setdefault(str(image[key].value), []).append(image)
    shown = list(groups.values())[offset : offset + min(limit, _MAX_LIMIT)]
    return [_describe(group, images, level, (*attributes, *extra), base) for group in shown]


def _keyword(name: str, where: str) -> str:
    """Return the keyword for a keyword or an eight-digit tag."""
    if name == "all" and where == "includefield":
        return name
    keyword = keyword_for_tag(int(name, 16)) if re.fullmatch(r"[0-9A-Fa-f]{8}", name) else name
    if not keyword or tag_for_keyword(keyword) is None:
        raise bad_request(f"{where} names an unknown attribute: {name[:60]!r}")
    return keyword


def _number(pairs: Pairs, name: str, default: int) -> int:
    text = next((value for key, value in pairs if key == name), str(default))
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise bad_request(f"{name} must be a whole number from 0")
    return int(text)


def _test(name: str, value: str) -> Callable[[Dataset], bool]:
    keyword = _keyword(name, "the query")
    if keyword == "ModalitiesInStudy":
        keyword = "Modality"
    if keyword not in _MATCHED:
        raise bad_request(f"matching on {keyword} is not supported")
    if value == "":
        return lambda _image: True
    if keyword in _UIDS:
        uids = value.replace("\\", ",").split(",")
        return lambda image: str(image[keyword].value) in uids
    if keyword in ("StudyDate", "PatientBirthDate"):
        return _date_test(keyword, value)
    pattern = value.replace("[", "[[]")
    if keyword == "PatientName":
        return lambda image: fnmatch.fnmatchcase(
            str(image.PatientName).casefold(), pattern.casefold()
        )
    return lambda image: fnmatch.fnmatchcase(str(image.get(keyword, "")), pattern)


def _date_test(keyword: str, value: str) -> Callable[[Dataset], bool]:
    if re.fullmatch(r"\d{8}", value):
        return lambda image: str(image[keyword].value) == value
    match = _RANGE.fullmatch(value)
    if match is None or value == "-":
        raise bad_request(f"{keyword} must be YYYYMMDD or a range of two")
    low, high = match.group(1) or "", match.group(2) or "99999999"
    return lambda image: low <= str(image[keyword].value) <= high


def _describe(
    group: list[Dataset], images: Sequence[Dataset], level: str, keywords: Sequence[str], base: str
) -> Json:
    first = group[0]
    whole = header(first)
    answer = whole if "all" in keywords else Dataset()
    for keyword in keywords:
        if keyword != "all" and keyword in whole:
            answer[keyword] = whole[keyword]
    study = [i for i in images if i.StudyInstanceUID == first.StudyInstanceUID]
    series = [i for i in study if i.SeriesInstanceUID == first.SeriesInstanceUID]
    url = f"{base}/studies/{first.StudyInstanceUID}"
    if level == "studies":
        answer.ModalitiesInStudy = sorted({str(image.Modality) for image in study})
        answer.NumberOfStudyRelatedSeries = len({image.SeriesInstanceUID for image in study})
        answer.NumberOfStudyRelatedInstances = len(study)
    elif level == "series":
        answer.NumberOfSeriesRelatedInstances = len(series)
        url = f"{url}/series/{first.SeriesInstanceUID}"
    else:
        url = instance_url(first, base)
    answer.InstanceAvailability = "ONLINE"
    answer.RetrieveURL = url
    return answer.to_json_dict()
