"""A hub whose sessions are where Sentinels say: the master dies, and another one takes over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from fhircast_hub.backends.redis import keys
from redis_sentinels import Watched, running_sentinels, until
from wire_messages import ALL_EVENTS, marker, open_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_server import RunningHub, StartHub

_DEADLINE_SECONDS = 20
_SETTINGS = {"redis_timeout_seconds": "0.3", "redis_away_seconds": "0.5"}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with running_sentinels(tmp_path) as watched:
        yield watched


async def status(hub: RunningHub, wanted: int) -> dict[str, str]:
    """Publish until the answer has this status; return its headers."""
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while (answer := await hub.wire.post(marker())).status_code != wanted:
            assert answer.status_code in {202, 503}, answer.text
            await asyncio.sleep(0.05)
    return dict(answer.headers)


async def ready(hub: RunningHub) -> None:
    """Wait until a hub reaches its sessions."""
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while (await hub.wire.http.get(f"{hub.origin}/readyz")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_another_master_takes_over(start_hub: StartHub, watched: Watched) -> None:
    """Guarantee 1: 503 meanwhile, subscribers are sent away, and then all goes on at the other."""
    one, other = [await start_hub(backend=watched.url, **_SETTINGS) for _ in range(2)]
    sockets = [await it.wire.join(TOPIC, ALL_EVENTS) for it in (one, other)]
    opened = open_request()
    assert (await one.wire.post(opened)).status_code == 202
    for it in sockets:
        assert (await it.followed())["id"] == opened["id"]
    first, second = watched.servers
    await asyncio.to_thread(until, first.is_replicated)
    await asyncio.to_thread(first.stop)
    assert (await status(one, 503))["retry-after"] == "2"
    assert [await it.close_code() for it in sockets] == [1001, 1001]
    await status(one, 202)
    await ready(other)
    again = await (await other.wire.connect(sockets[1].endpoint)).confirmed()
    assert (await again.followed())["id"] == opened["id"]

    sent = marker()
    assert (await one.wire.post(sent)).status_code == 202
    while (await again.followed())["id"] != sent["id"]:
        pass

    await asyncio.to_thread(first.start)  # empty, and it takes itself for the master for a while
    with second.client() as client:
        for kind in ("normal", "pubsub"):
            client.execute_command("CLIENT KILL TYPE", kind)
    await status(one, 202)
    with first.client() as client:
        assert not client.exists(keys.of_topic(TOPIC).session)


async def test_a_master_that_hangs_and_comes_back_is_left(
    start_hub: StartHub, watched: Watched
) -> None:
    """Guarantee 3: it takes itself for the master; nobody may go on there."""
    hub = await start_hub(backend=watched.url, **_SETTINGS)
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    first, second = watched.servers
    await asyncio.to_thread(until, first.is_replicated)
    first.pause()
    try:
        assert await socket.close_code() == 1001
        await asyncio.to_thread(until, lambda: not watched.is_replica(second))
    finally:
        first.resume()
    await ready(hub)
    await hub.wire.join(TOPIC, ALL_EVENTS)
    await status(hub, 202)
    with second.client() as client:
        assert client.exists(keys.of_topic(TOPIC).session)
