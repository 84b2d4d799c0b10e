"""RFC 6455, by Autobahn's cases: the hub's server fails none that plain uvicorn passes.

The application behind both is an echo; what the hub sets differently is what is tried here: its
pings, its bound on frames, compression off. Left out are the cases of 9 (frames up to 16 MiB, more
than the hub takes) and of 12 and 13 (compression, which the hub does not offer).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from fhircast_hub.config import load_settings
from fhircast_hub.web.server import HubServer, bind
from kosoku import FailureError, run_fuzzingclient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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


def as_the_hub() -> uvicorn.Server:
    """The hub's own class and settings, with the echo in place of its application."""
    server = HubServer(load_settings({}, {}))
    server.config.app, server.config.lifespan = echo, "off"
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
    assert await failed(as_the_hub()) <= baseline
