"""Bytes on a plain socket, as no HTTP client would send them, and what the hub makes of them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from builders import Json
    from hub_server import RunningHub

_DEADLINE_SECONDS = 15

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a request.

    Attributes:
        first: The status line.
        headers: In order, names as they came.
        body: As it came.
    """

    first: bytes
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.first.split(b" ")[1])


class RawConnection:
    """A connection to the hub."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> Self:
        """Send bytes; that the hub has closed shows when reading."""
        self.writer.write(data)
        with suppress(ConnectionError):
            await self.writer.drain()
        return self

    async def rest(self) -> bytes:
        """Return all that comes until the hub closes."""
        data = b""
        async with asyncio.timeout(_DEADLINE_SECONDS):
            try:
                while more := await self.reader.read(65_536):
                    data += more
            except ConnectionError:
                pass
        return data

    async def until(self, marker: bytes) -> bytes:
        """Return what comes, up to and with these bytes."""
        async with asyncio.timeout(_DEADLINE_SECONDS):
            return await self.reader.readuntil(marker)

    async def answer(self) -> Answer:
        """Return the next answer; its body has a length."""
        first, *lines, _, _ = (await self.until(b"\r\n\r\n")).split(b"\r\n")
        pairs = (it.decode().partition(": ") for it in lines)
        headers = tuple((name, value) for name, _, value in pairs)
        size = int(dict(headers)["content-length"])
        async with asyncio.timeout(_DEADLINE_SECONDS):
            return Answer(first, headers, await self.reader.readexactly(size))

    async def upgrade(self, endpoint: str) -> Self:
        """Make a WebSocket of the connection."""
        key = base64.b64encode(os.urandom(16)).decode()
        await self.send(
            f"GET {urlsplit(endpoint).path} HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
            "".encode()
        )
        assert (await self.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        return self

    async def frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame."""
        async with asyncio.timeout(_DEADLINE_SECONDS):
            first, size = await self.reader.readexactly(2)
            if size >= 126:
                more = await self.reader.readexactly(2 if size == 126 else 8)
                size = int.from_bytes(more, "big")
            return first & 15, await self.reader.readexactly(size)

    async def message(self) -> Json:
        """Return the JSON of the next frame."""
        opcode, payload = await self.frame()
        assert opcode == TEXT, (opcode, payload)
        message: Json = json.loads(payload)
        return message

    async def close_frame(self) -> tuple[int, str]:
        """Return code and words of the close frame, passing over what comes before it."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                return struct.unpack("!H", payload[:2])[0], payload[2:].decode()


def frame(opcode: int, payload: bytes = b"", *, is_last: bool = True) -> bytes:
    """A client's frame; the mask is zero, so that the payload can be read in it."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
    return bytes([opcode | (0x80 if is_last else 0)]) + length + bytes(4) + payload


@asynccontextmanager
async def raw_connection(hub: RunningHub) -> AsyncIterator[RawConnection]:
    """Connect to a hub."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(hub.origin).port)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.close()


async def exchange(hub: RunningHub, request: bytes) -> bytes:
    """Send a request and return all that comes until the hub closes."""
    async with raw_connection(hub) as connection:
        return await (await connection.send(request)).rest()


def answers_in(data: bytes) -> list[Answer]:
    """Return the answers in what came, without date, headers sorted: their order means nothing."""
    answers = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        pairs = (it.decode().partition(": ") for it in lines)
        headers = {name.lower(): value for name, _, value in pairs}
        size = int(headers.get("content-length", 0))
        headers.pop("date", None)
        answers.append(Answer(first, tuple(sorted(headers.items())), data[:size]))
        data = data[size:]
    return answers


def status_of(answer: bytes) -> int:
    """Return the status of an answer, the only one there is."""
    assert answer.count(b"HTTP/1.1 ") == 1, answer
    return int(answer.split(b" ", 2)[1])
