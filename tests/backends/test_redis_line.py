"""A line to Redis that breaks is made anew, however the break shows."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from fhircast_hub.backends.redis.line import Line
from fhircast_hub.backends.redis.server import Lost, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis_server import RedisServer

_DEADLINE_SECONDS = 5


class _Talks:
    """Says something whenever the line is up, and notes what it hears."""

    def __init__(self) -> None:
        self.line: Line | None = None
        self.answers: asyncio.Queue[Any] = asyncio.Queue()
        self.breaks = asyncio.Semaphore(0)
        self.bug: Exception | None = None

    async def greet(self) -> None:
        assert self.line is not None
        self.line.send("PING")

    def heard(self, answer: Any) -> None:
        if self.bug is not None:
            bug, self.bug = self.bug, None
            raise bug
        self.answers.put_nowait(answer)

    def hung_up(self) -> None:
        self.breaks.release()


async def test_answers_come_in_the_order_of_the_commands(redis_server: RedisServer) -> None:
    async with _talking(redis_server.url) as talker:
        assert await talker.answers.get() == b"PONG"
        assert talker.line is not None
        sent = [b"%d" % number + b" " * 70_000 for number in range(20)]  # more than one read
        for it in sent:
            talker.line.send("ECHO", it)
        assert [await talker.answers.get() for _ in sent] == sent


async def test_a_write_to_a_closed_transport_is_a_lost_line(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Guarantee 1: what happens whenever Redis dies is no bug, and no ERROR for an operator."""
    async with _talking(redis_server.url) as talker:
        await talker.answers.get()
        assert talker.line is not None
        assert talker.line._connection is not None
        talker.line._connection._transport.abort()
        with suppress(Lost):  # or it only shows in a moment
            talker.line.send("PING")
        await talker.breaks.acquire()
        assert await talker.answers.get() == b"PONG"  # it is up again
    assert [it.levelno for it in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
    ],
)
async def test_what_is_no_answer_to_a_command_is_a_lost_line(said: bytes) -> None:
    """Guarantee 1: something else that listens there, or a server that is not there yet."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while b"PING" not in await reader.read(1000):
            writer.write(b"+OK\r\n" * 2)  # to the names that the library gives itself
        writer.write(said)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with _talking(f"redis://127.0.0.1:{port}") as talker:
            await talker.breaks.acquire()
            assert talker.answers.empty()


async def test_a_bug_in_what_hears_costs_the_connection_and_no_more(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Guarantee 2: whatever was not understood is as good as missed."""
    async with _talking(redis_server.url) as talker:
        await talker.answers.get()
        talker.bug = KeyError("a bug")
        assert talker.line is not None
        talker.line.send("PING")
        await talker.breaks.acquire()
        assert await talker.answers.get() == b"PONG"
    assert [it.getMessage() for it in caplog.records] == ["a line failed: KeyError"]


@asynccontextmanager
async def _talking(url: str) -> AsyncIterator[_Talks]:
    talker = _Talks()
    talker.line = Line(Server(url), talker)
    running = asyncio.create_task(talker.line.run())
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            yield talker
    finally:
        running.cancel()
        await asyncio.wait([running])
