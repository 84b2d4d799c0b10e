"""Redis is not there: at the start, for a while under load, or back without anything."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from builders import TOPIC
from redis_server import RedisServer, free_port
from wire_messages import ALL_EVENTS, denied_and_closed, open_request

from faults.nodes import now, told_by_then

if TYPE_CHECKING:
    from pathlib import Path

    from builders import Json

    from faults.nodes import Node, StartNode


async def test_a_hub_that_is_started_before_redis_serves_when_it_is_there(
    tmp_path: Path, start_node: StartNode
) -> None:
    """Guarantee 1: it lives, says that it is not ready, and refuses with 503."""
    server = RedisServer(tmp_path)
    server.port = free_port()
    node = await start_node(server.port)
    assert (await node.hub.wire.http.get(f"{node.hub.origin}/livez")).status_code == 200
    assert await node.readiness() == 503
    assert (await node.hub.wire.subscribe(TOPIC, ALL_EVENTS)).status_code == 503
    await node.refused(open_request())
    await asyncio.to_thread(server.start)
    try:
        await node.ready()
        socket = await node.joined()
        opened = open_request()
        await node.accepted(opened)
        assert (await socket.followed())["id"] == opened["id"]
    finally:
        server.stop()


class Publisher:
    """Opens one case after the other at a hub, each until it is accepted."""

    def __init__(self, node: Node, first: int) -> None:
        self.accepted: list[Json] = []
        self.refused = 0
        self._node = node
        self._number = first
        self._is_over = asyncio.Event()
        self._task = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        while not self._is_over.is_set():
            self._number += 2
            sent = open_request(self._number)
            while (status := (await self._node.post(sent)).status_code) != 202:
                assert status == 503
                self.refused += 1
            self.accepted.append(sent)

    async def until_accepted(self) -> None:
        """Wait until a request was accepted that was not when this was called."""
        before = len(self.accepted)
        while len(self.accepted) == before:  # noqa: ASYNC110 - many may make it so
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        self._is_over.set()
        await self._task


async def test_a_redis_that_is_down_under_load_loses_nothing_that_was_accepted(
    lasting_redis: RedisServer, start_node: StartNode
) -> None:
    """Guarantees 1 and 2: 503 while it is down, subscribers are told, and all goes on behind."""
    nodes = [await start_node(lasting_redis.port, max_open_contexts="2000") for _ in range(2)]
    sockets = [await it.joined() for it in nodes]
    publishers = [Publisher(it, number) for number, it in enumerate(nodes)]
    async with asyncio.timeout(60):
        for it in publishers:
            await it.until_accepted()
        began = now()
        await asyncio.to_thread(lasting_redis.stop)
        for node in nodes:
            await node.ready(is_ready=False)
        known = [list(it.accepted) for it in publishers]
        for socket in sockets:
            await told_by_then(socket, began, passing_over=True)
        assert [it.accepted for it in publishers] == known, "a 202 without Redis"
        assert all(it.refused for it in publishers)
        await asyncio.to_thread(lasting_redis.start)
        for it in publishers:
            await it.until_accepted()
        for it in publishers:
            await it.end()
    views = [await it.context() for it in nodes]
    assert views[0] == views[1]
    for node, it in zip(nodes, publishers, strict=True):
        for sent in it.accepted[-5:]:
            answer = await node.post(sent)
            assert answer.status_code == 202, "its id is remembered"
    assert [await it.context() for it in nodes] == views


async def test_a_redis_that_comes_back_empty_ends_the_sessions_at_every_hub(
    own_redis: RedisServer, start_node: StartNode
) -> None:
    """CONF-05: sooner than anybody would be sent away: the session is gone, and all are told so."""
    nodes = [await start_node(own_redis.port, redis_away_seconds="60") for _ in range(2)]
    sockets = [await it.joined() for it in nodes]
    await nodes[0].accepted(open_request())
    for socket in sockets:
        await socket.followed()
    await asyncio.to_thread(own_redis.stop)
    await asyncio.to_thread(own_redis.start)
    for socket in sockets:
        assert (await denied_and_closed(socket))[1] == 1008
    for node in nodes:
        await node.ready()
        assert (await node.hub.wire.get(TOPIC)).status_code == 404
    socket, opened = await nodes[0].joined(), open_request(2)
    await nodes[1].accepted(opened)
    assert (await socket.followed())["id"] == opened["id"]
