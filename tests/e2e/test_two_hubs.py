"""Two hubs on one Redis, or one cluster: one session, whichever of them is asked."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from builders import TOPIC, case, observation, put, target
from fhircast_conformance.wire import Wire
from wire_messages import (
    ALL_EVENTS,
    close_request,
    codings,
    denied_and_closed,
    marker,
    open_request,
    update_request,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fhircast_conformance.wire import Socket
    from hub_server import RunningHub, StartHub
    from redis_cluster import RedisCluster
    from redis_server import RedisServer

    Store = RedisServer | RedisCluster

_DEADLINE_SECONDS = 20


def at(hub: RunningHub, endpoint: str) -> str:
    """The same endpoint at another hub, as behind a load balancer."""
    return f"ws://{urlsplit(hub.url).netloc}{urlsplit(endpoint).path}"


async def two(start_hub: StartHub, server: Store, **settings: str) -> list[RunningHub]:
    return [await start_hub(backend=server.url, **settings) for _ in range(2)]


async def accepted(hub: RunningHub, *requests: dict[str, object]) -> list[str]:
    """Post requests, one after the other; return the versions that they got."""
    versions = []
    for it in requests:
        answer = await hub.wire.post(it)
        assert answer.status_code == 202, answer.text
        versions.append(answer.json().get("context.versionId", ""))
    return versions


async def ids(socket: Socket, count: int) -> list[str]:
    return [(await socket.followed())["id"] for _ in range(count)]


@asynccontextmanager
async def served(server: Store) -> AsyncIterator[tuple[Wire, asyncio.subprocess.Process]]:
    """Run `fhircast serve`; yield a client of it and the process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "fhircast_hub", "serve", "--port", "0"),
        *("--backend", server.url),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            first = (await process.stdout.readline()).decode()
        async with Wire(first.split()[1]) as wire:
            await ready(wire)
            yield wire, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ready(wire: Wire) -> None:
    """Wait until a hub reaches its sessions."""
    url = f"http://{urlsplit(wire.hub_url).netloc}/readyz"
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while (await wire.http.get(url)).status_code != 200:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.02)


async def test_two_processes_serve_one_session(store: Store) -> None:
    """Guarantees 1 and 2: subscribed at one, published at the other, read at both; one leaves."""
    async with served(store) as (one, process), served(store) as (other, _):
        socket = await one.join(TOPIC, ALL_EVENTS)
        opened = open_request()
        version = (await other.post(opened)).json()["context.versionId"]
        frame = await socket.followed()
        assert (frame["id"], frame["event"]["context.versionId"]) == (opened["id"], version)
        updated = update_request(version, put(observation("ob-1")))
        assert (await other.post(updated)).status_code == 202
        assert (await socket.followed())["id"] == updated["id"]
        views = [await it.context(TOPIC) for it in (one, other)]
        assert views[0] == views[1]
        assert views[0]["context"][-1]["resource"]["entry"][0]["resource"]["id"] == "ob-1"
        process.send_signal(signal.SIGTERM)
        assert await socket.close_code() == 1001
        path = urlsplit(socket.endpoint).path
        again = await other.connect(f"ws://{urlsplit(other.hub_url).netloc}{path}")
        assert (await again.confirmed()).confirmation["hub.topic"] == TOPIC
        assert (await again.followed())["id"] == opened["id"]


async def test_all_see_the_same_order(start_hub: StartHub, store: Store) -> None:
    """Guarantee 2: two publishers at two hubs; one chain of versions, and one order at both."""
    hubs = await two(start_hub, store)
    sockets = [await it.wire.join(TOPIC, ALL_EVENTS) for it in hubs]

    async def publish(hub: RunningHub) -> None:
        await accepted(hub, *[marker() for _ in range(20)])

    await accepted(hubs[0], open_request())
    await asyncio.gather(*map(publish, hubs))
    seen = [await ids(it, 41) for it in sockets]
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 41


async def test_an_endpoint_is_good_at_every_hub(start_hub: StartHub, store: Store) -> None:
    """D-44: who joins elsewhere takes the endpoint along, and the first hub ends nothing."""
    one, other = await two(start_hub, store, reconnect_grace_seconds="0.2")
    first = await one.wire.join(TOPIC, ALL_EVENTS)
    (version,) = await accepted(one, open_request())
    await first.followed()
    second = await (await other.wire.connect(at(other, first.endpoint))).confirmed()
    assert await first.close_code() == 1008
    assert (await second.followed())["event"]["context.versionId"] == version
    await accepted(one, marker())
    await second.followed()
    await second.abort()
    third = await (await one.wire.connect(first.endpoint)).confirmed()
    assert (await third.followed())["event"]["context.versionId"] == version
    later = await other.wire.join(TOPIC, ["Home-open"], name="Lost later")
    await later.abort()
    # By then, what was lost there before would be told, and the subscription ended.
    assert codings(await third.followed())["subscribername"] == "Lost later"
    sent = marker()
    await accepted(other, sent)
    assert await ids(third, 1) == [sent["id"]]


async def test_an_unsubscribe_elsewhere_ends_the_socket(start_hub: StartHub, store: Store) -> None:
    """UNS-03: a denial and a close, at whichever hub the socket is."""
    one, other = await two(start_hub, store)
    socket = await one.wire.join(TOPIC, ALL_EVENTS)
    answer = await other.wire.unsubscribe(TOPIC, socket.endpoint)
    assert answer.status_code == 202, answer.text
    assert await denied_and_closed(socket) == ("unsubscribed", 1000)


async def test_a_retry_elsewhere_is_the_same_event(start_hub: StartHub, store: Store) -> None:
    """D-28: an id is recognised wherever it comes again, and a close is closed everywhere."""
    one, other = await two(start_hub, store)
    socket = await one.wire.join(TOPIC, ALL_EVENTS)
    sent, closed = open_request(), close_request()
    assert await accepted(one, sent) == await accepted(other, sent)
    await accepted(other, closed)
    assert await ids(socket, 2) == [sent["id"], closed["id"]]
    for it in (one, other):
        assert (await it.wire.context(TOPIC))["context"] == []


async def test_redis_goes_and_comes_back(start_hub: StartHub, own_redis: RedisServer) -> None:
    """Guarantee 1: 503 while it is away, subscribers are sent away, then all begins anew."""
    settings = {"redis_timeout_seconds": "0.3", "redis_away_seconds": "0.2"}
    hub = await start_hub(backend=own_redis.url, **settings)
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    await accepted(hub, open_request())
    await socket.followed()
    await asyncio.to_thread(own_redis.stop)
    answer = await hub.wire.post(open_request(2))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert (await hub.wire.get(TOPIC)).status_code == 503
    assert await socket.close_code() == 1001
    assert (await hub.wire.http.get(f"{hub.origin}/readyz")).status_code == 503
    await asyncio.to_thread(own_redis.start)
    await ready(hub.wire)
    assert (await hub.wire.get(TOPIC)).status_code == 404
    late = await hub.wire.connect(socket.endpoint)
    assert (await denied_and_closed(late))[1] == 1008
    await hub.wire.join(TOPIC, ALL_EVENTS)
    await accepted(hub, open_request(3))


@pytest.mark.parametrize("count", [40])
async def test_updates_from_two_hubs_lose_nothing(
    start_hub: StartHub, store: Store, count: int
) -> None:
    """CONT-03, guarantee 2: who is late by a version is refused, reads again and comes back."""
    hubs = await two(start_hub, store)
    await hubs[0].wire.join(TOPIC, ALL_EVENTS)
    await accepted(hubs[0], open_request())

    async def share(hub: RunningHub, first: int) -> None:
        for number in range(first, count, 2):
            status = 409
            while status == 409:
                version = (await hub.wire.context(TOPIC))["context.versionId"]
                sent = update_request(version, put(observation(f"ob-{number}")))
                status = (await hub.wire.post(sent)).status_code
            assert status == 202

    await asyncio.gather(*[share(hub, number) for number, hub in enumerate(hubs)])
    for hub in hubs:
        view = await hub.wire.context(TOPIC)
        shared = {it["fullUrl"] for it in view["context"][-1]["resource"]["entry"]}
        assert shared == {target(observation(f"ob-{it}")) for it in range(count)}
    assert target(case(1)[0]) not in shared
