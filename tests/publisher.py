"""A publisher that keeps its connection, byte by byte, and which way each of its events went."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from builders import TOPIC
from fhircast_hub.web.express import ExpressHttp
from raw_http import raw_connection
from wire_messages import ALL_EVENTS, marker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from builders import Json
    from fhircast_conformance.wire import Socket
    from hub_server import RunningHub
    from raw_http import Answer, RawConnection
    from starlette.types import ASGIApp, Receive, Scope, Send

_DEADLINE_SECONDS = 15


def posted(
    event: Json | bytes,
    *headers: bytes,
    path: bytes = b"/api/hub",
    content_type: bytes = b"application/json",
    token: str = "",
    length: bytes = b"",
) -> bytes:
    """Return the bytes of a POST; the length is that of the body, unless another one is given."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    lines = [
        b"POST %b HTTP/1.1" % path,
        b"Host: hub",
        *([b"Authorization: Bearer " + token.encode()] if token else []),
        b"Content-Type: " + content_type,
        b"Content-Length: " + (length or b"%d" % len(body)),
        b"Accept: */*",
        *headers,
    ]
    return b"\r\n".join([*lines, b"", body])


async def post(connection: RawConnection, event: Json | bytes, **fields: Any) -> Answer:
    """Send a POST and return its answer."""
    return await (await connection.send(posted(event, **fields))).answer()


class _ObservedHttp(ExpressHttp):
    """The hub's connection, which also says how many bytes came."""

    def __init__(self, *args: Any, watch: Watch, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watch = watch

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch.bytes_read += len(data)


@dataclass
class Watch:
    """What becomes of requests on the connections that are made from now on.

    Attributes:
        app: The application.
        usual: Requests that came to it.
        bytes_read: What came on the connections.
    """

    app: ASGIApp
    usual: int = 0
    bytes_read: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.usual += 1
        await self.app(scope, receive, send)

    async def until_read(self, count: int) -> None:
        """Wait until the hub has read so many bytes, so that what follows comes by itself."""
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while self.bytes_read < count:  # noqa: ASYNC110 - the hub turns in the same loop
                await asyncio.sleep(0)


def watch(hub: RunningHub) -> Watch:
    """Look at what goes to the application, and what does not."""
    config = hub._server.config
    it = Watch(config.loaded_app)
    config.loaded_app = it
    made = config.http_protocol_class
    assert isinstance(made, partial)
    config.http_protocol_class = partial(_ObservedHttp, watch=it, **made.keywords)
    return it


@asynccontextmanager
async def armed(hub: RunningHub, **fields: Any) -> AsyncIterator[RawConnection]:
    """A connection on which an event was accepted, so that the next may go the express way."""
    async with raw_connection(hub) as connection:
        answer = await post(connection, marker(), **fields)
        assert answer.status == 202, answer
        yield connection


async def uncounted(hub: RunningHub, seen: Watch) -> Socket:
    """Return a subscriber to everything, whose own requests are not counted."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    seen.usual = 0
    return socket
