"""A line to Redis that breaks is made anew, however the break shows."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

from fhircast_hub.backends.redis.line import Line

if TYPE_CHECKING:
    import pytest
    from fhircast_hub.backends.redis.server import Server


class _Broken:
    """A connection whose transport has just been closed, as uvloop tells it."""

    def pack_command(self, *_: object) -> list[bytes]:
        return [b"PING"]

    async def send_packed_command(self, *_: object, **__: object) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")

    async def read_response(self, **_: object) -> None:
        await asyncio.Event().wait()

    async def disconnect(self, **_: object) -> None:
        pass


class _Talks:
    """Says something at once, and notes the end."""

    def __init__(self) -> None:
        self.line: Line | None = None
        self.is_over = asyncio.Event()

    async def greet(self) -> None:
        assert self.line is not None
        self.line.send("PING")
        await asyncio.Event().wait()

    def heard(self, answer: Any) -> None:
        raise AssertionError(answer)

    def hung_up(self) -> None:
        self.is_over.set()


class _Leads:
    async def connect(self) -> _Broken:
        return _Broken()


async def test_a_write_to_a_closed_transport_is_a_lost_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Guarantee 1: what happens whenever Redis dies is no bug, and no ERROR for an operator."""
    talker = _Talks()
    talker.line = Line(cast("Server", _Leads()), talker)
    running = asyncio.create_task(talker.line.run())
    async with asyncio.timeout(5):
        await talker.is_over.wait()
    running.cancel()
    assert [it.levelno for it in caplog.records] == [logging.WARNING]
