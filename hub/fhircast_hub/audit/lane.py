"""The way of entries to one place: a bounded queue, a worker, and an account of what was lost."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from fhircast_hub.audit.events import audit_event
from fhircast_hub.audit.facts import Act, Fact, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from fhircast_hub.audit.facts import Origin

logger = logging.getLogger(__name__)


class SinkFailed(Exception):
    """Nothing was kept this time; a later try may succeed."""


class EntryRefused(Exception):
    """The first entry will never be kept."""


class Sink(Protocol):
    """A place that keeps AuditEvents.

    Attributes:
        name: For the log.
        batch: Entries that it takes at a time.
        max_attempts: Failures in a row after which an entry is given up; 0 for never. Where the
            trail is required, none is.
    """

    name: str
    batch: int
    max_attempts: int

    async def write(self, events: Sequence[dict[str, Any]]) -> int:
        """Keep these, in order; return how many of them were kept, at least one.

        Raises:
            SinkFailed: None.
            EntryRefused: None, and never the first.
        """
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait between failures: doubled each time, within these bounds."""

    first_seconds: float = 0.2
    most_seconds: float = 5.0

    def after(self, failures: int) -> float:
        """Return the wait after this many failures in a row."""
        return min(self.first_seconds * 2.0 ** min(failures - 1, 30), self.most_seconds)


class Lane:
    """One sink and the entries that wait for it.

    An entry leaves the queue once it is kept. While the sink fails, the queue fills; what finds no
    room is counted and, when there is room again, told by an entry of its own.

    Where the trail is required, an entry is dropped only if the sink will not have it. The one that
    tells of it takes its place, and is tried until it is kept: so a sink that refuses everything
    costs one entry, and is known as failing until it works again.

    Attributes:
        capacity: Entries that may wait.
        lost: Entries lost since the start.
    """

    def __init__(
        self,
        sink: Sink,
        origin: Origin,
        *,
        capacity: int,
        now: Callable[[], datetime],
        pace: Pace | None = None,
        required: bool = False,
    ) -> None:
        self.lost = 0
        self._sink = sink
        self._origin = origin
        self.capacity = capacity
        self._now = now
        self._pace = pace or Pace()
        self._max_attempts = 0 if required else sink.max_attempts
        self._required = required
        self._goes_singly = False
        self._queue: deque[Fact] = deque()
        self._untold = 0
        self._notice: Fact | None = None
        self._told = 0
        self._failures = 0
        self._stirred = asyncio.Event()
        self._closing = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def is_failing(self) -> bool:
        """Whether the last try failed; where the trail is required, whether none was kept since."""
        return self._failures > 0

    @property
    def room(self) -> int:
        """How many more entries may wait."""
        return max(0, self.capacity - len(self._queue))

    def put(self, fact: Fact, *, spare: int = 0) -> None:
        """Take an entry, or count it as lost if no more than `spare` places are free."""
        if self.room > spare:
            self._queue.append(fact)
            self._stirred.set()
        else:
            self._lose(1, "no room")

    async def work(self) -> None:
        """Bring entries to the sink, until told to close and all are there or it fails."""
        while self._queue or not self._closing.is_set():
            if not self._queue:
                self._stirred.clear()
                await self._stirred.wait()
            elif not await self._try():
                if self._closing.is_set():
                    break
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), self._pace.after(self._failures))
        self._lose(len(self._queue), "the hub stops")

    def finish(self) -> None:
        """Let the worker end once all that waits is kept."""
        self._closing.set()
        self._stirred.set()

    async def close(self) -> None:
        """Close the sink."""
        await self._sink.close()

    async def _try(self) -> bool:
        """Bring the next entries to the sink; False if the next try has to wait."""
        batch = list(islice(self._queue, 1 if self._goes_singly else self._sink.batch))
        try:
            kept = await self._sink.write([audit_event(it, self._origin) for it in batch])
        except SinkFailed as failure:
            self._failures += 1
            if self._failures == 1:
                logger.error("audit %s: %s; it will be tried again", self._sink.name, failure)
            if not 0 < self._max_attempts <= self._failures:
                return False
            return self._give_up(str(failure))
        except EntryRefused as refusal:
            return self._give_up(str(refusal))
        except Exception as error:  # a bug of ours must not end the trail
            if len(batch) > 1:
                self._goes_singly = True  # to find out which entry it is
                return True
            return self._give_up(type(error).__name__)
        for _ in range(kept):
            self._is_notice(self._queue.popleft())
        self._failures = 0
        self._goes_singly = False
        self._tell_of_lost()
        return True

    def _give_up(self, why: str) -> bool:
        """Drop the first entry. If it told of lost ones, those are untold again.

        Returns:
            Whether what is first now may be tried at once.
        """
        was_notice = self._is_notice(self._queue.popleft())
        if was_notice:
            self._untold += self._told
        else:
            self._lose(1, why)
        if not self._required:
            self._failures = 0
            return True
        self._failures += 1
        self._tell_first()
        return not was_notice

    def _tell_first(self) -> None:
        """Put what tells of lost entries before all others."""
        if self._notice is not None:  # it waited further back
            self._queue.remove(self._notice)
            self._untold += self._told
        self._queue.appendleft(self._make_notice())

    def _is_notice(self, fact: Fact) -> bool:
        """Tell whether a fact that leaves the queue is the one that tells of lost entries."""
        if fact is not self._notice:
            return False
        self._notice = None
        return True

    def _lose(self, count: int, why: str) -> None:
        if count and not self._untold:
            logger.error("audit %s: entries are lost: %s", self._sink.name, why)
        self.lost += count
        self._untold += count

    def _tell_of_lost(self) -> None:
        """Something was kept: there is room to tell what was not, once at a time."""
        if self._untold and self._notice is None:
            logger.warning("audit %s: entries lost: %d", self._sink.name, self._untold)
            self._queue.append(self._make_notice())

    def _make_notice(self) -> Fact:
        told = Outcome(reason=f"entries lost: {self._untold}")
        self._notice = Fact(Act.LOST, self._now(), outcome=told)
        self._told, self._untold = self._untold, 0
        return self._notice
