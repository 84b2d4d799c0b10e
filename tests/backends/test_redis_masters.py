"""A hub that is led to another server, while the one it knows goes on to answer."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from backend_runs import Ear, running
from builders import NOON, TOPIC
from fhircast_hub.backends.base import BackendLimits, SyncLost
from fhircast_hub.backends.redis import RedisBackend, Server
from redis import Redis
from redis.exceptions import ConnectionError as Unreachable
from redis_sentinels import NAME, binary, start_sentinel
from redis_server import RedisServer, free_port, running_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


_TIMEOUT_SECONDS = 0.3
_DEADLINE_SECONDS = 20


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[RedisServer]]:
    """Two servers that know nothing of each other."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with running_server(tmp_path / "one") as one, running_server(tmp_path / "other") as other:
        yield [one, other]


async def following(backend: RedisBackend) -> Ear:
    ear = Ear()
    backend.listen(ear)
    await backend.make_topic(TOPIC, "v0", now=NOON)
    await backend.follow(TOPIC)
    return ear


async def told(ear: Ear) -> None:
    """Wait until it is told that the session it followed is no more where it is led to."""
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while SyncLost(TOPIC, is_gone=True) not in ear.heard:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


class Way:
    """A name that leads to one server, and then to another."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.port = 0

    async def lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self.server.port)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_carry(reader, there[1]))
            tasks.create_task(_carry(there[0], writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def way_to(server: RedisServer) -> AsyncIterator[Way]:
    way = Way(server)
    async with AsyncExitStack() as ends:
        listening = await ends.enter_async_context(
            await asyncio.start_server(way.lead, "127.0.0.1", 0)
        )
        way.port = listening.sockets[0].getsockname()[1]
        yield way


async def test_a_name_that_leads_elsewhere_for_new_connections(servers: list[RedisServer]) -> None:
    """Guarantee 3: asked of one server, heard from another, it would be missed in silence."""
    async with way_to(servers[0]) as way, running() as run:
        patience = Server(f"redis://127.0.0.1:{way.port}", _TIMEOUT_SECONDS, _DEADLINE_SECONDS)
        ear = await following(run(RedisBackend(patience, BackendLimits())))
        way.server = servers[1]
        with servers[0].client() as client:
            for it in client.client_list():
                if it["sub"] == "0" and it["cmd"] != "client|list":
                    client.client_kill_filter(_id=it["id"])
        await told(ear)


async def test_a_master_that_sentinels_have_replaced_is_left(
    servers: list[RedisServer], tmp_path: Path
) -> None:
    """Guarantee 3: it was cut off from them, and still answers this hub."""
    binary()
    port = free_port()
    sentinel = start_sentinel(tmp_path, port, servers[0], 1)
    try:
        with Redis(port=port, decode_responses=True) as client:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                while not _answers(client):  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)
            async with running() as run:
                url = f"redis+sentinel://127.0.0.1:{port}/{NAME}"
                patience = Server(url, _TIMEOUT_SECONDS, _DEADLINE_SECONDS)
                ear = await following(run(RedisBackend(patience, BackendLimits())))
                client.execute_command("SENTINEL", "REMOVE", NAME)
                other = str(servers[1].port)
                client.execute_command("SENTINEL", "MONITOR", NAME, "127.0.0.1", other, "1")
                await told(ear)
    finally:
        sentinel.kill()
        sentinel.wait()


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except Unreachable:
        return False
