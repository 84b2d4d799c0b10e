"""RFC 6455, by Autobahn's cases: the hub's server fails none that plain uvicorn passes.

Behind both is an echo. On the hub's server it takes its connections over, as subscriptions do, so
that the hub's own reading and writing is tried; and on connections that stay uvicorn's, what the
hub sets differently: its pings, its bound on frames, compression off. Left out are the cases of 9
(frames up to 16 MiB, more than the hub takes) and of 12 and 13 (compression, which the hub does not
offer).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from fhircast_hub.config import load_settings
from fhircast_hub.web.server import HubServer, bind
from fhircast_hub.web.socket_protocol import TAKE_OVER
from kosoku import FailureError, run_fuzzingclient
from websockets.frames import Frame, Opcode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fhircast_hub.fanout import Link
    from fhircast_hub.web.wire import Wire

FINE = {"OK", "NON-STRICT", "INFORMATIONAL"}
FINE_CLOSES = {"OK", "INFORMATIONAL"}
LEFT_OUT = ["9.*", "12.*", "13.*"]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Send back what comes."""
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


class Echo:
    """Sends back what comes; a `Listener`."""

    def heard(self, wire: Wire, link: Link, message: bytes, *, is_text: bool) -> None:
        if is_text:
            assert wire.put(message)
        else:  # which the hub never sends
            wire._write(Frame(Opcode.BINARY, message).serialize(mask=False))

    def flooded(self, link: Link) -> None:
        raise AssertionError("no case sends that much")

    def left(self, wire: Wire, link: Link, code: int) -> None:
        pass


async def echo_on_the_wire(scope: Any, receive: Any, send: Any) -> None:
    """The same, once the connection is handed over."""
    await receive()
    await send({"type": "websocket.accept"})
    wire: Wire = scope["extensions"][TAKE_OVER](Echo())
    wire.link = cast("Link", object())


def as_the_hub(app: Any) -> uvicorn.Server:
    """The hub's own class and settings, with an echo in place of its application."""
    server = HubServer(load_settings({}, {}))
    server.config.app, server.config.lifespan = app, "off"
    return server


def plain() -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(echo, ws="websockets-sansio", lifespan="off", log_config=None)
    )


@asynccontextmanager
async def serving(server: uvicorn.Server) -> AsyncIterator[str]:
    """Run a server on a free port; hand out its address."""
    with bind("127.0.0.1", 0) as sock:
        task = asyncio.create_task(server.serve([sock]))
        try:
            yield f"ws://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def failed(server: uvicorn.Server) -> set[str]:
    """Run the cases; return those that failed."""
    async with serving(server) as url:
        try:
            results = await run_fuzzingclient(url, exclude_cases=LEFT_OUT, concurrency=4)
        except FailureError as failure:
            results = failure.results  # all of them
    assert len(results) > 200
    return {
        it.case_id
        for it in results
        if it.behavior.value not in FINE or it.behavior_close.value not in FINE_CLOSES
    }


async def test_the_hubs_server_fails_no_case_that_plain_uvicorn_passes() -> None:
    """GEN-02: RFC 6455; framing, pings, reserved bits, opcodes, UTF-8, fragments, closes."""
    baseline = await failed(plain())
    assert len(baseline) <= 2, "with this uvicorn no comparison would say much"
    assert await failed(as_the_hub(echo)) <= baseline
    assert await failed(as_the_hub(echo_on_the_wire)) <= baseline
