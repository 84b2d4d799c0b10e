"""The layers around the application: who the client is, other origins, headers of every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, Response

from fhircast_hub.web.forwarded import TrustedProxies, client_of

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from fhircast_hub.web.forwarded import Client

_NOSNIFF = (b"x-content-type-options", b"nosniff")
_NO_STORE = (b"cache-control", b"no-store")
ON_EVERY_ANSWER = (_NOSNIFF, _NO_STORE)
_ANSWERS = frozenset({"http.response.start", "websocket.http.response.start"})


class AnswerHeaders:
    """Puts on every answer that it is neither to be kept nor to be taken for something else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def add(message: Message) -> None:
            if message["type"] in _ANSWERS:
                headers = message["headers"] = [*message.get("headers", ()), _NOSNIFF]
                if not any(name == _NO_STORE[0] for name, _ in headers):
                    headers.append(_NO_STORE)
            await send(message)

        await self._app(scope, receive, add)


class AllowedOrigins(CORSMiddleware):
    """Lets pages of allowed origins call the hub (D-52); any other is told nothing at all."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight."""
        if self.is_allowed_origin(origin=request_headers["origin"]):
            return super().preflight_response(request_headers)
        text = "Origin: not one whose pages may call this hub\nD-52\n"
        return PlainTextResponse(text, 403, headers={"Vary": "Origin"})


class ClientBehindProxy:
    """Makes a request that a trusted proxy passes on look as it came from its client."""

    def __init__(self, app: ASGIApp, trusted: TrustedProxies, *, is_forwarded: bool) -> None:
        self._app = app
        self._trusted = trusted
        self._is_forwarded = is_forwarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "lifespan" and scope["client"]:
            headers = [
                (name.decode("latin-1"), it.decode("latin-1")) for name, it in scope["headers"]
            ]
            peer = scope["client"][0]
            client = client_of(peer, headers, self._trusted, is_forwarded=self._is_forwarded)
            scope = {**scope, **_seen(scope, client)}
        await self._app(scope, receive, send)


def _seen(scope: Scope, client: Client) -> dict[str, Any]:
    """Return what of a scope is different for a client."""
    seen: dict[str, Any] = {}
    if client.address != scope["client"][0]:
        seen["client"] = (client.address, 0)
    if client.scheme:
        is_socket = scope["type"] == "websocket"
        seen["scheme"] = client.scheme.replace("http", "ws") if is_socket else client.scheme
    if client.host:
        kept = [(name, value) for name, value in scope["headers"] if name != b"host"]
        seen["headers"] = [(b"host", client.host.encode()), *kept]
    return seen
