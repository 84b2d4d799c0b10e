"""One connection to the server: commands go out as they come, answers are heard as they come in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import hiredis
from redis.asyncio.connection import DefaultParser
from redis.exceptions import RedisError, ResponseError

from fhircast_hub.backends.redis.server import Lost, hang_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.connection import AbstractConnection

_MOST_BYTES = 64 * 1024 * 1024
"""Of commands that the server has not taken; beyond it no more are sent."""


class Connection(asyncio.Protocol):
    """A connection whose handshake the library made, and that is read and written without it.

    Its streams and their tasks would cost more than all that is done with a command.

    Attributes:
        lost: Gets the exception with which the connection ends: `Lost`, or that of a bug.
    """

    def __init__(self, shaken: AbstractConnection, heard: Callable[[Any], None]) -> None:
        """Take over a connection.

        Args:
            shaken: A connection of the library over which nothing is under way.
            heard: Takes each answer: a value, or the `ResponseError` that it is.
        """
        writer = cast("asyncio.StreamWriter", shaken._writer)
        self._shaken = shaken  # closes the transport when it is forgotten
        self._heard = heard
        self._reader = hiredis.Reader(
            protocolError=RedisError, replyError=DefaultParser.parse_error
        )
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._waiting: list[bytes] = []
        self._transport: asyncio.WriteTransport = writer.transport
        self._transport.set_protocol(self)
        if self._transport.is_closing():  # and would not tell this protocol
            self.end(Lost())

    def send(self, *command: bytes | str | int, at_once: bool = False) -> None:
        """Send a command behind those before it.

        Args:
            command: The command and its arguments.
            at_once: Whether it is not to wait for others that may come in the same turn.

        Raises:
            Lost: The connection is over.
            OverflowError: The server does not take what it was sent.
        """
        if self.lost.done():
            raise Lost
        if not self._waiting:
            if self._transport.get_write_buffer_size() > _MOST_BYTES:
                raise OverflowError
            # What is asked in one turn of the loop is written in one go.
            if not at_once:
                self._loop.call_soon(self._write)
        self._waiting.append(hiredis.pack_command(command))  # type: ignore[arg-type]  # any length
        if at_once and len(self._waiting) == 1:
            self._write()

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self.lost.done():
            return
        try:
            self._transport.write(b"".join(waiting))
        except RuntimeError:  # of uvloop, for a transport that broke a moment ago
            self.end(Lost())

    def end(self, why: Exception) -> None:
        """End the connection; nothing more is heard over it."""
        if not self.lost.done():
            self.lost.set_exception(why)
            self.lost.exception()  # whoever is not waiting for it need not be told

    async def close(self) -> None:
        """Close the connection, without waiting for the other side."""
        self.end(Lost())
        await hang_up(self._shaken)

    # What the transport calls

    def data_received(self, data: bytes) -> None:
        """Answers came, perhaps not all of the last one."""
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not False and not self.lost.done():
                if isinstance(answer, RedisError) and not isinstance(answer, ResponseError):
                    raise answer  # it says nothing of the command: the server is not there yet
                self._heard(answer)
        except RedisError:
            self.end(Lost())
        except Exception as error:  # a bug of ours: as good as lost, and everybody is told
            self.end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.end(Lost())
