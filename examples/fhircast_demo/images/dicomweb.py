"""The image source's routes: QIDO-RS, WADO-RS, and what the demo's viewer needs besides."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fhircast_demo.images import part10, qido, viewer
from fhircast_demo.images.accept import Range, parse_accept
from fhircast_demo.images.errors import ImageError, bad_request, not_acceptable
from fhircast_demo.images.library import Library
from fhircast_demo.images.pixels import FrameCache, check_frame, encoded_frame, frame_count
from fhircast_demo.images.rendering import Window, render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.dataset import Dataset
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from fhircast_demo.cases import Cases

_DICOM = "application/dicom"
_OCTETS = "application/octet-stream"
_CACHED = {"Cache-Control": "private, max-age=3600"}
_NUMBER = r"[0-9]{1,6}"
_MAX_FRAMES_AT_ONCE = 64
_MAX_VIEWPORT = 4096


def dicomweb_app(cases: Cases) -> ASGIApp:
    """Return the image source over the cases as an ASGI app to mount anywhere."""
    handlers: Mapping[Any, Any] = {ImageError: _refused, HTTPException: _no_route}
    return Starlette(routes=dicomweb_routes(Library(cases)), exception_handlers=handlers)


def dicomweb_routes(library: Library) -> list[Route]:
    """Return the routes; `dicomweb_app` adds the error pages."""
    api = _Api(library, FrameCache())
    study = "/studies/{study}"
    series = f"{study}/series/{{series}}"
    instance = f"{series}/instances/{{instance}}"
    return [
        Route("/studies", api.query("studies")),
        Route("/series", api.query("series")),
        Route("/instances", api.query("instances")),
        Route(f"{study}/series", api.query("series")),
        Route(f"{study}/instances", api.query("instances")),
        Route(f"{series}/instances", api.query("instances")),
        *(Route(f"{path}/metadata", api.metadata) for path in (study, series, instance)),
        *(Route(path, api.retrieve) for path in (study, series, instance)),
        Route(f"{instance}/frames/{{frames}}", api.frames),
        Route(f"{instance}/rendered", api.rendered),
        Route(f"{instance}/frames/{{frame}}/rendered", api.rendered),
        Route(f"{instance}/frames/{{frame}}/raw", api.raw),
        Route(f"{instance}/viewer.json", api.describe_instance),
        Route(f"{study}/viewer.json", api.describe_study),
    ]


class _Api:
    """The handlers. Decoding and rendering run in a thread: the hub shares this event loop."""

    def __init__(self, library: Library, cache: FrameCache) -> None:
        self._library = library
        self._cache = cache

    def query(self, level: str) -> Any:
        """Return the QIDO-RS handler for one level."""

        async def handle(request: Request) -> Response:
            images = self._selected(request)
            pairs = request.query_params.multi_items()
            return _json(qido.query(images, level, pairs, _base(request)), "application/dicom+json")

        return handle

    async def metadata(self, request: Request) -> Response:
        found = [part10.metadata(image) for image in self._selected(request)]
        return _json(found, "application/dicom+json")

    async def retrieve(self, request: Request) -> Response:
        images = self._selected(request)
        ranges = parse_accept(request.headers.get("accept", ""))
        base = _base(request)
        if len(images) == 1 and ranges and ranges[0].media_type == _DICOM:
            file = await run_in_threadpool(part10.encode, images[0], ranges[0])
            return Response(file, media_type=_DICOM)
        chosen = next((one for one in ranges if one.covers_part(_DICOM)), None)
        if chosen is None:
            raise not_acceptable(f'offered: multipart/related; type="{_DICOM}"')
        parts = [
            (
                viewer.instance_url(image, base),
                await run_in_threadpool(part10.encode, image, chosen),
            )
            for image in images
        ]
        body, content_type = part10.multipart(parts, _DICOM)
        return Response(body, headers={"Content-Type": content_type})

    async def frames(self, request: Request) -> Response:
        image = self._instance(request)
        numbers = _frame_numbers(request.path_params["frames"], image)
        stored_type = _stored_type(image)
        ranges = parse_accept(request.headers.get("accept", ""))
        syntax = image.file_meta.TransferSyntaxUID
        url = f"{viewer.instance_url(image, _base(request))}/frames"
        for one in ranges:
            if one.covers_part(_OCTETS) and _plain_syntax(one):
                parts = [
                    (f"{url}/{n}", await run_in_threadpool(self._cache.get, image, n))
                    for n in numbers
                ]
                body, kind = part10.multipart(
                    parts, f"{_OCTETS}; transfer-syntax={ExplicitVRLittleEndian}"
                )
                return Response(body, headers={"Content-Type": kind})
            if stored_type and one.covers_part(stored_type):
                parts = [(f"{url}/{n}", encoded_frame(image, n)) for n in numbers]
                body, kind = part10.multipart(parts, f"{stored_type}; transfer-syntax={syntax}")
                return Response(body, headers={"Content-Type": kind})
        raise not_acceptable(f'offered: multipart/related; type="{_OCTETS}"')

    async def raw(self, request: Request) -> Response:
        image, number = self._instance(request), _frame_number(request)
        check_frame(image, number)
        pixels = await run_in_threadpool(self._cache.get, image, number)
        return Response(pixels, media_type=_OCTETS, headers=_CACHED)

    async def rendered(self, request: Request) -> Response:
        image, number = self._instance(request), _frame_number(request)
        check_frame(image, number)
        kind = _picture_type(request)
        window, viewport = _window(request), _viewport(request)
        quality = _integer(request, "quality", 90, 100)

        def draw() -> bytes:
            pixels = self._cache.get(image, number)
            return render(
                image, pixels, media_type=kind, window=window, viewport=viewport, quality=quality
            )

        return Response(await run_in_threadpool(draw), media_type=kind, headers=_CACHED)

    async def describe_instance(self, request: Request) -> Response:
        return _json(viewer.instance_description(self._instance(request), _base(request)))

    async def describe_study(self, request: Request) -> Response:
        return _json(viewer.study_description(self._selected(request), _base(request)))

    def _selected(self, request: Request) -> list[Dataset]:
        """Return the images the path names: all, a study, a series or one instance."""
        path = request.path_params
        if "instance" in path:
            return [self._instance(request)]
        if "series" in path:
            return self._library.series(path["study"], path["series"])
        if "study" in path:
            return self._library.study(path["study"])
        return list(self._library.all())

    def _instance(self, request: Request) -> Dataset:
        path = request.path_params
        return self._library.instance(path["study"], path["series"], path["instance"])


def _base(request: Request) -> str:
    root = str(request.scope.get("root_path", "")).rstrip("/")
    return str(request.url.replace(path=root, query="", fragment="")).rstrip("/")


def _json(value: Any, media_type: str = "application/json") -> Response:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Response(body, media_type=media_type, headers={"Cache-Control": "no-store"})


def _frame_number(request: Request) -> int:
    text = request.path_params.get("frame", "1")
    if not re.fullmatch(_NUMBER, text):
        raise bad_request("the frame number must be a whole number from 1")
    return int(text)


def _frame_numbers(text: str, image: Dataset) -> list[int]:
    if not re.fullmatch(rf"{_NUMBER}(,{_NUMBER})*", text):
        raise bad_request("frames must be whole numbers from 1, with commas between")
    numbers = [int(number) for number in text.split(",")]
    if len(numbers) > min(_MAX_FRAMES_AT_ONCE, frame_count(image)):
        raise bad_request(f"at most {_MAX_FRAMES_AT_ONCE} frames of the image at once")
    for number in numbers:
        check_frame(image, number)
    return numbers


def _stored_type(image: Dataset) -> str | None:
    """Return the media type of the frames as they are stored; None if they are not compressed."""
    syntax = image.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return None
    return "image/jpeg" if syntax == JPEGBaseline8Bit else "image/jp2"


def _plain_syntax(one: Range) -> bool:
    return one.transfer_syntax in (None, "*", str(ExplicitVRLittleEndian))


def _picture_type(request: Request) -> str:
    header = request.query_params.get("accept") or request.headers.get("accept", "")
    for one in parse_accept(header):
        for kind in ("image/jpeg", "image/png"):
            if one.covers(kind):
                return kind
    raise not_acceptable("offered: image/jpeg, image/png")


def _integer(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not re.fullmatch(_NUMBER, text) or not 1 <= int(text) <= most:
        raise bad_request(f"{name} must be a whole number from 1 to {most}")
    return int(text)


def _window(request: Request) -> Window | None:
    text = request.query_params.get("window")
    if text is None:
        return None
    match = re.fullmatch(r"(-?\d{1,6}(?:\.\d{1,6})?),(\d{1,6}(?:\.\d{1,6})?)(?:,linear)?", text)
    if match is None or float(match.group(2)) < 1:
        raise bad_request("window must be center,width[,linear] with a width of at least 1")
    return Window(float(match.group(1)), float(match.group(2)))


def _viewport(request: Request) -> tuple[int, int] | None:
    text = request.query_params.get("viewport")
    if text is None:
        return None
    match = re.fullmatch(rf"({_NUMBER}),({_NUMBER})", text)
    if match is None or not all(1 <= int(side) <= _MAX_VIEWPORT for side in match.groups()):
        raise bad_request(f"viewport must be width,height, each from 1 to {_MAX_VIEWPORT}")
    return int(match.group(1)), int(match.group(2))


async def _refused(_request: Request, error: ImageError) -> Response:
    return PlainTextResponse(error.reason + "\n", error.status)


async def _no_route(_request: Request, error: HTTPException) -> Response:
    return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)
