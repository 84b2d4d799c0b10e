"""One run: everybody joins, events are sent, what is under way arrives, everybody leaves."""

from __future__ import annotations

import asyncio
import secrets
import time
from time import perf_counter
from typing import TYPE_CHECKING
from uuid import uuid4

from fhircast_bench.crowd import Crowd
from fhircast_bench.events import Script
from fhircast_bench.http_lane import HttpLane
from fhircast_bench.ledger import Ledger
from fhircast_bench.publishing import Publishing
from fhircast_bench.record import Progress, Record
from fhircast_bench.target import NoHub

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine
    from typing import Any

    from fhircast_bench.load import Load
    from fhircast_bench.process import HubProcess
    from fhircast_bench.target import Target

_SWEEP_SECONDS = 0.1
_LOOK_SECONDS = 0.02
_LATE_COPY_SECONDS = 0.1
"""A doubled delivery comes after the last one that is waited for."""

_SHORTEST_SHARE_SECONDS = 0.2
"""A CPU share of less time says nothing."""


class Run:
    """One run against one hub.

    Attributes:
        record: What was seen so far.

    Args:
        load: What to put on the hub.
        target: The hub.
        token: Bearer token, "" for none.
        tls: What TLS trusts.
        allow_remote: Whether endpoints may lead to other machines.
        watched: The hub's process, None if it is not to be looked at.
        progress: Called ten times a second.
    """

    def __init__(
        self,
        load: Load,
        target: Target,
        token: str,
        tls: ssl.SSLContext,
        *,
        allow_remote: bool = False,
        watched: HubProcess | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        run = secrets.token_hex(4)
        self._load = load
        self._topics = [str(uuid4()) for _ in range(load.topics)]
        self._lanes = [HttpLane(target, token) for _ in range(load.lanes)]
        self._crowd = Crowd(target, token, load, tls, allow_remote=allow_remote)
        ledger = Ledger(load.topics, load.subscribers)
        scripts = [
            Script(run, topic, number, load.event_bytes)
            for number, topic in enumerate(self._topics)
        ]
        self._publishing = Publishing(load, self._lanes, scripts, ledger)
        self._watched = watched
        self._progress = progress
        self._stage = "joining"
        self._began_at = perf_counter()
        self._interrupted = asyncio.Event()
        self.record = Record(load, target.url, ledger)

    def interrupt(self) -> None:
        """Stop soon and in order; what was measured so far counts."""
        self.record.is_interrupted = True
        self._interrupted.set()
        self._publishing.stop()

    async def __call__(self) -> Record:
        """Do it.

        Raises:
            NoHub: Nobody answers, or what answers is no hub.
            NotLetIn: A subscriber could not join; those before it have left again.
        """
        sweeping = asyncio.create_task(self._sweep())
        try:
            await self._join()
            if not self.record.is_interrupted:
                await self._send()
        finally:
            self._stage = "leaving"
            await self._crowd.leave()
            sweeping.cancel()
            self._tell("over")
            for lane in self._lanes:
                lane.close()
        return self.record

    async def _join(self) -> None:
        record, watched = self.record, self._watched
        cpu = watched.cpu_seconds() if watched else 0.0
        memory = watched.memory_bytes() if watched else 0
        began_at = perf_counter()
        joining = self._crowd.join(self._topics, record.ledger, self._publishing.delivered)
        await self._unless_interrupted(joining)
        record.joining_seconds = perf_counter() - began_at
        record.join_seconds = self._crowd.join_seconds
        if watched:
            record.hub_join_cpu_seconds = watched.cpu_seconds() - cpu
            record.hub_memory_bytes = watched.memory_bytes() - memory

    async def _send(self) -> None:
        record, watched = self.record, self._watched
        try:
            for lane in self._lanes:
                await lane.open(self._load.patience_seconds)
        except OSError as error:
            raise NoHub(f"no answer from {record.url}: {error}") from None
        self._stage = "sending"
        hub_cpu = watched.cpu_seconds() if watched else 0.0
        own_cpu, began_at = time.process_time(), perf_counter()
        await self._publishing.run()
        self._stage = "arriving"
        await self._arrive()
        seconds = perf_counter() - began_at
        if seconds >= _SHORTEST_SHARE_SECONDS:
            record.cpu_share = (time.process_time() - own_cpu) / seconds
        if watched:
            record.hub_cpu_seconds = watched.cpu_seconds() - hub_cpu
        await asyncio.sleep(_LATE_COPY_SECONDS)
        record.started_at = self._publishing.started_at
        record.first_error = self._publishing.first_error
        record.stopped_by = self._publishing.stopped_by
        record.not_sent = self._publishing.not_sent
        record.losses = self._crowd.losses.copy()

    async def _arrive(self) -> None:
        """Wait for what is under way, as long as something comes or can still come in time."""
        ledger, seen, seen_at = self.record.ledger, -1, perf_counter()
        while ledger.is_owed:
            if (now_seen := ledger.movements) != seen:
                seen, seen_at = now_seen, perf_counter()
            elif perf_counter() - seen_at > self._load.patience_seconds:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _unless_interrupted(self, work: Coroutine[Any, Any, None]) -> None:
        working = asyncio.create_task(work)
        stopping = asyncio.create_task(self._interrupted.wait())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            working.cancel()
            stopping.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            self._publishing.sweep(perf_counter())
            self._tell(self._stage)
            await asyncio.sleep(_SWEEP_SECONDS)

    def _tell(self, stage: str) -> None:
        ledger = self.record.ledger
        self._progress(
            Progress(
                stage=stage,
                seconds=perf_counter() - self._began_at,
                joined=len(self._crowd.join_seconds),
                sent=len(ledger.sent),
                deliveries=ledger.deliveries,
            )
        )
