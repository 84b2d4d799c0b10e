"""How the server is reached, and what is a sign that it is not."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redis.asyncio.connection import Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection


class Lost(Exception):
    """The connection is gone; nobody knows what the server did with what was not answered."""


@dataclass(frozen=True, slots=True)
class Server:
    """A Redis or Valkey server.

    Attributes:
        url: redis://, rediss:// or unix://; may hold a password, so it is for no log.
        timeout_seconds: Time for an answer of it.
        away_seconds: How long it may be away before subscribers are told that sync is lost.
    """

    url: str = field(repr=False)
    timeout_seconds: float = 2
    away_seconds: float = 10

    def check(self) -> None:
        """Pass if connections can be made as the URL has it.

        Raises:
            ValueError: It asks for something that there is not.
        """
        try:
            self._make()
        except TypeError as error:
            raise ValueError from error

    async def connect(self) -> AbstractConnection:
        """Return a new connection.

        Raises:
            Lost: The server cannot be reached, or lets nobody in.
        """
        connection = self._make()
        try:
            async with asyncio.timeout(self.timeout_seconds):
                await connection.connect()  # type: ignore[no-untyped-call]
        except (RedisError, OSError, UnicodeError) as error:  # a timeout is an OSError
            await hang_up(connection)
            raise Lost(type(error).__name__) from None
        except BaseException:
            await hang_up(connection)
            raise
        return connection

    def _make(self) -> AbstractConnection:
        options: dict[str, Any] = dict(parse_url(self.url))
        kind = options.pop("connection_class", Connection)
        # Deadlines are ours: one that the library sees ends the connection of all who wait on it.
        ours = {
            "protocol": 2,
            "socket_timeout": None,
            "socket_connect_timeout": self.timeout_seconds,
            "retry": Retry(NoBackoff(), 0),
        }
        made: AbstractConnection = kind(**{**options, **ours})
        return made


async def hang_up(connection: AbstractConnection) -> None:
    """Close a connection, without waiting for the other side."""
    with suppress(RedisError, OSError):
        await connection.disconnect(nowait=True)
