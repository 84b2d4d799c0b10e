"""Reading rooms at work: many sessions of four applications, events at a given rate.

An event counts from the moment it was due until all applications have it: what waits in the
generator is not left out.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import msgspec
from bench.client import Client, Subscriber
from bench.reading import EVENTS, kind_of, readings
from builders import message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.servers import Server

APPLICATIONS = 4
_JOIN_AT_ONCE = 16
_TIMER_SECONDS = 0.0015
_LAST_SECONDS = 10
"""How long to wait for an event that is under way."""


@dataclass(slots=True)
class _UnderWay:
    kind: str
    due_at: float
    missing: int


class Latencies:
    """Microseconds from the due moment to the last application, by kind of event."""

    def __init__(self) -> None:
        self.by_kind: dict[str, list[float]] = defaultdict(list)
        self._under_way: dict[str, _UnderWay] = {}

    def expect(self, id: str, event: str, due_at: float, receivers: int) -> None:
        """An event is about to be posted."""
        self._under_way[id] = _UnderWay(kind_of(event), due_at, receivers)

    def came(self, id: str, at: float, _body: bytes) -> None:
        """An application got an event."""
        event = self._under_way.get(id)
        if event is None:
            return  # a replay, or a SyncError of the hub
        event.missing -= 1
        if not event.missing:
            self.by_kind[event.kind].append((at - event.due_at) * 1e6)
            del self._under_way[id]

    async def arrived(self, id: str = "") -> None:
        """Wait until all applications have this event, or all events; not for ever."""
        end = time.perf_counter() + _LAST_SECONDS
        while (id in self._under_way or not id) and self._under_way:
            if time.perf_counter() > end:
                return
            await asyncio.sleep(0.01)

    @property
    def under_way(self) -> int:
        """Events that some application has not got yet."""
        return len(self._under_way)


class Room:
    """One session: a user, a topic, four applications."""

    def __init__(self, server: Server, number: int, token: str, latencies: Latencies) -> None:
        self.topic = f"room-{number}"
        self.is_busy = False
        self.client = Client(server.port, server.kind.hub_path, token)
        self._latencies = latencies
        self._dice = Random(number)
        self._steps = readings(self._dice, number * 1000)
        self._subscribers: list[Subscriber] = []
        self._version = ""
        self._count = 0

    async def enter(self) -> None:
        """Subscribe the applications."""
        await self.client.open()
        for number in range(APPLICATIONS):
            self._subscribers.append(await self._joined(f"app{number}"))

    async def act(self, due_at: float, restarts: float) -> None:
        """Post the next event; after a close an application may be started anew.

        Args:
            due_at: When the event should have been posted, by `time.perf_counter`.
            restarts: How probable that is.
        """
        event, items = next(self._steps)
        self._count += 1
        id = f"{self.topic}-{self._count}"
        version = self._version if event.endswith("-update") else ""
        told = message(
            event, items, id=id, at=datetime.now(UTC), topic=self.topic, version_id=version
        )
        self._latencies.expect(id, event, due_at, len(self._subscribers))
        self._version = await self.client.post(msgspec.json.encode(told)) or self._version
        if event.endswith("-close") and self._dice.random() < restarts:
            await self._latencies.arrived(id)  # or its last event would count as lost
            await self._restart()

    async def leave(self) -> None:
        """Half of the applications unsubscribe, the others vanish."""
        for number, subscriber in enumerate(self._subscribers):
            if number % 2:
                await self.client.unsubscribe(self.topic, EVENTS, subscriber)
            subscriber.close()
        self.client.close()

    @property
    def lost(self) -> int:
        """Applications whose connection the hub closed."""
        return sum(it.is_closed for it in self._subscribers)

    async def _restart(self) -> None:
        number = self._dice.randrange(APPLICATIONS)
        await self.client.unsubscribe(self.topic, EVENTS, self._subscribers[number])
        self._subscribers[number].close()
        self._subscribers[number] = await self._joined(f"app{number}")

    async def _joined(self, name: str) -> Subscriber:
        return await self.client.subscribe(self.topic, EVENTS, self._latencies.came, name)


class Day:
    """Rooms at work.

    Attributes:
        rooms: The sessions.
        latencies: What their events took.
        refused: What the hub did not take, in its words.
    """

    def __init__(self, server: Server, tokens: Sequence[str]) -> None:
        self.latencies = Latencies()
        self.rooms = [Room(server, *it, self.latencies) for it in enumerate(tokens)]
        self.refused: list[str] = []

    async def begin(self) -> None:
        """Let everybody enter."""
        turns = asyncio.Semaphore(_JOIN_AT_ONCE)

        async def enter(room: Room) -> None:
            async with turns:
                await room.enter()

        await asyncio.gather(*map(enter, self.rooms))

    async def go_on(self, seconds: float, rate: float, *, restarts: float = 0) -> int:
        """Post events at this rate for this time; return how many.

        Args:
            seconds: How long.
            rate: Events per second, over all rooms.
            restarts: Share of the readings after which an application is started anew.
        """
        order = deque(self.rooms)
        Random(1).shuffle(order)
        began, count = time.perf_counter(), int(seconds * rate)
        async with asyncio.TaskGroup() as acting:
            for number in range(count):
                due_at = began + number / rate
                await _until(due_at)
                while order[0].is_busy:
                    order.rotate(-1)
                    await asyncio.sleep(0)
                room = order[0]
                order.rotate(-1)
                room.is_busy = True
                acting.create_task(self._act(room, due_at, restarts))
        await self.latencies.arrived()
        return count

    async def end(self) -> None:
        """Let everybody leave."""
        for room in self.rooms:
            await room.leave()

    async def _act(self, room: Room, due_at: float, restarts: float) -> None:
        try:
            await room.act(due_at, restarts)
        except Exception as error:
            self.refused.append(f"{type(error).__name__}: {error}"[:200])
        room.is_busy = False


async def _until(moment: float) -> None:
    """Wait until this moment of `time.perf_counter`; a loop's timers know milliseconds only."""
    await asyncio.sleep(max(0.0, moment - time.perf_counter() - _TIMER_SECONDS))
    while time.perf_counter() < moment:  # noqa: ASYNC110
        await asyncio.sleep(0)
