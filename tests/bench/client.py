"""A FHIRcast client that costs little: asyncio protocols on plain sockets, frames cut by hand.

It serves thousands of subscribers in one process, answers every notification at once, and hands
each one on with the moment at which it came.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_KEY = b"\x37\xfa\x21\x3d"
"""Not zero, so that the hub has to unmask."""

_JOIN_SECONDS = 30


class Refused(Exception):
    """The hub answered a request with something else than 2xx."""


class _Head(msgspec.Struct):
    """What is read of a frame."""

    id: str = ""
    mode: str = msgspec.field(default="", name="hub.mode")


_head = msgspec.json.Decoder(_Head)


class Requests(asyncio.Protocol):
    """An HTTP/1.1 connection to a hub that is kept open; requests are answered in turn."""

    def __init__(self, port: int, token: str) -> None:
        self._head = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        self._waiting: deque[asyncio.Future[tuple[int, bytes]]] = deque()
        self._came = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits for an answer gets none."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the hub closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Cut answers; the hub gives each a length."""
        self._came += data
        while (end := self._came.find(b"\r\n\r\n")) >= 0:
            head = self._came[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._came) < end + 4 + length:
                return
            body = self._came[end + 4 : end + 4 + length]
            self._came = self._came[end + 4 + length :]
            self._waiting.popleft().set_result((int(head.split(b" ", 2)[1]), body))

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    async def ask(
        self, method: str, path: str, body: bytes = b"", content_type: str = ""
    ) -> tuple[int, bytes]:
        """Return status and body of the answer to a request."""
        kind = f"Content-Type: {content_type}\r\n" if content_type else ""
        head = f"{method} {path}{self._head}{kind}Content-Length: {len(body)}\r\n\r\n"
        waiting: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._transport.write(head.encode() + body)
        return await waiting


class Subscriber(asyncio.Protocol):
    """A subscriber's WebSocket.

    Attributes:
        is_closed: Whether the connection is gone.
        endpoint: Path of its endpoint.
    """

    def __init__(self, port: int, endpoint: str, told: Callable[[str, float, bytes], None]) -> None:
        self.endpoint = endpoint
        self.is_closed = False
        self._port = port
        self._told = told
        self._came = b""
        self._is_open = False
        self._confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = transport
        self._transport.write(
            f"GET {self.endpoint} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is gone."""
        self.is_closed = True
        if not self._confirmed.done():
            self._confirmed.set_exception(Refused("closed before the confirmation"))

    def data_received(self, data: bytes) -> None:
        """Read the answer to the upgrade, then frames."""
        data = self._came + data if self._came else data
        self._came = b""
        if not self._is_open:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._came = data
                return
            self._is_open = True
            data = data[end + 4 :]
        self._came = self._frames(data)

    async def confirmed(self) -> None:
        """Wait for the confirmation of the subscription."""
        await asyncio.wait_for(self._confirmed, _JOIN_SECONDS)

    def close(self) -> None:
        """Vanish: close the connection without a word."""
        if self._transport is not None:
            self._transport.close()

    def _frames(self, data: bytes) -> bytes:
        at = 0
        while len(data) - at >= 2:
            length, head = data[at + 1] & 127, 2
            if length > 125:
                head = 4 if length == 126 else 10
                length = int.from_bytes(data[at + 2 : at + head], "big")
            if len(data) - at < head + length:
                break
            payload = data[at + head : at + head + length]
            self._frame(data[at] & 15, payload)
            at += head + length
        return data[at:]

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self._send(_PONG, payload)
        elif opcode == _CLOSE:
            self.close()
        elif opcode == _TEXT:
            head = _head.decode(payload)
            if head.mode:
                if not self._confirmed.done():
                    self._confirmed.set_result(None)
            else:
                self._send(_TEXT, b'{"id":"%s","status":"200"}' % head.id.encode())
                self._told(head.id, time.perf_counter(), payload)

    def _send(self, opcode: int, payload: bytes) -> None:
        length = len(payload)
        assert length < 126, "answers and pongs are short"
        repeated = (_KEY * (length // 4 + 1))[:length]
        masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
        self._transport.write(
            bytes((0x80 | opcode, 0x80 | length)) + _KEY + masked.to_bytes(length, "big")
        )


class Client:
    """What one user's applications do at a hub on loopback.

    Args:
        port: Of the hub.
        hub_path: Path of hub.url.
        token: The user's.
    """

    def __init__(self, port: int, hub_path: str, token: str) -> None:
        self._port = port
        self._hub_path = hub_path
        self._token = token
        self._requests: Requests | None = None

    async def open(self) -> None:
        """Open the connection for requests."""
        loop = asyncio.get_running_loop()
        made = lambda: Requests(self._port, self._token)  # noqa: E731
        _, self._requests = await loop.create_connection(made, "127.0.0.1", self._port)

    def close(self) -> None:
        """Close the connection for requests."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None

    async def subscribe(
        self, topic: str, events: str, told: Callable[[str, float, bytes], None], name: str = "app"
    ) -> Subscriber:
        """Subscribe, connect and wait for the confirmation.

        Args:
            topic: Of the session.
            events: Comma separated.
            told: Called with id, moment (of `time.perf_counter`) and body of each notification.
            name: Of the subscriber.
        """
        answer = await self._form("subscribe", topic, events=events, name=name)
        endpoint = urlsplit(msgspec.json.decode(answer)["hub.channel.endpoint"]).path
        loop = asyncio.get_running_loop()
        made = lambda: Subscriber(self._port, endpoint, told)  # noqa: E731
        _, subscriber = await loop.create_connection(made, "127.0.0.1", self._port)
        await subscriber.confirmed()
        return subscriber

    async def unsubscribe(self, topic: str, events: str, subscriber: Subscriber) -> None:
        """End a subscription as one does."""
        endpoint = f"ws://127.0.0.1:{self._port}{subscriber.endpoint}"
        await self._form("unsubscribe", topic, events=events, name="app", endpoint=endpoint)

    async def post(self, body: bytes) -> str:
        """Request a context change; return the version that the hub gave it, "" for none."""
        answer = await self._asked("POST", self._hub_path, body, "application/json")
        version: str = msgspec.json.decode(answer).get("context.versionId", "")
        return version

    async def status_of(self, topic: str) -> int:
        """Return the status of a GET of the current context."""
        assert self._requests is not None
        return (await self._requests.ask("GET", f"{self._hub_path}/{topic}"))[0]

    async def _form(
        self, mode: str, topic: str, *, events: str, name: str, endpoint: str = ""
    ) -> bytes:
        fields = {
            "hub.channel.type": "websocket",
            "hub.mode": mode,
            "hub.topic": topic,
            "hub.events": events,
            "subscriber.name": name,
        }
        if endpoint:
            fields["hub.channel.endpoint"] = endpoint
        form = urlencode(fields).encode()
        return await self._asked("POST", self._hub_path, form, "application/x-www-form-urlencoded")

    async def _asked(self, method: str, path: str, body: bytes, content_type: str) -> bytes:
        assert self._requests is not None
        status, answer = await self._requests.ask(method, path, body, content_type)
        if status // 100 != 2:
            raise Refused(f"{status} {answer.decode(errors='replace')[:200]}")
        return answer
