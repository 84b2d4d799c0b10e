"""Content by reference is read from trusted servers, over real HTTP, and checked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from fhircast_subscribers import FhirFetch
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from subscribers.scripted_hub import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


class Server:
    """A FHIR server with one Observation."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    async def read(self, request: Request) -> Response:
        self.tokens.append(request.headers.get("authorization", ""))
        id_ = request.path_params["id"]
        if id_ == "moved":
            return RedirectResponse("/r4/Observation/ob-1")
        if id_ == "html":
            return Response("<html>")
        if id_ == "none":
            return Response(status_code=404)
        told = "another" if id_ == "wrong" else id_
        return JSONResponse({"resourceType": "Observation", "id": told, "note": "x" * 500})


@asynccontextmanager
async def fhir_server() -> AsyncIterator[tuple[Server, str]]:
    server = Server()
    async with serving(Starlette(routes=[Route("/r4/Observation/{id}", server.read)])) as port:
        yield server, f"http://127.0.0.1:{port}/r4"


async def test_resource_is_read_once_with_the_token() -> None:
    """IRA-SUB-04: one GET at `entry.fullUrl`."""
    async with fhir_server() as (server, base):
        resource = await FhirFetch([base], token="t-1")(f"{base}/Observation/ob-1")
        assert resource is not None
        assert resource["id"] == "ob-1"
        assert server.tokens == ["Bearer t-1"]


@pytest.mark.parametrize("id_", ["moved", "html", "none", "wrong"])
async def test_anything_else_is_nothing(id_: str) -> None:
    """IRA-SUB-04: no redirect is followed, and the answer is what the URL names, or nothing."""
    async with fhir_server() as (_server, base):
        assert await FhirFetch([base])(f"{base}/Observation/{id_}") is None


async def test_answer_over_the_limit_is_nothing() -> None:
    """IRA-SUB-04: bounded."""
    async with fhir_server() as (_server, base):
        assert await FhirFetch([base], max_bytes=100)(f"{base}/Observation/ob-1") is None


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.org/Observation/ob-1",
        "https://fhir.example.org.evil.example/r4/Observation/ob-1",
        "https://fhir.example.org/other/Observation/ob-1",
        "https://fhir.example.org/r4/../admin",
        "https://fhir.example.org/r4/%2e%2e/admin",
        "https://fhir.example.org/r4/Observation?_id=ob-1",
        "file:///etc/passwd",
    ],
)
async def test_what_is_not_trusted_is_not_asked(url: str) -> None:
    """IRA-SUB-04: a fullUrl comes from another subscriber; the token must not go anywhere."""
    assert await FhirFetch(["https://fhir.example.org/r4"], token="t-1")(url) is None
