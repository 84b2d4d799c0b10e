"""Hubs and servers for sessions that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hub_server import start_hub
from redis_server import RedisServer, own_redis, redis_of_worker, redis_server
from torture.proxy import Proxy

from faults.nodes import PATIENCE, Node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from hub_server import StartHub

    from faults.nodes import StartNode

__all__ = ["own_redis", "redis_of_worker", "redis_server", "start_hub"]


@pytest.fixture
async def start_node(start_hub: StartHub) -> AsyncIterator[StartNode]:
    """Start hubs, each behind its own way to Redis."""
    ways: list[Proxy] = []

    async def start(redis_port: int, **settings: str) -> Node:
        way = Proxy(redis_port)
        ways.append(way)
        await way.start()
        backend = f"redis://127.0.0.1:{way.port}"
        return Node(await start_hub(backend=backend, **PATIENCE | settings), way)

    yield start
    for it in ways:
        it.stop()


@pytest.fixture
def lasting_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that keeps everything over a restart."""
    server = RedisServer(tmp_path, appendonly="yes", appendfsync="always")
    server.start()
    try:
        yield server
    finally:
        server.stop()
