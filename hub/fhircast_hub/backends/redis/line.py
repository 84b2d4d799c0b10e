"""A connection that is made again whenever it is lost, written by one task and read by another."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from redis.exceptions import RedisError, ResponseError

from fhircast_hub.backends.redis.server import Lost, hang_up

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

    from fhircast_hub.backends.redis.server import Server

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 2.0
"""Between two attempts to connect; the pause doubles, and processes do not all come at once."""

MAX_WAITING = 10_000
"""Commands that may wait to be sent; beyond that the server is too slow for what is asked of it."""


class Talker(Protocol):
    """Who talks over a line."""

    async def greet(self) -> None:
        """The line is up: say what has to be said first; it is cancelled when the line is lost.

        Raises:
            Lost: It did not work; the line is made anew.
        """
        ...

    def heard(self, answer: Any) -> None:
        """The server said something: a value, or the error with which it refused a command."""
        ...

    def hung_up(self) -> None:
        """The line is down; nothing that was said before is answered any more."""
        ...


class Line:
    """One connection to the server.

    Args:
        server: Where it goes.
        talker: Who uses it.
    """

    def __init__(self, server: Server, talker: Talker) -> None:
        self._server = server
        self._talker = talker
        self._waiting: deque[list[bytes]] = deque()
        self._has_waiting = asyncio.Event()
        self._is_cut = asyncio.Event()
        self._connection: AbstractConnection | None = None

    def send(self, *command: bytes | str | int) -> None:
        """Send a command behind those before it.

        Raises:
            Lost: The line is down.
            OverflowError: Too much waits to be sent.
        """
        if self._connection is None:
            raise Lost
        if len(self._waiting) >= MAX_WAITING:
            raise OverflowError
        self._waiting.append(self._connection.pack_command(*command))
        self._has_waiting.set()

    def cut(self) -> None:
        """Give the connection up, and make a new one."""
        self._is_cut.set()

    async def run(self) -> None:
        """Keep the line up, until cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                connection = await self._server.connect()
            except Lost as why:
                if pause == _FIRST_PAUSE_SECONDS:
                    logger.warning("Redis cannot be reached: %s", why)
                # Not for a secret: processes that lost the server together come back apart.
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            pause = _FIRST_PAUSE_SECONDS
            await self._talk(connection)
            await asyncio.sleep(pause)

    async def _talk(self, connection: AbstractConnection) -> None:
        """Serve a connection until one of those who talk over it gives it up.

        Not by a group of tasks: one of which a task fails while it is cancelled goes on as if it
        were not.
        """
        self._connection = connection
        self._is_cut.clear()
        steps = (self._write(connection), self._read(connection), self._await_cut())
        talking = [asyncio.create_task(it) for it in (*steps, self._talker.greet())]
        try:
            ended, _ = await asyncio.wait(talking, return_when=asyncio.FIRST_EXCEPTION)
            for it in ended:
                _tell_of(None if it.cancelled() else it.exception())
        finally:
            self._connection = None
            self._waiting.clear()
            for task in talking:
                task.cancel()
            self._talker.hung_up()
            await asyncio.gather(*talking, return_exceptions=True)
            await hang_up(connection)

    async def _write(self, connection: AbstractConnection) -> None:
        while await self._has_waiting.wait():
            self._has_waiting.clear()
            packed = list(chain.from_iterable(self._waiting))
            self._waiting.clear()
            try:
                await connection.send_packed_command(packed, check_health=False)
            except (RedisError, OSError, RuntimeError) as error:
                # uvloop has a RuntimeError for a transport that broke a moment ago.
                raise Lost from error

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            try:
                answer = await connection.read_response(disable_decoding=True)
            except ResponseError as refusal:
                answer = refusal
            except (RedisError, OSError) as error:
                raise Lost from error
            self._talker.heard(answer)

    async def _await_cut(self) -> None:
        await self._is_cut.wait()
        raise Lost


def _tell_of(error: BaseException | None) -> None:
    if isinstance(error, Lost):
        logger.warning("a connection to Redis is lost")
    elif error is not None:  # a bug of ours: as good as lost, and everybody is told
        logger.error("a line failed: %s", type(error).__name__)
