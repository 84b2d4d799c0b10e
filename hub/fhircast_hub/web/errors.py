"""Exceptions become answers here, once: plain text, the reason first, then the rule."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response

from fhircast_hub.protocol.errors import (
    FhircastError,
    LimitReached,
    RequestTooSlow,
    Unauthorized,
    Unavailable,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


async def answer_refusal(_request: Request, error: Exception) -> Response:
    """Return the answer to a request that the hub refuses (SUB-13, EVT-03, D-25)."""
    assert isinstance(error, FhircastError)  # noqa: S101 - what the handler is registered for
    headers = {}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, RequestTooSlow):
        headers["Connection"] = "close"
    if isinstance(error, LimitReached | Unavailable):
        headers["Retry-After"] = str(error.retry_after_seconds)
    text = f"{error.reason}\n{error.rule}\n"
    return PlainTextResponse(text, status_code=error.status, headers=headers)


class FaultAnswers:
    """Answers a fault of ours with 500; the log gets its kind, never its text.

    A layer inside the one that adds the headers for browsers, which must see this answer too
    (D-52); Starlette's own stands outside of it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; answer it if that fails before anything was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_answered = False

        async def note(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except ClientDisconnect:  # before its request was complete: nobody is there to be told
            return
        except Exception as error:
            if is_answered:
                raise
            logger.error("internal error: %s", type(error).__name__)
            text = "the hub failed; nothing is known to be changed\n"
            await PlainTextResponse(text, status_code=500)(scope, receive, send)
