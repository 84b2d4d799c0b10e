"""The real hub on a real socket, in the test's own event loop; fixtures for every test above it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest
from fhircast_conformance.wire import Wire
from fhircast_hub.config import Settings, load_settings
from fhircast_hub.web.server import HubServer, bind

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Iterator

_DEADLINE_SECONDS = 20


class _ObservedServer(HubServer):
    """The hub's server, which also says when it has started, and stops when it is told to.

    uvicorn looks ten times a second whether it shall stop; hundreds of tests cannot wait for that.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.is_up = asyncio.Event()
        self.leave = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    async def main_loop(self) -> None:
        await self.leave.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are for pytest


@dataclass(frozen=True, slots=True)
class RunningHub:
    """A hub that runs.

    Attributes:
        url: `hub.url`.
        origin: Scheme, host and port.
        wire: A client without a token.
    """

    url: str
    origin: str
    wire: Wire
    _server: _ObservedServer
    _serving: asyncio.Task[None]
    _wires: AsyncExitStack

    async def client(self, token: str = "") -> Wire:
        """Return one more client, closed with the hub."""
        return await self._wires.enter_async_context(Wire(self.url, token=token))

    async def stop(self) -> None:
        """Shut the hub down as SIGTERM does, and wait until it is down."""
        self._server.leave.set()
        async with asyncio.timeout(_DEADLINE_SECONDS):
            await asyncio.shield(self._serving)


class StartHub(Protocol):
    """Starts a hub with settings given as text, as flags and variables give them."""

    async def __call__(self, **settings: str) -> RunningHub: ...


@asynccontextmanager
async def running_hub(**settings: str) -> AsyncIterator[RunningHub]:
    """Run a hub on a free port."""
    checked = load_settings({}, {"port": "0", **settings})
    server = _ObservedServer(checked)
    sock = bind(checked.host, checked.port)
    serving = asyncio.create_task(server.serve([sock]))
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            await server.is_up.wait()
        assert server.started
        port = sock.getsockname()[1]
        async with AsyncExitStack() as wires:
            url = server.hub_url_at(port)
            wire = await wires.enter_async_context(Wire(url))
            yield RunningHub(url, f"http://127.0.0.1:{port}", wire, server, serving, wires)
    finally:
        server.leave.set()
        async with asyncio.timeout(_DEADLINE_SECONDS):
            await serving


@pytest.fixture
async def start_hub() -> AsyncIterator[StartHub]:
    """Start hubs with settings of the test; all are shut down at its end."""
    async with AsyncExitStack() as hubs:

        async def start(**settings: str) -> RunningHub:
            return await hubs.enter_async_context(running_hub(**settings))

        yield start


@pytest.fixture
async def hub(start_hub: StartHub) -> RunningHub:
    """A hub with default settings."""
    return await start_hub()
