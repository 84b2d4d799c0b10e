"""A connection that is made again whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any, Protocol

from fhircast_hub.backends.redis.connection import Connection
from fhircast_hub.backends.redis.server import Lost

if TYPE_CHECKING:
    from fhircast_hub.backends.redis.server import Server

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 2.0
"""Between two attempts to connect; the pause doubles, and processes do not all come at once."""


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

    Attributes:
        address: Of the server that was reached last, None for a socket on this machine.
        run_id: Of that server.
    """

    def __init__(self, server: Server, talker: Talker) -> None:
        self._server = server
        self._talker = talker
        self._connection: Connection | None = None
        self.address: tuple[str, int] | None = None
        self.run_id = b""

    def send(self, *command: bytes | str | int, at_once: bool = False) -> None:
        """Send a command behind those before it; see `Connection.send`.

        Raises:
            Lost: The line is down.
            OverflowError: Too much waits to be sent.
        """
        if self._connection is None:
            raise Lost
        self._connection.send(*command, at_once=at_once)

    def cut(self) -> None:
        """Give the connection up, and make a new one."""
        if self._connection is not None:
            self._connection.end(Lost())

    async def run(self) -> None:
        """Keep the line up, until cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                shaken, self.run_id, self.address = await self._server.connect()
            except Lost as why:
                if pause == _FIRST_PAUSE_SECONDS:
                    logger.warning("Redis cannot be reached: %s", why)
                # Not for a secret: processes that lost the server together come back apart.
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            pause = _FIRST_PAUSE_SECONDS
            await self._talk(Connection(shaken, self._talker.heard))
            await asyncio.sleep(pause)

    async def _talk(self, connection: Connection) -> None:
        """Serve a connection until it is lost, or who talks over it gives it up.

        Not by a group of tasks: one of which a task fails while it is cancelled goes on as if it
        were not.
        """
        self._connection = connection
        greeting = asyncio.create_task(self._talker.greet())
        try:
            ended, _ = await asyncio.wait(
                (greeting, connection.lost), return_when=asyncio.FIRST_EXCEPTION
            )
            for it in ended:
                _tell_of(None if it.cancelled() else it.exception())
        finally:
            self._connection = None
            greeting.cancel()
            self._talker.hung_up()
            await connection.close()  # first: it does not wait, and so cannot be cancelled
            await asyncio.gather(greeting, return_exceptions=True)


def _tell_of(error: BaseException | None) -> None:
    if isinstance(error, Lost):
        logger.warning("a connection to Redis is lost")
    elif error is not None:  # a bug of ours: as good as lost, and everybody is told
        logger.error("a line failed: %s", type(error).__name__)
