"""Redis has no memory left (maxmemory with noeviction)."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from builders import TOPIC, observation, put
from wire_messages import (
    ALL_EVENTS,
    codings,
    denied_and_closed,
    open_request,
    update_request,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis_server import RedisServer

    from faults.nodes import StartNode

_DEADLINE_SECONDS = 20


@contextmanager
def full(server: RedisServer) -> Iterator[None]:
    """Let a server have less memory than it uses, until the block is left."""
    with server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
        try:
            yield
        finally:
            client.config_set("maxmemory", "0")


async def test_a_full_redis_refuses_whole_and_goes_on_when_there_is_memory(
    own_redis: RedisServer, start_node: StartNode
) -> None:
    """Guarantees 1 and 2: 503 that says why, reads go on, and the same id is good afterwards."""
    nodes = [await start_node(own_redis.port) for _ in range(2)]
    sockets = [await it.joined() for it in nodes]
    opened = open_request()
    version = await nodes[0].accepted(opened)
    update = update_request(version, *[put(observation(f"ob-{it}")) for it in range(50)])
    before = await nodes[0].context()
    with full(own_redis):
        for node in nodes:
            assert "no memory" in await node.refused(update)
            assert await node.context() == before
            assert await node.readiness() == 200
        answer = await nodes[0].hub.wire.subscribe("another", ALL_EVENTS)
        assert (answer.status_code, "no memory" in answer.text) == (503, True)
    await nodes[1].accepted(update)
    for socket in sockets:
        assert [(await socket.followed())["id"] for _ in range(2)] == [opened["id"], update["id"]]
    views = [await it.context() for it in nodes]
    assert views[0] == views[1]
    assert len(views[0]["context"][-1]["resource"]["entry"]) == 50


async def test_who_falls_out_of_sync_meanwhile_is_told_when_there_is_memory(
    own_redis: RedisServer, start_node: StartNode
) -> None:
    """SYNC-14, guarantee 1: a SyncError that cannot be published is owed, not dropped."""
    nodes = [await start_node(own_redis.port) for _ in range(2)]
    other, refusing = [await it.joined(name=name) for it, name in zip(nodes, "AB", strict=True)]
    opened = open_request()
    await nodes[0].accepted(opened)
    await other.followed()
    frame = await refusing.next()
    with full(own_redis), own_redis.client() as client:
        before = client.info("stats")["total_error_replies"]
        await refusing.acknowledge(frame, 500)
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while client.info("stats")["total_error_replies"] == before:  # noqa: ASYNC110 - only it knows
                await asyncio.sleep(0.02)
    told = codings(await other.followed())
    assert (told["eventid"], told["subscribername"]) == (opened["id"], "B")


async def test_a_full_redis_lets_subscribers_leave(
    own_redis: RedisServer, start_node: StartNode
) -> None:
    """UNS-03: what makes room is done, at whichever hub."""
    nodes = [await start_node(own_redis.port) for _ in range(2)]
    socket = await nodes[0].joined()
    with full(own_redis):
        answer = await nodes[1].hub.wire.unsubscribe(TOPIC, socket.endpoint)
        assert answer.status_code == 202, answer.text
        assert (await denied_and_closed(socket))[1] == 1000
