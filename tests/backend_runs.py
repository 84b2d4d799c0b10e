"""Backends that do their work in the background while a test goes on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from fhircast_hub.backends.redis import RedisBackend, Server, keys
from redis.exceptions import ConnectionError as Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from datetime import datetime

    from fhircast_hub.backends.base import Backend, BackendLimits, Envelope
    from fhircast_hub.protocol.session import Session
    from fhircast_hub.protocol.subscription import Subscription
    from redis_cluster import RedisCluster
    from redis_server import RedisServer

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


class Ear:
    """A listener that has channels of every topic, and keeps what it hears.

    Attributes:
        heard: What it took.
        holds: The subscriptions whose channels it says to have.
    """

    def __init__(self) -> None:
        self.heard: list[Envelope] = []
        self.holds: list[Subscription] = []

    def take(self, envelope: Envelope) -> None:
        self.heard.append(envelope)

    def has_channels(self, topic: str) -> bool:
        return True

    def joined(self) -> Iterator[Subscription]:
        return iter(self.holds)


class AgeingRedis(RedisBackend):
    """For tests that jump in time: what the server keeps grows older by as much as they jump.

    What is over goes by the server's own clock, which no test can move.
    """

    def __init__(
        self, store: RedisServer | RedisCluster, server: Server, limits: BackendLimits
    ) -> None:
        super().__init__(server, limits)
        self._store = store
        self._told: datetime | None = None

    async def make_topic(
        self, topic: str, version_id: str, *, now: datetime, holder: str = ""
    ) -> Session:
        self._told = self._told or now
        return await super().make_topic(topic, version_id, now=now, holder=holder)

    async def expire(self, now: datetime) -> list[Subscription]:
        milliseconds = (now - (self._told or now)).total_seconds() * 1000
        with suppress(Unreachable):
            for key in (
                (keys.TOPICS, *chain.from_iterable(keys.ALL_BUCKETS)) if milliseconds else ()
            ):
                with self._store.client_of(keys.slot_of(key)) as client:
                    for member in client.zrange(key, 0, -1):
                        client.zincrby(key, -milliseconds, member)
        self._told = now
        return await super().expire(now)
