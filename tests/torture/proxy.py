"""A hub's way to Redis, which can be cut, hung and slowed down."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_CHUNK_BYTES = 65_536


class _Way:
    """One connection through the proxy."""

    def __init__(self, writers: list[asyncio.StreamWriter]) -> None:
        self.writers = writers
        self.flows = asyncio.Event()
        self.flows.set()

    def abort(self) -> None:
        for it in self.writers:
            it.transport.abort()
        self.flows.set()


class Proxy:
    """A TCP proxy to a port of this machine.

    Attributes:
        port: Where it listens.
        delay_seconds: How much longer each piece takes, each way.
    """

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._ways: set[_Way] = set()
        self._is_cut = False
        self._hangs = False
        self._server: asyncio.Server | None = None
        self.port = 0
        self.delay_seconds = 0.0

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """End all."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """Break all connections; new ones break at once."""
        self._is_cut = True
        for it in list(self._ways):
            it.abort()

    def hang(self) -> None:
        """Carry nothing any more, in either direction; new connections are made, and hang."""
        self._hangs = True
        for it in self._ways:
            it.flows.clear()

    def hang_one(self, chance: Random) -> None:
        """Let one of the connections hang, if there is one."""
        ways = sorted(self._ways, key=id)
        if ways:
            chance.choice(ways).flows.clear()

    def heal(self) -> None:
        """Be a good way again."""
        self._is_cut = self._hangs = False
        self.delay_seconds = 0.0
        for it in self._ways:
            it.flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        way = _Way([writer])
        self._ways.add(way)
        if self._hangs:
            way.flows.clear()
        try:
            if self._is_cut:
                return
            there, back = await asyncio.open_connection("127.0.0.1", self._to_port)
            way.writers.append(back)
            if self._is_cut:
                return
            pumping = [
                asyncio.create_task(self._pump(way, reader, back)),
                asyncio.create_task(self._pump(way, there, writer)),
            ]
            await asyncio.wait(pumping, return_when=asyncio.FIRST_COMPLETED)
            for it in pumping:
                it.cancel()
        except OSError:
            pass
        finally:
            way.abort()
            self._ways.discard(way)

    async def _pump(
        self, way: _Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                await way.flows.wait()
                writer.write(data)
                await writer.drain()
