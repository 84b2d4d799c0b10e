"""Reading requests: base URL, bounded bodies, JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl

from fhircast_demo.ehr.errors import FhirError, Json, invalid

if TYPE_CHECKING:
    from starlette.requests import Request

_JSON_TYPES = ("", "application/json", "application/fhir+json")
_FORM = "application/x-www-form-urlencoded"
_MAX_DEPTH = 64


def base_url(request: Request) -> str:
    """Return the absolute URL the app is mounted at, without a slash at the end."""
    root = str(request.scope.get("root_path", "")).rstrip("/")
    return str(request.url.replace(path=root, query="", fragment="")).rstrip("/")


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body; one with a length and a chunked one meet the same limit.

    Raises:
        FhirError: 413.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise FhirError(413, "too-long", f"the body is larger than {limit} bytes")
    return bytes(body)


async def read_json(request: Request, limit: int) -> Json:
    """Read a JSON object.

    Raises:
        FhirError: 413 too large, 415 another media type, 400 not a JSON object.
    """
    _expect(request, _JSON_TYPES)
    return parse_json(await read_body(request, limit))


def parse_json(body: bytes) -> Json:
    """Return the JSON object in a body.

    Raises:
        FhirError: 400, it is none, or one that could not be written again.
    """
    try:
        value = json.loads(body, parse_constant=_no_constant)
        _check_values(value)
    except (ValueError, RecursionError):
        # The parser's own words would repeat parts of the body, which may hold patient data.
        raise invalid("the body is not valid JSON") from None
    if not isinstance(value, dict):
        raise invalid("the body must be a JSON object")
    return value


async def read_form(request: Request, limit: int) -> list[tuple[str, str]]:
    """Read a form, as ``POST _search`` sends it."""
    _expect(request, (_FORM,))
    body = await read_body(request, limit)
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        raise invalid("the body is not a valid form") from None


def _expect(request: Request, allowed: tuple[str, ...]) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in allowed:
        wanted = " or ".join(one for one in allowed if one)
        raise FhirError(415, "not-supported", f"Content-Type must be {wanted}")


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _check_values(value: Any) -> None:
    """Raise ValueError for what could be read but not written again: depth, infinity, half a pair.

    A loop, not a recursion: the depth is what is being checked.
    """
    pending: list[tuple[Any, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        match item:
            case dict():
                pending.extend((part, depth + 1) for pair in item.items() for part in pair)
            case list():
                pending.extend((part, depth + 1) for part in item)
            case str() if not item.isascii():
                item.encode()
            case float() if not math.isfinite(item):
                raise ValueError("not a finite number")
