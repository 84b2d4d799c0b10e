"""Commands and their answers over one line, as many at a time as are wanted."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any

from redis.exceptions import (
    AskError,
    ClusterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from fhircast_hub.backends.redis.line import Line
from fhircast_hub.backends.redis.scripts import ALL
from fhircast_hub.backends.redis.server import Lost
from fhircast_hub.protocol.errors import Unavailable

if TYPE_CHECKING:
    from fhircast_hub.backends.redis.scripts import Script
    from fhircast_hub.backends.redis.server import Server

logger = logging.getLogger(__name__)

_ASKED_AT_ONCE = 500
"""Commands of one caller that are sent without waiting for answers."""

_MOST_AWAITED = 10_000
"""Commands without an answer; beyond it the server is too slow for what is asked of it."""


_NOT_HERE = (AskError, ClusterDownError, TryAgainError)
"""Of a node of a cluster; that a slot has moved for good is a kind of the first."""


class Elsewhere(Unavailable):
    """The server does not keep this now; another one may. Nothing was done."""


class Commands:
    """Sends commands, and hands each answer to who waits for it.

    The server answers in the order of the commands, so who waits is a queue and nothing else. An
    answer that does not come in time ends the connection: behind it the server is not to be
    trusted, and the others' answers would come late too.

    Attributes:
        epoch: Counts connections. What was learned over one does not hold over the next: between
            them the server may have been put back to an earlier state.
    """

    def __init__(self, server: Server) -> None:
        is_cluster = server.store.kind == "cluster"
        self._scripts = [it.sharded for it in ALL] if is_cluster else ALL
        self._timeout = server.timeout_seconds
        self._line = Line(server, self)
        self._awaited: deque[tuple[float, asyncio.Future[Any]]] = deque()
        """When each answer is due, and who waits for it."""
        self._watching: asyncio.TimerHandle | None = None
        self._is_up = asyncio.Event()
        self._down_since = inf
        self.epoch = 0

    @property
    def is_up(self) -> bool:
        """Whether commands are answered."""
        return self._is_up.is_set()

    @property
    def run_id(self) -> bytes:
        """Of the server that answers."""
        return self._line.run_id

    def cut(self) -> None:
        """Give the connection up, and make a new one."""
        self._line.cut()

    def reaches(self, _key: str) -> bool:
        """See `Asking.reaches`: it is one server for all keys."""
        return self._is_up.is_set()

    async def run(self) -> None:
        """Serve until cancelled."""
        self._down_since = asyncio.get_running_loop().time()
        await self._line.run()

    async def run_script(
        self, script: Script, *arguments: bytes | str | int, epoch: int | None = None
    ) -> Any:
        """Run a script with its keys and arguments.

        Args:
            script: Which one.
            arguments: Its keys and arguments.
            epoch: The only one in which it may run, if what it is told was learned in that.

        Raises:
            Unavailable: The server is away or refuses. If it broke off, whether the script ran is
                not known.
        """
        try:
            return await self._ask("EVALSHA", script.sha, script.keys, *arguments, epoch=epoch)
        except NoScriptError:
            pass
        except ResponseError as refusal:
            raise self._refused(refusal) from None
        # Forgotten by the server while the line stands.
        return await self.ask("EVAL", script.source, script.keys, *arguments, epoch=epoch)

    async def ask(self, *command: bytes | str | int, epoch: int | None = None) -> Any:
        """Send a command and return the answer.

        Args:
            command: The command and its arguments.
            epoch: See `run_script`.

        Raises:
            Unavailable: The server is away or refuses.
        """
        try:
            return await self._ask(*command, epoch=epoch)
        except ResponseError as refusal:
            raise self._refused(refusal) from None

    async def ask_all(self, commands: list[tuple[bytes | str | int, ...]]) -> list[Any]:
        """Send many commands and return their answers.

        Raises:
            Unavailable: The server is away or refuses.
        """
        answers: list[Any] = []
        for start in range(0, len(commands), _ASKED_AT_ONCE):
            part = commands[start : start + _ASKED_AT_ONCE]
            answers += await asyncio.gather(*[self.ask(*it) for it in part])
        return answers

    async def _ask(self, *command: bytes | str | int, epoch: int | None) -> Any:
        if not self._is_up.is_set():
            await self._wait_until_up()
        if epoch is not None and epoch != self.epoch:
            raise away()
        try:
            return await self._send(*command)
        except (Lost, OverflowError):
            raise away() from None

    async def _wait_until_up(self) -> None:
        """A short break is waited for; in a long one nobody waits."""
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(now, self._down_since) + self._timeout):
                await self._is_up.wait()
        except TimeoutError:
            raise away() from None

    def _send(self, *command: bytes | str | int) -> asyncio.Future[Any]:
        if len(self._awaited) >= _MOST_AWAITED:
            raise OverflowError
        # Alone it goes at once; while others are under way, more may be about to join it.
        self._line.send(*command, at_once=not self._awaited)
        loop = asyncio.get_running_loop()
        waiting, due = loop.create_future(), loop.time() + self._timeout
        self._awaited.append((due, waiting))
        if self._watching is None:
            self._watching = loop.call_at(due, self._watch)
        return waiting

    def _refused(self, refusal: ResponseError) -> Unavailable:
        if isinstance(refusal, _NOT_HERE):
            return Elsewhere("the session is just being moved; retry with the same id", rule="D-28")
        if isinstance(refusal, ReadOnlyError):
            self._line.cut()  # another one is the master by now
        logger.error("Redis refused a command: %s", _kind_of(refusal))
        if isinstance(refusal, OutOfMemoryError):
            return Unavailable(
                "the store of the sessions has no memory left; retry later with the same id",
                rule="D-28",
            )
        return away()

    def _watch(self) -> None:
        """Give the line up if its next answer is overdue, else look again when it would be."""
        self._watching = None
        if not self._awaited:
            return
        loop, due = asyncio.get_running_loop(), self._awaited[0][0]
        if loop.time() < due:
            self._watching = loop.call_at(due, self._watch)
            return
        logger.warning("Redis did not answer in time")
        self._line.cut()

    # See `Talker`.

    async def greet(self) -> None:
        """Bring the scripts, which a server that was restarted does not have."""
        loading = [self._send("SCRIPT", "LOAD", it.source) for it in self._scripts]
        try:
            async with asyncio.timeout(self._timeout):
                await asyncio.gather(*loading)
        except (ResponseError, TimeoutError) as error:
            logger.warning("Redis does not take scripts: %s", _kind_of(error))
            # As with a connection that is refused, not at once again.
            await asyncio.sleep(self._timeout)
            raise Lost from None
        self._is_up.set()

    def heard(self, answer: Any) -> None:
        """An answer came, for whoever waits longest."""
        _, waiting = self._awaited.popleft()
        if waiting.done():
            return  # who asked has given up
        if isinstance(answer, ResponseError):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)

    def hung_up(self) -> None:
        """Nobody gets an answer any more."""
        if self._is_up.is_set():
            self._down_since = asyncio.get_running_loop().time()
        self._is_up.clear()
        self.epoch += 1
        awaited, self._awaited = self._awaited, deque()
        for _, waiting in awaited:
            if not waiting.done():
                waiting.set_exception(Lost())
                waiting.exception()  # whoever has given up on it leaves nothing to be told


def away() -> Unavailable:
    """Return the error for a server that cannot be reached."""
    return Unavailable("the sessions cannot be reached; retry with the same id", rule="D-28")


def _kind_of(error: Exception) -> str:
    """Return the code of an error, such as OOM or READONLY; its text may hold what we sent."""
    code = str(error).partition(" ")[0]
    is_code = code.isascii() and code.isupper() and code.isalpha()
    return code if is_code else type(error).__name__
