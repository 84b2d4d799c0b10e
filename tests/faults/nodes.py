"""Hubs on one Redis, each behind its own way to it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from builders import TOPIC
from websockets.exceptions import ConnectionClosed
from wire_messages import ALL_EVENTS

if TYPE_CHECKING:
    import httpx
    from builders import Json
    from fhircast_conformance.wire import Socket
    from hub_server import RunningHub
    from torture.proxy import Proxy

TIMEOUT_SECONDS, AWAY_SECONDS = 0.5, 0.5
PATIENCE = {
    "redis_timeout_seconds": str(TIMEOUT_SECONDS),
    "redis_away_seconds": str(AWAY_SECONDS),
}

TOLD_WITHIN_SECONDS = 2 * TIMEOUT_SECONDS + AWAY_SECONDS + 2
"""A sign of life is asked for each timeout and awaited for another; the rest is for the machine."""

_DEADLINE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Node:
    """A hub and its way to Redis."""

    hub: RunningHub
    way: Proxy

    async def joined(self, *, topic: str = TOPIC, **more: str) -> Socket:
        """A subscriber at this hub."""
        return await self.hub.wire.join(topic, ALL_EVENTS, **more)

    async def back(self, socket: Socket) -> Socket:
        """The subscriber of another socket, which connects again at this hub."""
        path = urlsplit(socket.endpoint).path
        again = await self.hub.wire.connect(f"ws://{urlsplit(self.hub.url).netloc}{path}")
        return await again.confirmed()

    async def post(self, event: Json) -> httpx.Response:
        return await self.hub.wire.post(event)

    async def accepted(self, event: Json) -> str:
        """Post a request; return the version that it got."""
        answer = await self.post(event)
        assert answer.status_code == 202, answer.text
        version: str = answer.json().get("context.versionId", "")
        return version

    async def refused(self, event: Json) -> str:
        """Post a request that gets 503; return the reason."""
        answer = await self.post(event)
        assert (answer.status_code, answer.headers.get("retry-after")) == (503, "2"), answer.text
        return answer.text

    async def context(self) -> Json:
        return await self.hub.wire.context(TOPIC)

    async def ready(self, *, is_ready: bool = True) -> None:
        """Wait until the hub says that it reaches Redis, or that it does not."""
        status = 200 if is_ready else 503
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while await self.readiness() != status:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)

    async def readiness(self) -> int:
        return (await self.hub.wire.http.get(f"{self.hub.origin}/readyz")).status_code


class StartNode(Protocol):
    """Starts a hub on a Redis at this port of loopback."""

    async def __call__(self, redis_port: int, **settings: str) -> Node: ...


async def told_by_then(socket: Socket, since: float, *, passing_over: bool = False) -> None:
    """A subscriber is sent away with 1001, in time; perhaps with events before that."""
    async with asyncio.timeout_at(since + TOLD_WITHIN_SECONDS):
        with suppress(ConnectionClosed):
            while passing_over:
                await socket.next()  # unanswered: what is read may be from before the close
        assert await socket.close_code() == 1001


def now() -> float:
    return asyncio.get_running_loop().time()
