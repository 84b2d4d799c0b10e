"""Where the hub says what happened: to every lane, without waiting for any."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from fhircast_hub.audit.facts import Act
from fhircast_hub.protocol.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from fhircast_hub.audit.facts import Fact
    from fhircast_hub.audit.lane import Lane

logger = logging.getLogger(__name__)

_NO_PROMISE = nullcontext()

_FLUSH_SECONDS = 5.0
"""How long the hub's end may wait for entries to be kept."""


class Recorder:
    """The audit trail as the rest of the hub sees it; without lanes it is off.

    Args:
        lanes: One for each place that keeps entries.
        required: What cannot be recorded may not happen.
    """

    def __init__(self, lanes: Sequence[Lane] = (), *, required: bool = False) -> None:
        self._lanes = tuple(lanes)
        self._required = required
        self._promised = 0

    @property
    def is_on(self) -> bool:
        """Whether anything is recorded."""
        return bool(self._lanes)

    @property
    def lost(self) -> int:
        """Entries lost since the start, of all lanes."""
        return sum(it.lost for it in self._lanes)

    def place(self) -> AbstractContextManager[None]:
        """Keep a place for the entry of what is done inside.

        Raises:
            Unavailable: The trail is required and could not take the entry.
        """
        return self._promise() if self._required else _NO_PROMISE

    @contextmanager
    def _promise(self) -> Iterator[None]:
        if any(it.is_failing or it.room <= self._promised for it in self._lanes):
            raise Unavailable(
                "audit: the hub cannot record what is done now; try again",
                rule="FHIRCAST_AUDIT_REQUIRED",
            )
        self._promised += 1
        try:
            yield
        finally:
            self._promised -= 1

    def record(self, fact: Fact, *, has_place: bool = False) -> None:
        """Take an entry; it is written by and by.

        Callers whom nobody knows may fill half of the room: the other half is for the others.

        Args:
            fact: The entry.
            has_place: Whether `place` is held for it.
        """
        for it in self._lanes:
            if fact.act is Act.AUTHENTICATE:
                it.put(fact, spare=it.capacity // 2 + self._promised)
            else:
                it.put(fact, spare=0 if has_place else self._promised)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Bring entries to their places meanwhile; at the end, what still waits."""
        workers = [asyncio.create_task(it.work()) for it in self._lanes]
        try:
            yield
        finally:
            for it in self._lanes:
                it.finish()
            if workers:
                await self._end(workers)

    async def _end(self, workers: list[asyncio.Task[None]]) -> None:
        _, late = await asyncio.wait(workers, timeout=_FLUSH_SECONDS)
        for worker in late:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        for it in self._lanes:
            if len(it):
                logger.error("audit: %d entries were not kept in time", len(it))
        closing = [asyncio.create_task(it.close()) for it in self._lanes]
        await asyncio.wait(closing, timeout=_FLUSH_SECONDS)
