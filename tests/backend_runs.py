"""Backends that do their work in the background while a test goes on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fhircast_hub.backends.base import Backend

    B = TypeVar("B", bound=Backend)


@asynccontextmanager
async def running() -> AsyncIterator[Callable[[B], B]]:
    """Yield what runs a backend; all are closed at the end."""
    backends: list[Backend] = []
    async with asyncio.TaskGroup() as tasks:

        def run(backend: B) -> B:
            tasks.create_task(backend.run())
            backends.append(backend)
            return backend

        try:
            yield run
        finally:
            for it in backends:
                await it.close()
