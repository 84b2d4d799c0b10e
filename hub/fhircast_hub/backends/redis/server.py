"""How a server is reached, what is a sign that it is not, and that it is the one that is meant."""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.asyncio.connection import Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from fhircast_hub.config.stores import parse_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio.connection import AbstractConnection

    from fhircast_hub.config.stores import Store

_LEAST_OF_CLUSTER = 7
"""The first version in which a channel belongs to one master of a cluster."""


class Lost(Exception):
    """The connection is gone; nobody knows what the server did with what was not answered."""


class Reached(NamedTuple):
    """A server that can be talked to.

    Attributes:
        connection: The way to it.
        run_id: What the server has called itself since it was started, b"" if it does not tell.
        address: Its host and port, None for a socket on this machine.
    """

    connection: AbstractConnection
    run_id: bytes
    address: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Server:
    """A Redis or Valkey server, or one of several.

    Attributes:
        url: As `FHIRCAST_BACKEND` has it; may hold a password, so it is for no log.
        timeout_seconds: Time for an answer of it.
        away_seconds: How long it may be away before subscribers are told that sync is lost.
        address: Host and port, if not the first that the URL names.
    """

    url: str = field(repr=False)
    timeout_seconds: float = 2
    away_seconds: float = 10
    address: tuple[str, int] | None = None

    @property
    def store(self) -> Store:
        """What the URL says."""
        return parse_store(self.url)

    def check(self) -> None:
        """Pass if connections can be made as the URL has it.

        Raises:
            ValueError: It asks for something that there is not.
        """
        try:
            self._make(self.options())
        except TypeError as error:
            raise ValueError from error

    async def connect(self) -> Reached:
        """Return a new connection.

        Raises:
            Lost: The server cannot be reached, lets nobody in, or is not one that keeps sessions.
        """
        async with self._connected(self.options()) as connection:
            said = await _ask(connection, "INFO")
            _judge(said, is_cluster=self.store.kind == "cluster")
            if self.store.kind == "cluster":
                judge_cluster(await _ask(connection, "CLUSTER", "INFO"))
            found = _told(said, b"run_id")
        address = getattr(connection, "host", None), getattr(connection, "port", None)
        return Reached(connection, found, address if address[0] is not None else None)  # type: ignore[arg-type]  # both, or none

    async def is_current(self, _reached: tuple[str, int] | None) -> bool:
        """Tell whether the server that was reached still is the one that is meant."""
        return True

    async def ask_once(
        self, *commands: tuple[str, ...], options: dict[str, Any] | None = None
    ) -> list[Any]:
        """Ask over a connection of its own, whatever the server is; return the answers.

        Raises:
            Lost: See `connect`.
        """
        async with self._connected(options or self.options()) as connection:
            answers = [await _ask(connection, *it) for it in commands]
        await hang_up(connection)
        return answers

    def options(self) -> dict[str, Any]:
        """Return the options of a connection."""
        options: dict[str, Any] = dict(parse_url(self.store.url))
        if self.address is not None:
            options["host"], options["port"] = self.address
        return options

    @asynccontextmanager
    async def _connected(self, options: dict[str, Any]) -> AsyncIterator[AbstractConnection]:
        """Make a connection; it is hung up if what is asked over it fails."""
        connection = self._make(options)
        try:
            async with asyncio.timeout(self.timeout_seconds):
                await connection.connect()  # type: ignore[no-untyped-call]
                yield connection
        except (RedisError, OSError, UnicodeError) as error:  # a timeout is an OSError
            await hang_up(connection)
            raise Lost(_in_words(error)) from None
        except BaseException:
            await hang_up(connection)
            raise

    def _make(self, options: dict[str, Any]) -> AbstractConnection:
        kind = options.pop("connection_class", Connection)
        # Deadlines are ours: one that the library sees ends the connection of all who wait on it.
        ours = {
            "protocol": 2,
            "socket_timeout": None,
            "socket_connect_timeout": self.timeout_seconds,
            "retry": Retry(NoBackoff(), 0),
        }
        made: AbstractConnection = kind(**{**options, **ours})
        # It would tell its name by a command that not every user may give. An argument for that has
        # another name in each version of the library.
        vars(made).update(driver_info=None, lib_name=None, lib_version=None)
        return made


def judge_cluster(said: bytes) -> None:
    """Pass if a node says that its cluster works.

    Raises:
        Lost: It does not; a node that is cut off from the others says so.
    """
    if _told(said, b"cluster_state") != b"ok":
        raise Lost("the cluster is down")


def number_told(said: bytes, name: bytes) -> int:
    """Return a number that a server tells of itself, 0 if it does not."""
    return int(_told(said, name) or 0)


async def hang_up(connection: AbstractConnection) -> None:
    """Close a connection, without waiting for the other side."""
    with suppress(RedisError, OSError):
        await connection.disconnect(nowait=True)


async def _ask(connection: AbstractConnection, *command: str) -> Any:
    await connection.send_command(*command)
    return await connection.read_response(disable_decoding=True)


def _judge(said: bytes, *, is_cluster: bool) -> None:
    if _told(said, b"role") == b"slave":
        raise Lost("it is a replica")
    in_cluster = _told(said, b"cluster_enabled") == b"1"
    if in_cluster and not is_cluster:
        raise Lost("it is of a cluster, which is redis+cluster://")
    if is_cluster and not in_cluster:
        raise Lost("it is of no cluster")
    version = _told(said, b"redis_version").partition(b".")[0]
    if is_cluster and version and int(version) < _LEAST_OF_CLUSTER:
        raise Lost("a cluster has to be of Redis 7 or Valkey")


def _told(said: bytes, name: bytes) -> bytes:
    found = re.search(rb"^%b:([^\r\n]*)" % name, said, re.MULTILINE)
    return found[1] if found else b""


def _in_words(error: BaseException) -> str:
    """Say what failed; the text of an error may hold what was sent."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        if cause in causes:
            break
        causes.append(cause)
    for it in causes:
        match it:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted: {it.verify_message}"
            case ssl.SSLError():
                return f"TLS fails: {it.reason}"
            case AuthenticationError():
                return "it refuses user or password"
            case NoPermissionError():
                return "the user lacks a right (ACL)"
            case TimeoutError():
                return "no answer in time"
            case ConnectionRefusedError():
                return "nothing listens there"
            case _:
                pass
    return type(error).__name__
