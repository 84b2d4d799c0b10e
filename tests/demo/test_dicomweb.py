"""DICOMweb and the viewer's own routes over HTTP, with the real images."""

from __future__ import annotations

import io
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from fhircast_demo.images.pixels import decode_frame
from PIL import Image

if TYPE_CHECKING:
    import httpx
    from fhircast_demo.cases import Case, Cases
    from pydicom.dataset import Dataset

EXPLICIT = "1.2.840.10008.1.2.1"
CARLA = "MRN-100698"


def case_of(cases: Cases, key: str) -> Case:
    (case,) = (case for case in cases if case.recipe.key == key)
    return case


def path_of(cases: Cases, key: str) -> str:
    image = case_of(cases, key).images[0]
    return (
        f"/dicomweb/studies/{image.StudyInstanceUID}/series/{image.SeriesInstanceUID}"
        f"/instances/{image.SOPInstanceUID}"
    )


def parts(response: httpx.Response) -> list[tuple[str, bytes]]:
    assert response.status_code == 200, response.text
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + response.content)
    found = []
    for part in message.walk():
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes) and not part.is_multipart():
            found.append((str(part["content-type"]), payload))
    return found


def multipart(inner: str, syntax: str = "") -> dict[str, str]:
    suffix = f"; transfer-syntax={syntax}" if syntax else ""
    return {"Accept": f'multipart/related; type="{inner}"{suffix}'}


async def file_at(client: httpx.AsyncClient, path: str, syntax: str = "") -> Dataset:
    answer = await client.get(path, headers=multipart("application/dicom", syntax))
    ((_, payload),) = parts(answer)
    return pydicom.dcmread(io.BytesIO(payload))


async def studies(client: httpx.AsyncClient, **query: str) -> list[str]:
    answer = await client.get("/dicomweb/studies", params=query)
    assert answer.headers["content-type"] == "application/dicom+json"
    return [found["00080050"]["Value"][0] for found in answer.json()]


async def test_study_search_tells_whose_and_how_much(client: httpx.AsyncClient) -> None:
    (found,) = (await client.get("/dicomweb/studies?AccessionNumber=DEMO26002")).json()
    assert found["00100010"]["Value"] == [{"Alphabetic": "Invented^Carla"}]
    assert found["00080061"]["Value"] == ["MR"]
    assert (found["00201206"]["Value"], found["00201208"]["Value"]) == ([1], [1])
    assert (await client.get(found["00081190"]["Value"][0])).status_code == 200


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [
        ("PatientID", CARLA, 2),
        ("00100020", CARLA, 2),
        ("PatientName", "*carla*", 2),
        ("PatientName", "inv?nted^*", 2),
        ("PatientName", "Carla", 0),
        ("PatientName", "[I]nvented*", 0),
        ("ModalitiesInStudy", "MR", 2),
        ("AccessionNumber", "DEMO260*", 5),
        ("AccessionNumber", "nothing", 0),
        ("StudyDate", "19000101-", 6),
        ("StudyDate", "-19000101", 0),
        ("StudyDate", "19000101", 0),
        ("includefield", "all", 6),
        ("limit", "2", 2),
        ("offset", "5", 1),
        ("offset", "50", 0),
        ("PatientID", "", 6),
    ],
)
async def test_study_filters(client: httpx.AsyncClient, name: str, value: str, count: int) -> None:
    assert len(await studies(client, **{name: value})) == count


async def test_study_uid_filter_takes_a_list(client: httpx.AsyncClient, cases: Cases) -> None:
    uids = [case.study_uid for case in cases][:2]
    assert await studies(client, StudyInstanceUID=",".join(uids)) == ["DEMO26001", "DEMO26002"]


@pytest.mark.parametrize(
    "query",
    [
        "colour=red",
        "limit=-1",
        "limit=x",
        "offset=1.5",
        "includefield=Colour",
        "StudyDate=yesterday",
        "StudyDate=-",
        "Rows=512",
        "FFFFFFFF=1",
    ],
)
async def test_search_that_is_not_understood_is_400(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/dicomweb/studies?{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")


async def test_search_walks_down_to_the_instance(client: httpx.AsyncClient) -> None:
    (study,) = (await client.get("/dicomweb/studies?AccessionNumber=DEMO26005")).json()
    (series,) = (await client.get(f"{study['00081190']['Value'][0]}/series")).json()
    (instance,) = (await client.get(f"{series['00081190']['Value'][0]}/instances")).json()
    assert series["00201209"]["Value"] == [1]
    assert instance["00280008"]["Value"] == [120]
    (metadata,) = (await client.get(f"{instance['00081190']['Value'][0]}/metadata")).json()
    assert metadata["00080018"] == instance["00080018"]
    assert "7FE00010" not in metadata


async def test_include_field_adds_an_attribute(client: httpx.AsyncClient) -> None:
    url = "/dicomweb/instances?AccessionNumber=DEMO26001&includefield=WindowCenter,00281051"
    (found,) = (await client.get(url)).json()
    assert (found["00281050"]["Value"], found["00281051"]["Value"]) == ([8500.0], [17000.0])


async def test_instance_is_decoded_unless_any_syntax_is_taken(
    client: httpx.AsyncClient, cases: Cases
) -> None:
    """PS3.18 8.7.3.5.2: without a transfer syntax the answer is Explicit VR Little Endian."""
    path = path_of(cases, "abdomen-ct")
    image = case_of(cases, "abdomen-ct").images[0]
    plain, stored = await file_at(client, path), await file_at(client, path, "*")
    assert plain.file_meta.TransferSyntaxUID == EXPLICIT
    assert plain.PixelData == decode_frame(image, 1)
    assert stored.file_meta.TransferSyntaxUID.is_compressed
    assert stored.PixelData == image.PixelData


async def test_decoded_colour_says_rgb(client: httpx.AsyncClient, cases: Cases) -> None:
    """120 frames are too many to decode at once; the stored form and single frames remain."""
    path = path_of(cases, "heart-us")
    refused = await client.get(path, headers=multipart("application/dicom"))
    assert refused.status_code == 406
    assert "transfer-syntax=*" in refused.text
    assert int((await file_at(client, path, "*")).NumberOfFrames) == 120


async def test_single_part_file_is_served_too(client: httpx.AsyncClient, cases: Cases) -> None:
    answer = await client.get(path_of(cases, "liver-mr"), headers={"Accept": "application/dicom"})
    assert answer.headers["content-type"] == "application/dicom"
    assert pydicom.dcmread(io.BytesIO(answer.content)).AccessionNumber == "DEMO26002"


async def test_frames_are_decoded_or_as_stored(client: httpx.AsyncClient, cases: Cases) -> None:
    image, path = case_of(cases, "heart-us").images[0], path_of(cases, "heart-us")
    plain = await client.get(f"{path}/frames/3,1", headers=multipart("application/octet-stream"))
    assert [pixels for _, pixels in parts(plain)] == [decode_frame(image, n) for n in (3, 1)]
    stored = await client.get(f"{path}/frames/3", headers=multipart("image/jpeg", "*"))
    ((kind, payload),) = parts(stored)
    assert kind.startswith("image/jpeg")
    assert Image.open(io.BytesIO(payload)).size == (640, 480)


@pytest.mark.parametrize("key", ["chest-cr", "liver-mr", "abdomen-ct", "heart-us"])
async def test_raw_frame_and_its_description_fit(
    client: httpx.AsyncClient, cases: Cases, key: str
) -> None:
    """What the canvas viewer does: read the description, then as many bytes as it says."""
    shown = (await client.get(f"{path_of(cases, key)}/viewer.json")).json()
    raw = await client.get(shown["rawUrl"].replace("{frame}", "1"))
    size = shown["rows"] * shown["columns"] * shown["samplesPerPixel"] * shown["bitsAllocated"] // 8
    assert raw.headers["content-type"] == "application/octet-stream"
    assert len(raw.content) == size
    assert raw.content == decode_frame(case_of(cases, key).images[0], 1)


@pytest.mark.parametrize(
    ("key", "spacing", "photometric"),
    [
        ("chest-cr", None, "MONOCHROME1"),
        ("tibia-cr", None, "MONOCHROME1"),
        ("heart-us", None, "RGB"),
        ("shoulder-mr", [0.195313, 0.195313], "MONOCHROME2"),
        ("abdomen-ct", [0.859375, 0.859375], "MONOCHROME2"),
    ],
)
async def test_uncalibrated_pictures_have_no_spacing(
    client: httpx.AsyncClient, cases: Cases, key: str, spacing: Any, photometric: str
) -> None:
    """Research 1a: a spacing of zero must read as "uncalibrated", never as 0 mm."""
    shown = (await client.get(f"{path_of(cases, key)}/viewer.json")).json()
    assert shown["pixelSpacing"] == spacing
    assert shown["photometricInterpretation"] == photometric


async def test_study_description_opens_a_study_at_once(
    client: httpx.AsyncClient, cases: Cases
) -> None:
    case = case_of(cases, "heart-us")
    shown = (await client.get(f"/dicomweb/studies/{case.study_uid}/viewer.json")).json()
    (instance,) = shown["series"][0]["instances"]
    assert (shown["patientName"], shown["birthDate"]) == ("Pretend, Elif", "1972-12-02")
    assert (instance["frames"], instance["frameTimeMs"]) == (120, 33.333)
    assert instance["accession"] == shown["accession"] == case.recipe.accession


@pytest.mark.parametrize(
    ("accept", "kind", "form"),
    [
        ("*/*", "image/jpeg", "JPEG"),
        ("image/avif,image/webp,image/*,*/*;q=0.8", "image/jpeg", "JPEG"),
        ("image/png", "image/png", "PNG"),
    ],
)
async def test_rendered_picture(
    client: httpx.AsyncClient, cases: Cases, accept: str, kind: str, form: str
) -> None:
    url = f"{path_of(cases, 'liver-mr')}/rendered?viewport=128,128&window=450,790,linear"
    answer = await client.get(url, headers={"Accept": accept})
    drawn = Image.open(io.BytesIO(answer.content))
    assert (answer.headers["content-type"], drawn.format, drawn.size) == (kind, form, (128, 128))


@pytest.mark.parametrize(
    ("suffix", "accept", "status"),
    [
        ("/rendered", "text/html", 406),
        ("/rendered?window=1", "*/*", 400),
        ("/rendered?window=40,0", "*/*", 400),
        ("/rendered?window=a,b", "*/*", 400),
        ("/rendered?viewport=0,10", "*/*", 400),
        ("/rendered?viewport=99999,10", "*/*", 400),
        ("/rendered?quality=101", "*/*", 400),
        ("/frames/2/rendered", "*/*", 404),
        ("/frames/2/raw", "*/*", 404),
        ("/frames/0/raw", "*/*", 404),
        ("/frames/x/raw", "*/*", 400),
        ("/frames/-1/raw", "*/*", 400),
        ("/frames/1,x", "*/*", 400),
        ("/frames/1,1", "*/*", 400),
        ("/frames/2", "*/*", 404),
        ("/frames/1", "image/jp2", 406),
        ("", "text/html", 406),
        ("", 'multipart/related; type="application/dicom"; transfer-syntax=1.2.3', 406),
        ("/nothing", "*/*", 404),
    ],
)
async def test_wrong_requests_are_plain_text(
    client: httpx.AsyncClient, cases: Cases, suffix: str, accept: str, status: int
) -> None:
    url = f"{path_of(cases, 'liver-mr')}{suffix}"
    answer = await client.get(url, headers={"Accept": accept})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/plain")


async def test_uids_must_belong_together(client: httpx.AsyncClient, cases: Cases) -> None:
    """An image asked for under another study is not found, never shown in the wrong place."""
    right = path_of(cases, "liver-mr")
    other = case_of(cases, "abdomen-ct").study_uid
    wrong = right.replace(case_of(cases, "liver-mr").study_uid, other)
    for suffix in ("", "/viewer.json", "/frames/1/raw", "/rendered", "/metadata"):
        assert (await client.get(wrong + suffix)).status_code == 404
