"""Who sends the next event, and when."""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING

from fhircast_bench.http_lane import JSON, Answer
from fhircast_bench.ledger import Sent
from fhircast_bench.limits import is_put_off

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhircast_bench.events import Script
    from fhircast_bench.http_lane import HttpLane
    from fhircast_bench.ledger import Ledger
    from fhircast_bench.load import Load

_TICK_SECONDS = 0.001
_LATE_SECONDS = 0.002
"""A timer that is so late is late by itself; beyond it the generator was, and that counts."""


class _Topic:
    """What is still to be sent to one topic."""

    __slots__ = ("due", "is_busy", "number", "position", "script")

    def __init__(self, number: int, script: Script) -> None:
        self.number = number
        self.script = script
        self.position = 0
        self.is_busy = False
        self.due: deque[float] = deque()


class Publishing:
    """Sends the events of a run over lanes; one event at a time in each topic.

    Without a rate, a lane takes the next topic when everybody has its last event: what is measured
    is the hub, not a queue before it. With a rate, events are due at their times whatever the hub
    does, and latencies count from there.

    Attributes:
        stopped_by: The answer that ended the sending: a limit was met. None if none did.
        first_error: The first answer that was no 2xx.
        started_at: When the first event that counts was due; 0 before.
        ended_at: When the sending was over; 0 before.

    Args:
        load: What to send.
        lanes: Open connections.
        scripts: One for each topic.
        ledger: Takes down what was sent and answered.
    """

    def __init__(
        self, load: Load, lanes: Sequence[HttpLane], scripts: Sequence[Script], ledger: Ledger
    ) -> None:
        self._load = load
        self._ledger = ledger
        self._free = deque(lanes)
        self._topics = [_Topic(number, script) for number, script in enumerate(scripts)]
        self._ready = deque(self._topics)
        self._waiting: dict[Sent, tuple[_Topic, HttpLane, float]] = {}
        self._scheduled = 0
        self._last_event = None if load.events is None else load.warm_up + load.events
        self._rate_began_at = 0.0
        self._over = asyncio.Event()
        self.stopped_by: Answer | None = None
        self.first_error: Answer | None = None
        self.started_at = 0.0
        self.ended_at = 0.0

    async def run(self) -> None:
        """Send until all is sent, the time is over, or somebody stops it."""
        async with asyncio.TaskGroup() as self._tasks:
            if self._load.rate is not None:
                self._ready.clear()
                self._rate_began_at = perf_counter()
                self._tick()
            self._fill()
            await self._over.wait()

    def stop(self) -> None:
        """Send nothing more."""
        if not self._over.is_set():
            self.ended_at = perf_counter()
            self._over.set()

    @property
    def not_sent(self) -> int:
        """Events that were due, and for which there was no lane in time."""
        return sum(len(it.due) for it in self._topics)

    def delivered(self, event: Sent) -> None:
        """Somebody got an event: if all have it, its topic is free for the next one."""
        if event in self._waiting and event.answered_at and self._ledger.is_complete(event):
            self._settle(event)

    def sweep(self, now: float) -> None:
        """Give up what is overdue: answers that do not come, deliveries that somebody lacks."""
        load = self._load
        for event, (_, lane, sent_at) in list(self._waiting.items()):
            if now - (event.answered_at or sent_at) < load.patience_seconds:
                continue
            if event.answered_at:
                self._settle(event)
            else:
                lane.give_up(f"no answer within {load.patience_seconds:g} s")
        if load.seconds is not None and self.started_at and now - self.started_at >= load.seconds:
            self.stop()

    def _tick(self) -> None:
        """Make due what is due by now, and come back for the next one."""
        if self._over.is_set():
            return
        rate, now = self._load.rate or 1.0, perf_counter()
        while self._scheduled != self._last_event:
            due_at = self._rate_began_at + self._scheduled / rate
            if due_at > now:
                pause = max(_TICK_SECONDS, due_at - now)
                asyncio.get_running_loop().call_later(pause, self._tick)
                break
            topic = self._topics[self._scheduled % len(self._topics)]
            topic.due.append(due_at if now - due_at > _LATE_SECONDS else now)
            self._scheduled += 1
            if len(topic.due) == 1 and not topic.is_busy:
                self._ready.append(topic)
        self._fill()

    def _fill(self) -> None:
        """Give every free lane a topic that has something to send."""
        while self._free and self._ready and not self._over.is_set():
            if self._load.rate is None and self._scheduled == self._last_event:
                return
            lane = self._free.popleft()
            if not lane.is_open:  # the hub closes what was idle
                self._tasks.create_task(self._reopen(lane))
                continue
            topic = self._ready.popleft()
            if self._load.rate is None:
                self._scheduled += 1
                topic.due.append(perf_counter())
            self._post(topic, lane)

    def _post(self, topic: _Topic, lane: HttpLane) -> None:
        number, due_at = len(self._ledger.sent), topic.due.popleft()
        counts = number >= self._load.warm_up
        if counts and not self.started_at:
            self.started_at = due_at
        event_id, name, body = topic.script.event(topic.position)
        event = Sent(topic.number, topic.position, name, due_at=due_at, counts=counts)
        topic.position += 1
        topic.is_busy = True
        self._waiting[event] = topic, lane, perf_counter()
        self._ledger.send(event_id, event)
        lane.send(JSON, body, lambda answer: self._answered(event, answer))

    def _answered(self, event: Sent, answer: Answer) -> None:
        self._ledger.answer(event, answer.status, perf_counter())
        if not event.is_accepted:
            self.first_error = self.first_error or answer
            if is_put_off(answer):
                self.stopped_by = self.stopped_by or answer
                self.stop()
        if self._load.rate is not None or not event.is_accepted or self._ledger.is_complete(event):
            self._settle(event)

    def _settle(self, event: Sent) -> None:
        """The topic of an event, and its lane, are free."""
        topic, lane, _ = self._waiting.pop(event)
        topic.is_busy = False
        self._free.append(lane)
        if self._load.rate is None or topic.due:
            self._ready.append(topic)
        self._fill()
        if not self._waiting and self._is_all_sent:
            self.stop()

    @property
    def _is_all_sent(self) -> bool:
        return self._scheduled == self._last_event and not self.not_sent

    async def _reopen(self, lane: HttpLane) -> None:
        try:
            await lane.open(self._load.patience_seconds)
        except OSError as error:  # TimeoutError is one
            self.first_error = self.first_error or Answer(0, f"no hub any more: {error}".encode())
            self.stop()
            return
        self._free.append(lane)
        self._fill()
