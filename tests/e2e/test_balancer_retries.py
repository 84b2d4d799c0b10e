"""What nginx and HAProxy send again: never a POST that a hub may have taken."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from balancers import KINDS, balancing
from fhircast_conformance.wire import Wire
from torture.nodes import free_port
from wire_messages import open_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from balancers import Balancer

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
DIES = b""
"""A hub that is killed when it has the request: perhaps after the commit."""


class Upstream:
    """What stands for a hub: it is ready, and answers every other request in one way.

    Attributes:
        port: Where it listens.
        requests: Methods of the requests that it got.
    """

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.port = 0
        self.requests: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, for one request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if "/readyz" in head:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            fields = dict(it.lower().split(": ", 1) for it in head.split("\r\n")[1:] if it)
            await reader.readexactly(int(fields.get("content-length", 0)))
            self.requests.append(head.split()[0])
            writer.write(self._answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # a connection without a request
        finally:
            writer.close()


@asynccontextmanager
async def upstreams(answer: bytes) -> AsyncIterator[list[Upstream]]:
    """Run three of them."""
    async with AsyncExitStack() as stack:
        found = [Upstream(answer) for _ in range(3)]
        for it in found:
            server = await asyncio.start_server(it.serve, "127.0.0.1", 0)
            stack.callback(server.close)
            it.port = server.sockets[0].getsockname()[1]
        yield found


@pytest.fixture(params=KINDS)
async def balancer(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Balancer]:
    """Each of the balancers, before it is started."""
    async with balancing(request.param, tmp_path) as it:
        yield it


@asynccontextmanager
async def before(balancer: Balancer, *ports: int) -> AsyncIterator[Wire]:
    """Start a balancer before these ports; yield its client."""
    balancer.before(*ports)
    await balancer.start()
    async with Wire(f"{balancer.origin}/api/hub", verify=balancer.trust) as wire:
        yield wire


@pytest.mark.parametrize("answer", [DIES, UNAVAILABLE], ids=["dies", "503"])
async def test_a_post_that_a_hub_got_is_never_sent_again(balancer: Balancer, answer: bytes) -> None:
    """D-28, guarantee 2: the caller is told, and decides; whoever sends again keeps the id."""
    async with upstreams(answer) as hubs, before(balancer, *(it.port for it in hubs)) as wire:
        assert (await wire.post(open_request())).status_code in {502, 503}
        assert [method for it in hubs for method in it.requests] == ["POST"]


@pytest.mark.parametrize("answer", [DIES, UNAVAILABLE], ids=["dies", "503"])
async def test_a_get_goes_to_the_next_hub(balancer: Balancer, answer: bytes) -> None:
    """CTX-01: a read, or an upgrade, changes nothing that another one would not change too."""
    async with upstreams(answer) as hubs, before(balancer, *(it.port for it in hubs)) as wire:
        assert (await wire.get("t")).status_code in {502, 503}
        assert len([method for it in hubs for method in it.requests]) > 1


async def test_a_post_that_no_hub_got_goes_to_the_next(balancer: Balancer) -> None:
    """Guarantee 1: hubs that are down refuse connections; no request is lost for that."""
    accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with upstreams(accepted) as hubs:
        alive = hubs[1]
        async with before(balancer, free_port(), alive.port, free_port()) as wire:
            for _ in range(4):
                assert (await wire.post(open_request())).status_code == 202
        assert alive.requests == ["POST"] * 4
