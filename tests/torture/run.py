"""One run: start everything, let faults happen, let it settle, and leave."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
from redis_server import RedisServer

from torture.faults import Faults
from torture.following import view_of
from torture.log import Again, Log, View, now
from torture.nodes import Node, free_port
from torture.publisher import Publisher, send
from torture.schedule import schedule
from torture.settings import GONE_WITHIN_SECONDS, Options
from torture.subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SETTLED_SECONDS = 20.0
_SENT_AGAIN = 40
"""Of each topic's newest accepted requests; a hub remembers more."""

_PROGRESS_SECONDS = 5.0


class Torture:
    """A run.

    Args:
        options: What it is asked for.
        folder: For logs of hubs and the file of Redis.
        tell: Takes a line of progress.
    """

    def __init__(self, options: Options, folder: Path, tell: Callable[[str], None]) -> None:
        self.log = Log()
        self._options = options
        self._folder = folder
        self._tell = tell
        self._nodes: list[Node] = []
        self._subscribers: list[Subscriber] = []
        self._publishers: list[Publisher] = []

    async def run(self) -> Log:
        """Run, and return what everybody saw."""
        server = RedisServer(self._folder, appendonly="yes", appendfsync="always")
        server.port = free_port()
        await asyncio.to_thread(server.start)
        try:
            async with AsyncExitStack() as ends:
                limits = httpx.Limits(max_connections=None)
                client = httpx.AsyncClient(timeout=2, trust_env=False, limits=limits)
                http = await ends.enter_async_context(client)
                await self._start_nodes(server, http, ends)
                self._people(http)
                await self._go(server, http)
                self.log.left_over = await self._left_over(server)
        finally:
            await asyncio.to_thread(server.stop)
        self.log.complaints = [line for it in self._nodes for line in it.complaints()]
        return self.log

    async def _start_nodes(
        self, server: RedisServer, http: httpx.AsyncClient, ends: AsyncExitStack
    ) -> None:
        for number in range(self._options.nodes):
            node = Node(number, self._folder, server.port)
            await node.proxy.start()
            ends.callback(node.proxy.stop)
            ends.push_async_callback(node.kill)
            await node.start()
            self._nodes.append(node)
        for node in self._nodes:
            await node.ready(http)

    def _people(self, http: httpx.AsyncClient) -> None:
        it = self._options
        chance = Random(it.seed)
        for topic in [f"torture-{number}" for number in range(it.topics)]:
            for number in range(it.subscribers):
                name = f"{topic}/{number}"
                own = Random(chance.getrandbits(32))
                one = Subscriber(name, topic, self._nodes, http=http, log=self.log, chance=own)
                self._subscribers.append(one)
            for _ in range(it.publishers):
                own = Random(chance.getrandbits(32))
                other = Publisher(topic, self._nodes, http=http, log=self.log, chance=own)
                self._publishers.append(other)

    async def _go(self, server: RedisServer, http: httpx.AsyncClient) -> None:
        it = self._options
        stop = asyncio.Event()
        following = [asyncio.create_task(one.run()) for one in self._subscribers]
        try:
            await self._until(lambda: all(one.is_settled for one in self._subscribers))
            publishing = [asyncio.create_task(one.run(stop)) for one in self._publishers]
            telling = asyncio.create_task(self._progress())
            faults = Faults(self._nodes, server, self._subscribers, self.log)
            if it.rolls:
                await faults.roll(it.nodes)
            else:
                await faults.run(schedule(it.seed, it.seconds, it.nodes))
            stop.set()
            await asyncio.gather(*publishing)
            for node in self._nodes:
                await node.ready(http)
            await self._settle(http)
            telling.cancel()
            await self._send_again(http)
        finally:
            for task in following:
                task.cancel()
            ended = await asyncio.gather(*following, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
        async with asyncio.TaskGroup() as tasks:
            for one in self._subscribers:
                tasks.create_task(one.leave())

    async def _settle(self, http: httpx.AsyncClient) -> None:
        """Wait until all show the same, or for as long as that may take; note what they show."""
        until = now() + _SETTLED_SECONDS
        while True:
            views = [
                await self._view(http, node, it) for it in self._topics for node in self._nodes
            ]
            shown = [it.view() for it in self._subscribers]
            ready = all(it.is_settled for it in self._subscribers)
            first = {it.topic: it for it in views}
            if ready and all(it.shows_the_same(first[it.topic]) for it in views + shown):
                break
            if now() > until:
                break
            await asyncio.sleep(0.2)
        self.log.at_nodes, self.log.at_subscribers = views, shown

    @property
    def _topics(self) -> list[str]:
        return sorted({it.topic for it in self._subscribers})

    async def _view(self, http: httpx.AsyncClient, node: Node, topic: str) -> View:
        try:
            answer = await http.get(f"{node.hub_url}/{quote(topic)}")
        except httpx.HTTPError as error:
            return View(f"hub {node.number}", topic, type(error).__name__)
        if answer.status_code != 200:
            return View(f"hub {node.number}", topic, str(answer.status_code))
        return view_of(f"hub {node.number}", topic, answer.json())

    async def _send_again(self, http: httpx.AsyncClient) -> None:
        for topic in self._topics:
            accepted = [it for it in self.log.requests.values() if it.topic == topic]
            accepted = sorted(
                [it for it in accepted if it.is_accepted], key=lambda it: it.answered_at
            )
            for number, it in enumerate(accepted[-_SENT_AGAIN:]):
                node = self._nodes[number % len(self._nodes)]
                status, version = await send(http, node, it)
                self.log.agains.append(Again(it.event_id, status, version))

    async def _left_over(self, server: RedisServer) -> list[str]:
        """Wait until nothing is kept any more, or for as long as that may take."""
        until = now() + GONE_WITHIN_SECONDS
        with server.client() as client:
            while keys := [it.decode() for it in client.keys("*")]:
                if now() > until:
                    return sorted(keys)
                await asyncio.sleep(0.2)
        return []

    async def _until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(_SETTLED_SECONDS):
            while not is_so():  # noqa: ASYNC110 - many may make it so
                await asyncio.sleep(0.05)

    async def _progress(self) -> None:
        start = time.monotonic()
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            accepted = sum(it.is_accepted for it in self.log.requests.values())
            frames = sum(len(it.frames) for it in self.log.connections)
            self._tell(
                f"{time.monotonic() - start:4.0f} s: {len(self.log.faults)} faults, "
                f"{accepted} events accepted, {frames} deliveries, "
                f"{len(self.log.connections)} connections"
            )
