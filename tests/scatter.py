"""A load balancer that remembers nobody: each request and each WebSocket goes to any hub."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CHUNK_BYTES = 65_536
_HEAD_BYTES = 262_144
"""More than a hub reads of a head; beyond it the hub is to say what it thinks of it."""

_KEEPS_ALIVE = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)
_UPGRADES = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


class Scatter:
    """Hands each connection to a hub by chance, and lets each carry one request only.

    A hub is asked to close after its answer, so that the next request of the same client goes to
    any hub again. Otherwise bytes go through as they come.

    Args:
        seed: Of the chance.

    Attributes:
        origin: Where it listens.
        ports: Of the hubs, on loopback; may be filled in later.
        went_to: Connections that each of them got.
    """

    def __init__(self, seed: int = 1) -> None:
        self._chance = Random(seed)
        self.origin = ""
        self.ports: list[int] = []
        self.went_to: dict[int, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client."""
        port = self._chance.choice(self.ports)
        self.went_to[port] = self.went_to.get(port, 0) + 1
        writers = [writer]
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
            writers.append(back)
            back.write(await _head(reader))
            ways = (_pump(reader, back), _pump(there, writer))
            up, down = [asyncio.create_task(it) for it in ways]
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_EXCEPTION)
            up.cancel()
            down.cancel()
        except OSError:
            pass
        finally:
            for it in writers:
                it.close()


@asynccontextmanager
async def scattering(seed: int = 1) -> AsyncIterator[Scatter]:
    """Run such a balancer on a free port."""
    it = Scatter(seed)
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0)
    it.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield it
    finally:
        server.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Return what came up to the end of the head, which asks for a close unless it upgrades."""
    came = b""
    while b"\r\n\r\n" not in came and len(came) < _HEAD_BYTES:
        data = await reader.read(_CHUNK_BYTES)
        if not data:
            return came
        came += data
    head, end, rest = came.partition(b"\r\n\r\n")
    if not end or _UPGRADES.search(head):
        return came
    return _KEEPS_ALIVE.sub(b"", head) + b"\r\nConnection: close" + end + rest


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes until one side ends, and then tell the other; raise if one breaks."""
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()
