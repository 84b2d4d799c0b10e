"""Exceptions become answers here, once: plain text, the reason first, then the rule."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response

from fhircast_hub.protocol.errors import FhircastError, LimitReached, Unauthorized, Unavailable

if TYPE_CHECKING:
    from starlette.requests import Request

logger = logging.getLogger(__name__)


async def answer_refusal(_request: Request, error: Exception) -> Response:
    """Return the answer to a request that the hub refuses (SUB-13, EVT-03, D-25)."""
    assert isinstance(error, FhircastError)  # noqa: S101 - what the handler is registered for
    headers = {}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, LimitReached | Unavailable):
        headers["Retry-After"] = str(error.retry_after_seconds)
    text = f"{error.reason}\n{error.rule}\n"
    return PlainTextResponse(text, status_code=error.status, headers=headers)


async def answer_fault(_request: Request, error: Exception) -> Response:
    """Return the answer to a fault of ours; the log gets its kind, never its text."""
    logger.error("internal error: %s", type(error).__name__)
    return PlainTextResponse("the hub failed; nothing is known to be changed\n", status_code=500)
