"""What the endpoints have in common: forms, answers, CORS, and which page a request comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, RedirectResponse, Response

from fhircast_demo.smart.errors import OAuthError, invalid_request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.types import ASGIApp

COOKIE = "fhircast_demo_session"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_FORM = "application/x-www-form-urlencoded"
_MAX_FORM_BYTES = 32_768
_MAX_FIELDS = 50


def single(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return parameters by name.

    Raises:
        OAuthError: One of them is there twice (RFC 6749 3.1, 3.2).
    """
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise invalid_request("a parameter is there twice")
        values[name] = value
    return values


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form.

    Raises:
        OAuthError: No form, too large, or a field that is there twice.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise invalid_request(f"Content-Type must be {_FORM}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise OAuthError("invalid_request", "the form is too large", status=413)
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"
        )
    except ValueError:
        raise invalid_request("the body is not a valid form") from None
    return single(pairs)


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return JSON that nobody keeps."""
    return JSONResponse(value, status, {**NO_STORE, **(headers or {})})


def to(url: str) -> Response:
    """Send the browser elsewhere, with a GET."""
    return RedirectResponse(url, 303, NO_STORE)


def is_from_elsewhere(request: Request, origin: str) -> bool:
    """Tell whether a form was sent by a page that is not ours."""
    return request.headers.get("origin", origin) != origin


def is_local_path(url: str) -> bool:
    """Tell whether a URL is a path on this server, for a browser too."""
    return url.startswith("/") and url[1:2] not in ("/", "\\") and url.isprintable()


def with_cors(app: ASGIApp) -> ASGIApp:
    """Let pages of any origin call: they need a token, never a cookie."""
    return CORSMiddleware(
        app,
        allow_origins=["*"],
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["*"],
        expose_headers=["ETag", "Last-Modified", "Location", "WWW-Authenticate"],
        max_age=600,
    )
