"""A hub process is stopped, or killed, while another goes on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from builders import TOPIC, observation, put
from fhircast_conformance.wire import Wire
from torture.nodes import Node as Process
from wire_messages import (
    ALL_EVENTS,
    close_request,
    codings,
    denied_and_closed,
    marker,
    open_request,
    update_request,
)

from faults.nodes import TOLD_WITHIN_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fhircast_conformance.wire import Socket
    from redis_server import RedisServer

    from faults.nodes import StartNode


@asynccontextmanager
async def served(
    folder: Path, server: RedisServer, **settings: str
) -> AsyncIterator[tuple[Process, Wire]]:
    """Run `fhircast serve` behind its own way to Redis."""
    process = Process(0, folder, server.port, **settings)
    await process.proxy.start()
    try:
        async with Wire(process.hub_url) as wire:
            await process.start()
            await process.ready(wire.http)
            yield process, wire
    finally:
        process.resume()
        await process.kill()
        process.proxy.stop()


async def next_id(socket: Socket) -> str:
    event_id: str = (await socket.followed(within=TOLD_WITHIN_SECONDS))["id"]
    return event_id


async def test_a_hub_that_was_stopped_hands_on_what_it_finds(
    tmp_path: Path, own_redis: RedisServer, start_node: StartNode
) -> None:
    """Guarantees 2 and 3: Redis kept it for the hub, so its subscriber gets all, in order."""
    other = await start_node(own_redis.port)
    async with served(tmp_path, own_redis) as (process, wire):
        socket = await wire.join(TOPIC, ALL_EVENTS)
        first = open_request(1)
        await other.accepted(first)
        assert await next_id(socket) == first["id"]
        process.pause()
        missed = [close_request(1), open_request(2), open_request(3)]
        for it in missed:
            await other.accepted(it)
        process.resume()
        assert [await next_id(socket) for _ in missed] == [it["id"] for it in missed]


async def test_a_hub_that_was_stopped_and_missed_something_says_so(
    tmp_path: Path, own_redis: RedisServer, start_node: StartNode
) -> None:
    """Guarantee 3: Redis gave it up meanwhile; who is sent away comes back in sync."""
    other = await start_node(own_redis.port)
    async with served(tmp_path, own_redis) as (process, wire):
        socket = await wire.join(TOPIC, ALL_EVENTS)
        await other.accepted(open_request(1))
        await next_id(socket)
        process.pause()
        process.proxy.cut()
        closed, newest = close_request(1), open_request(2)
        for it in (closed, newest):
            await other.accepted(it)
        process.proxy.heal()
        process.resume()
        async with asyncio.timeout(TOLD_WITHIN_SECONDS):
            assert await socket.close_code() == 1001
        await process.ready(wire.http)
        again = await (await wire.connect(socket.endpoint)).confirmed()
        assert await next_id(again) == newest["id"]


async def test_a_request_to_a_stopped_hub_is_judged_on_what_holds_when_it_goes_on(
    tmp_path: Path, own_redis: RedisServer, start_node: StartNode
) -> None:
    """CONT-06, guarantee 2: it knew an old version, and loses the race by the rules."""
    other = await start_node(own_redis.port)
    async with served(tmp_path, own_redis) as (process, wire):
        socket = await other.joined()
        version = (await wire.post(open_request())).json()["context.versionId"]
        await socket.followed()
        process.pause()
        winner, loser = [update_request(version, put(observation(it))) for it in ("a", "b")]
        asked = asyncio.create_task(wire.post(loser))
        await other.accepted(winner)
        process.resume()
        assert (await asked).status_code == 409
        assert (await socket.followed())["id"] == winner["id"]
        last = marker()
        assert (await wire.post(last)).status_code == 202
        assert (await socket.followed())["id"] == last["id"]


@pytest.mark.parametrize("is_published_before", [True, False])
async def test_subscribers_of_a_killed_hub_find_their_session_at_another(
    tmp_path: Path, own_redis: RedisServer, start_node: StartNode, is_published_before: bool
) -> None:
    """Guarantee 1: what was answered 202 by a hub that is killed (-9) is kept and told."""
    other = await start_node(own_redis.port)
    async with served(tmp_path, own_redis) as (process, wire):
        socket = await wire.join(TOPIC, ALL_EVENTS)
        opened = open_request()
        if is_published_before:
            assert (await wire.post(opened)).status_code == 202
        await process.kill()
        if not is_published_before:
            await other.accepted(opened)
        path = urlsplit(socket.endpoint).path
        endpoint = f"ws://{urlsplit(other.hub.url).netloc}{path}"
        again = await (await other.hub.wire.connect(endpoint)).confirmed()
        assert await next_id(again) == opened["id"]
        assert (await other.context())["context.versionId"]


async def test_who_does_not_come_back_from_a_killed_hub_is_told_of_by_another(
    tmp_path: Path, own_redis: RedisServer, start_node: StartNode
) -> None:
    """SYNC-06, guarantee 4: the others do not go on as if it followed."""
    hold = "1"
    other = await start_node(own_redis.port, redis_hold_seconds=hold)
    follower = await other.hub.wire.join(TOPIC, ALL_EVENTS, name="Dictation")
    async with served(tmp_path, own_redis, FHIRCAST_REDIS_HOLD_SECONDS=hold) as (process, wire):
        gone = await wire.join(TOPIC, ALL_EVENTS, name="Viewer")
        await process.kill()
        error = await follower.followed(within=TOLD_WITHIN_SECONDS)
        assert codings(error)["subscribername"] == "Viewer"
        path = urlsplit(gone.endpoint).path
        late = await other.hub.wire.connect(f"ws://{urlsplit(other.hub.url).netloc}{path}")
        await denied_and_closed(late)
