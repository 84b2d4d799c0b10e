"""Any application on a real socket, in the test's own event loop, such as a FHIR server."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Protocol

import pytest
import uvicorn
from fhircast_hub.web.server import bind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.types import ASGIApp


class Serve(Protocol):
    """Runs an application on a free port; returns its URL."""

    async def __call__(self, app: ASGIApp) -> str: ...


@contextmanager
def _no_signals() -> Iterator[None]:
    yield  # signals are for pytest


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Run an application in place of a FHIR server; yield its URL."""
    sock = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    server.capture_signals = _no_signals  # type: ignore[method-assign]
    running = asyncio.create_task(server.serve([sock]))
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Run applications; all are shut down at the test's end."""
    async with AsyncExitStack() as servers:

        async def start(app: ASGIApp) -> str:
            return await servers.enter_async_context(serving(app))

        yield start
