"""The limit for Python: an asyncio protocol on uvloop with the least HTTP and WebSocket framing.

    python bare_uvloop.py PORT

POST /pub/TOPIC, upgrade of GET /sub/TOPIC. No product: no validation, no authentication, no bounds,
no flow control, no ping. Bodies and answers are parsed as JSON, and frames encoded once.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sys
from typing import cast

import msgspec
import uvloop

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ACCEPTED = (
    b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)
_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: "
)
_TOPICS: dict[bytes, set[asyncio.Transport]] = {}


def _frame(payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return bytes((0x81, length)) + payload
    if length < 65536:
        return b"\x81\x7e" + length.to_bytes(2, "big") + payload
    return b"\x81\x7f" + length.to_bytes(8, "big") + payload


def _unmasked(masked: bytes, key: bytes) -> bytes:
    length = len(masked)
    repeated = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(masked, "big") ^ int.from_bytes(repeated, "big")).to_bytes(length, "big")


class _Connection(asyncio.Protocol):
    __slots__ = ("is_socket", "rest", "topic", "transport")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.rest, self.is_socket, self.topic = b"", False, b""

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_socket:
            _TOPICS[self.topic].discard(self.transport)

    def data_received(self, data: bytes) -> None:
        if self.rest:
            data = self.rest + data
        self.rest = self._frames(data) if self.is_socket else self._request(data)

    def _frames(self, data: bytes) -> bytes:
        while len(data) >= 6:
            length, head = data[1] & 127, 6
            if length == 126:
                length, head = int.from_bytes(data[2:4], "big"), 8
            if len(data) < head + length:
                break
            if data[0] & 15 == 1:
                payload = _unmasked(data[head : head + length], data[head - 4 : head])
                msgspec.json.decode(payload)
            elif data[0] & 15 == 8:
                self.transport.close()
            data = data[head + length :]
        return data

    def _request(self, data: bytes) -> bytes:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return data
        path = data.split(b" ", 2)[1]
        if data.startswith(b"GET"):
            self._upgrade(data[:end], path[5:])
            return b""
        at = data[:end].lower().find(b"content-length:") + 15
        stop = data.find(b"\r\n", at)
        length = int(data[at:stop])
        if len(data) < end + 4 + length:
            return data
        body = data[end + 4 : end + 4 + length]
        msgspec.json.decode(body)
        frame = _frame(body)
        for transport in _TOPICS.get(path[5:], ()):
            transport.write(frame)
        self.transport.write(_ACCEPTED)
        return data[end + 4 + length :]

    def _upgrade(self, head: bytes, topic: bytes) -> None:
        at = head.lower().find(b"sec-websocket-key:") + 18
        key = head[at:].split(b"\r\n", 1)[0].strip()
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        self.transport.write(_SWITCHING + accept + b"\r\n\r\n")
        self.is_socket, self.topic = True, topic
        _TOPICS.setdefault(topic, set()).add(self.transport)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
