"""Three hubs behind nginx and HAProxy, which remember nobody; the balancer or a hub goes away."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest
from balancers import KINDS, Balancer, balancing
from builders import TOPIC
from fhircast_conformance.wire import Wire
from torture.nodes import free_port
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from wire_messages import ALL_EVENTS, marker, open_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from builders import Json
    from hub_server import StartHub
    from redis_server import RedisServer

_DEADLINE_SECONDS = 30


@pytest.fixture(params=KINDS)
async def balancer(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Balancer]:
    """Each of the balancers, before it is started."""
    async with balancing(request.param, tmp_path) as it:
        yield it


@pytest.fixture
async def front(
    balancer: Balancer, start_hub: StartHub, redis_server: RedisServer
) -> AsyncIterator[Wire]:
    """A client of three hubs behind a balancer."""
    settings = {"public_url": balancer.origin, "trusted_proxies": "127.0.0.1"}
    hubs = [await start_hub(backend=redis_server.url, **settings) for _ in range(3)]
    balancer.before(*(urlsplit(it.origin).port or 0 for it in hubs))
    await balancer.start()
    async with Wire(f"{balancer.origin}/api/hub", verify=balancer.trust) as wire:
        await ready(wire)
        yield wire


async def ready(wire: Wire) -> None:
    """Wait until requests come to hubs that serve, whichever they come to."""
    url = wire.hub_url.replace("/api/hub", "/readyz")
    async with asyncio.timeout(_DEADLINE_SECONDS):
        good = 0
        while good < 9:
            with suppress(httpx.HTTPError):
                good = good + 1 if (await wire.http.get(url)).status_code == 200 else 0
            await asyncio.sleep(0.01)


async def published(wire: Wire, event: Json) -> int:
    """Post a request until it is answered, each time with the same id; return how often."""
    async with asyncio.timeout(_DEADLINE_SECONDS):
        for times in range(1, 1000):
            with suppress(httpx.HTTPError):
                answer = await wire.post(event)
                if answer.status_code == 202:
                    return times
                assert answer.status_code in {502, 503, 504}, answer.text
            await asyncio.sleep(0.05)
    raise AssertionError("never answered")


class Follower:
    """A subscriber that comes back to its endpoint whenever its connection ends."""

    def __init__(self, wire: Wire, endpoint: str) -> None:
        self._wire, self._endpoint = wire, endpoint
        self.connections: list[list[str]] = []
        """Ids of what came over each connection."""

    @property
    def newest(self) -> str:
        """The last event that came, over whichever connection."""
        return next((it[-1] for it in reversed(self.connections) if it), "")

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            with suppress(OSError, InvalidHandshake, TimeoutError, ConnectionClosed):
                socket = await (await self._wire.connect(self._endpoint)).confirmed()
                self.connections.append([])
                while True:
                    frame = await socket.followed(within=_DEADLINE_SECONDS)
                    self.connections[-1].append(frame["id"])
            await asyncio.sleep(0.05)

    async def has(self, event_id: str) -> None:
        """Wait until an event is the newest."""
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while self.newest != event_id:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)

    async def connected(self, times: int) -> None:
        """Wait until it was connected so many times."""
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while len(self.connections) < times:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)


@asynccontextmanager
async def following(wire: Wire, count: int = 3) -> AsyncIterator[list[Follower]]:
    """Run subscribers of the session."""
    followers = []
    for number in range(count):
        answer = await wire.subscribe(TOPIC, ALL_EVENTS, name=f"Subscriber {number}")
        followers.append(Follower(wire, answer.json()["hub.channel.endpoint"]))
    running = [asyncio.create_task(it.run()) for it in followers]
    try:
        for it in followers:
            await it.connected(1)
        yield followers
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class Load:
    """Opens one case after the other, each until it is accepted."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.sent: list[str] = []

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            event = open_request(len(self.sent) % 20 + 1)
            await published(self._wire, event)
            self.sent.append(event["id"])

    async def more(self, count: int = 10) -> None:
        """Wait until so many more were accepted."""
        wanted = len(self.sent) + count
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while len(self.sent) < wanted:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)


@asynccontextmanager
async def loading(wire: Wire) -> AsyncIterator[Load]:
    """Publish meanwhile."""
    load = Load(wire)
    running = asyncio.create_task(load.run())
    try:
        await load.more()
        yield load
        await load.more()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def in_sync(wire: Wire, followers: list[Follower]) -> None:
    """One more case is opened; all show it, as a GET says."""
    last = open_request(21)
    await published(wire, last)
    for it in followers:
        await it.has(last["id"])
    shown = (await wire.context(TOPIC))["context"][0]["resource"]["id"]
    assert shown == last["event"]["context"][0]["resource"]["id"]


def once_each(follower: Follower) -> bool:
    """Over no connection did an event come twice."""
    return all(len(it) == len(set(it)) for it in follower.connections)


async def test_subscribed_at_one_connected_at_another_published_at_a_third(
    front: Wire, balancer: Balancer
) -> None:
    """SUB-14, guarantees 1 and 2: three hubs are as one; no endpoint is in the log."""
    sockets = [await front.join(TOPIC, ALL_EVENTS, name=f"Subscriber {it}") for it in range(4)]
    events = [open_request(), *(marker() for _ in range(5))]
    for it in events:
        assert await published(front, it) == 1
    for socket in sockets:
        assert socket.endpoint.startswith(f"wss://127.0.0.1:{balancer.port}/")
        assert [(await socket.followed())["id"] for _ in events] == [it["id"] for it in events]
        await socket.close()
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while balancer.log().count(" GET 101 ") < len(sockets):  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # a WebSocket is logged when it is over
    lines = balancer.log().splitlines()
    hubs = {it.split(" 101 ")[1].split()[0] for it in lines if " GET 101 " in it}
    assert len(hubs) > 1
    assert len({it.split(" POST 202 ")[1].split()[0] for it in lines if " POST 202 " in it}) == 3
    for socket in sockets:
        assert socket.endpoint.rsplit("/", 1)[1] not in balancer.log()


async def test_a_repeat_through_it_is_the_same_event(front: Wire) -> None:
    """D-28: whichever hub gets it, the same id is answered the same, and goes out once."""
    socket = await front.join(TOPIC, ALL_EVENTS)
    opened, last = open_request(), marker()
    answers = [await front.post(opened) for _ in range(3)]
    assert {it.status_code for it in answers} == {202}
    assert len({it.json()["context.versionId"] for it in answers}) == 1
    await front.post(last)
    assert [(await socket.followed())["id"] for _ in range(2)] == [opened["id"], last["id"]]


async def test_a_balancer_that_is_killed_under_load(front: Wire, balancer: Balancer) -> None:
    """Guarantee 1: all connections break; subscribers come back, and nothing accepted is undone."""
    async with following(front) as followers:
        async with loading(front) as load:
            await balancer.kill()
            await balancer.start()
            for it in followers:
                await it.connected(2)
            await load.more()
        await in_sync(front, followers)
        assert all(map(once_each, followers))


async def test_a_balancer_that_is_reloaded_under_load(front: Wire, balancer: Balancer) -> None:
    """Guarantees 1 and 2: requests go on; old WebSockets end in time, and return."""
    async with following(front) as followers:
        async with loading(front):
            balancer.reload()
            for it in followers:
                await it.connected(2)
        await in_sync(front, followers)
        assert all(map(once_each, followers))


async def test_redis_is_away_behind_it_and_comes_back(
    balancer: Balancer, start_hub: StartHub, own_redis: RedisServer
) -> None:
    """Guarantee 1: callers are told, by a hub or by the balancer; then all goes on."""
    settings = {"public_url": balancer.origin, "redis_timeout_seconds": "0.3"}
    hubs = [await start_hub(backend=own_redis.url, **settings) for _ in range(3)]
    balancer.before(*(urlsplit(it.origin).port or 0 for it in hubs))
    await balancer.start()
    async with Wire(f"{balancer.origin}/api/hub", verify=balancer.trust) as wire:
        await ready(wire)
        await asyncio.to_thread(own_redis.stop)
        event = open_request()
        for _ in range(4):
            assert (await wire.post(event)).status_code in {502, 503}
            assert (await wire.get(TOPIC)).status_code in {502, 503}
        await asyncio.to_thread(own_redis.start)
        await ready(wire)
        await wire.join(TOPIC, ALL_EVENTS)
        await published(wire, event)


@asynccontextmanager
async def served(
    server: RedisServer, public_url: str, port: int = 0
) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """Run `fhircast serve` behind a balancer; yield its port and the process."""
    port = port or free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fhircast_hub", "serve", "--port", str(port)),
        *("--backend", server.url, "--public-url", public_url, "--trusted-proxies", "127.0.0.1"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield port, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def up(port: int) -> None:
    """Wait until a hub serves, asked without a balancer."""
    async with Wire(f"http://127.0.0.1:{port}/api/hub") as wire:
        await ready(wire)


class Site(NamedTuple):
    """Three processes behind a balancer, and what has to happen at its end."""

    hubs: list[tuple[int, asyncio.subprocess.Process]]
    wire: Wire
    stack: AsyncExitStack


@pytest.fixture
async def site(balancer: Balancer, redis_server: RedisServer) -> AsyncIterator[Site]:
    """Three processes behind each of the balancers."""
    async with AsyncExitStack() as stack:
        starting = [served(redis_server, balancer.origin) for _ in range(3)]
        hubs = [await stack.enter_async_context(it) for it in starting]
        for port, _ in hubs:
            await up(port)
        balancer.before(*(port for port, _ in hubs))
        await balancer.start()
        client = Wire(f"{balancer.origin}/api/hub", verify=balancer.trust)
        wire = await stack.enter_async_context(client)
        await ready(wire)
        yield Site(hubs, wire, stack)


async def test_a_hub_behind_it_is_killed_under_load(site: Site) -> None:
    """Guarantees 1 and 2, D-28: a POST without an answer is sent again, and is the same event."""
    async with following(site.wire, 6) as followers:
        async with loading(site.wire):
            _, process = site.hubs[0]
            process.kill()
            await process.wait()
        await in_sync(site.wire, followers)
        assert any(len(it.connections) > 1 for it in followers)
        assert all(map(once_each, followers))


async def test_hubs_behind_it_are_restarted_one_by_one_under_load(
    site: Site, balancer: Balancer, redis_server: RedisServer
) -> None:
    """Guarantees 1 and 2: a rolling restart; each subscriber moves, and all stay in sync."""
    async with following(site.wire, 6) as followers:
        async with loading(site.wire) as load:
            for port, process in site.hubs:
                process.terminate()
                assert await process.wait() == 0
                again = served(redis_server, balancer.origin, port)
                await site.stack.enter_async_context(again)
                await up(port)
                await load.more(3)
        await in_sync(site.wire, followers)
        assert all(len(it.connections) > 1 for it in followers)
        assert all(map(once_each, followers))
