"""Does to hubs, Redis and subscribers what the schedule says."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import httpx

from torture.log import Span, now
from torture.schedule import Fault, Kind

if TYPE_CHECKING:
    from redis_server import RedisServer

    from torture.log import Log
    from torture.nodes import Node
    from torture.subscriber import Subscriber

_SLOW_SECONDS = 0.01, 0.1
_SHARE_DROPPED = 0.3
_BETWEEN_SECONDS = 0.5


class Faults:
    """Carries a schedule out.

    Args:
        nodes: The hubs.
        server: Redis.
        subscribers: Of all topics.
        log: Where it is written what happened.
    """

    def __init__(
        self, nodes: list[Node], server: RedisServer, subscribers: list[Subscriber], log: Log
    ) -> None:
        self._nodes = nodes
        self._server = server
        self._subscribers = subscribers
        self._log = log

    async def run(self, faults: list[Fault]) -> None:
        """Carry it out, and return when the last fault is over."""
        start = now()
        async with asyncio.TaskGroup() as tasks:
            for it in faults:
                await asyncio.sleep(max(0.0, start + it.at - now()))
                tasks.create_task(self._happen(it))

    async def roll(self, nodes: int) -> None:
        """Restart one hub after the other, each when the one before serves again."""
        for node in range(nodes):
            await self._happen(Fault(0, Kind.RESTART_NODE, node, 0, 0))
            await asyncio.sleep(_BETWEEN_SECONDS)

    async def _happen(self, it: Fault) -> None:
        start = now()
        chance = Random(it.salt)
        if it.kind is Kind.DROP_SOCKETS:
            for one in self._subscribers:
                if chance.random() < _SHARE_DROPPED:
                    one.drop()
        elif it.kind is Kind.KILL_REDIS:
            await asyncio.to_thread(self._server.stop)
            await asyncio.sleep(it.seconds)
            await asyncio.to_thread(self._server.start)
        else:
            await self._hit(self._nodes[it.node], it, chance)
        self._log.faults.append(Span(start, now(), it.kind.name, it.node))

    async def _hit(self, node: Node, it: Fault, chance: Random) -> None:
        match it.kind:
            case Kind.KILL_NODE:
                await node.kill()
            case Kind.RESTART_NODE:
                await node.leave()
            case Kind.STOP_NODE:
                node.pause()
            case Kind.CUT_NODE | Kind.BLINK_NODE:
                node.proxy.cut()
            case Kind.HANG_NODE:
                node.proxy.hang()
            case Kind.HANG_HALF:
                node.proxy.hang_one(chance)
            case _:
                node.proxy.delay_seconds = chance.uniform(*_SLOW_SECONDS)
        await asyncio.sleep(it.seconds)
        if it.kind is Kind.KILL_NODE:
            await node.start()
        elif it.kind is Kind.RESTART_NODE:
            await node.start()
            async with httpx.AsyncClient(trust_env=False) as http:
                await node.ready(http)
        elif it.kind is Kind.STOP_NODE:
            node.resume()
        else:
            node.proxy.heal()
