"""The real hub on a real socket, in the test's own event loop; fixtures for every test above it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
import uvicorn
from fhircast_conformance.wire import Wire
from fhircast_hub.config import load_settings
from fhircast_hub.web.app import create_app
from fhircast_hub.web.server import HubServer, bind
from fhircast_hub.web.wire import MAX_CLIENT_FRAME_BYTES

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Iterator

    from fhircast_hub.config import Settings
    from starlette.applications import Starlette

_DEADLINE_SECONDS = 20

DIRECT, BY_MESSAGES = "direct", "by messages"
"""How requests and frames come to a hub: as `fhircast serve` takes them, or as ASGI hands them."""

ON_BOTH_PATHS = {
    "test_derived_opens.py",
    "test_notify.py",
    "test_racing_on_the_wire.py",
    "test_reading_session.py",
    "test_replay.py",
    "test_slow_reader.py",
    "test_subscribe.py",
    "test_sync_errors.py",
    "test_unsubscribe.py",
}
"""Modules whose tests also run on uvicorn as it is: the hub has to be right on any ASGI server."""

ON_REDIS = "on redis"
"""As directly, with a backend that waits."""

ON_BOTH_BACKENDS = {
    "test_express.py",
    "test_express_beside.py",
    "test_express_refusals.py",
}
"""Modules whose tests also run on Redis, where what memory answers at once is waited for."""


class _Observed(uvicorn.Server):
    """A server that also says when it has started, and stops when it is told to.

    uvicorn looks ten times a second whether it shall stop; hundreds of tests cannot wait for that.

    Attributes:
        app: The hub as an application.
    """

    app: Starlette
    is_up: asyncio.Event
    leave: asyncio.Event

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    async def main_loop(self) -> None:
        await self.leave.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are for pytest


class _HubServer(_Observed, HubServer):
    """The hub's server."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.is_up, self.leave = asyncio.Event(), asyncio.Event()


class _PlainServer(_Observed):
    """uvicorn as it is: no connection is handed over, no event goes the express way."""

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        self.is_up, self.leave = asyncio.Event(), asyncio.Event()
        super().__init__(
            uvicorn.Config(
                self.app,
                http="httptools",
                ws="websockets-sansio",
                ws_max_size=MAX_CLIENT_FRAME_BYTES,
                ws_ping_interval=settings.ping_seconds,
                ws_ping_timeout=settings.ping_seconds,
                timeout_graceful_shutdown=5,
                access_log=False,
                log_config=None,
            )
        )


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
    _server: _Observed
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
async def running_hub(path: str = DIRECT, /, **settings: str) -> AsyncIterator[RunningHub]:
    """Run a hub on a free port.

    Args:
        path: How requests and frames come to it.
        settings: As flags and variables give them.
    """
    checked = load_settings({}, {"port": "0", **settings})
    server = _HubServer(checked) if path == DIRECT else _PlainServer(checked)
    sock = bind(checked.host, checked.port)
    serving = asyncio.create_task(server.serve([sock]))
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            await server.is_up.wait()
        assert server.started
        port = sock.getsockname()[1]
        async with AsyncExitStack() as wires:
            origin = f"http://127.0.0.1:{port}"
            url = origin + checked.hub_path
            if isinstance(server, HubServer):
                url = server.hub_url_at(port)
            wire = await wires.enter_async_context(Wire(url))
            yield RunningHub(url, origin, wire, server, serving, wires)
    finally:
        server.leave.set()
        async with asyncio.timeout(_DEADLINE_SECONDS):
            await serving


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of some modules on both paths, or on both backends."""
    if "start_hub" not in metafunc.fixturenames:
        return
    module = Path(metafunc.module.__file__).name
    if module in ON_BOTH_PATHS:
        metafunc.parametrize("start_hub", [DIRECT, BY_MESSAGES], indirect=True)
    if module in ON_BOTH_BACKENDS:
        metafunc.parametrize("start_hub", [DIRECT, ON_REDIS], indirect=True)


@pytest.fixture
async def start_hub(request: pytest.FixtureRequest) -> AsyncIterator[StartHub]:
    """Start hubs with settings of the test; all are shut down at its end."""
    path, common = getattr(request, "param", DIRECT), {}
    if path == ON_REDIS:
        path, server = DIRECT, request.getfixturevalue("redis_server")
        common = {"backend": server.url}
    async with AsyncExitStack() as hubs:

        async def start(**settings: str) -> RunningHub:
            return await hubs.enter_async_context(running_hub(path, **common, **settings))

        yield start


@pytest.fixture
async def hub(start_hub: StartHub) -> RunningHub:
    """A hub with default settings."""
    return await start_hub()
