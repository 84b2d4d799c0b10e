"""WebSocket frames (RFC 6455), as much as a subscriber under load needs.

A library's parser costs more than all else that is done for a delivery, and the generator must not
be the bottleneck of what it measures. The handshake is a library's.
"""

from __future__ import annotations

import secrets

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel with it for this platform
    from websockets.utils import apply_mask

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_CONTINUATION, _CONTROL, _FINAL = 0x0, 0x8, 0x80
_MAX_BYTES = 64 * 2**20


class BadFrame(Exception):
    """The hub sent what no server may send."""


def client_frame(opcode: int, payload: bytes) -> bytes:
    """Return one frame of a client, masked.

    Args:
        opcode: One of TEXT, CLOSE, PING, PONG.
        payload: At most 65535 bytes.
    """
    size, key = len(payload), secrets.token_bytes(4)
    masked = apply_mask(payload, key)
    if size < 126:
        return bytes((_FINAL | opcode, 0x80 | size)) + key + masked
    return bytes((_FINAL | opcode, 0x80 | 126)) + size.to_bytes(2) + key + masked


class FrameReader:
    """Bytes in, messages out."""

    __slots__ = ("_held", "_parts")

    def __init__(self) -> None:
        self._held = b""
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return opcode and payload of every message that is now complete.

        Raises:
            BadFrame: A frame is masked, compressed, or too large.
        """
        if self._held:
            data = self._held + data
        at, end = 0, len(data)
        messages = []
        while end - at >= 2:
            first, size, body = data[at], data[at + 1], at + 2
            if first & 0x70 or size & 0x80:
                raise BadFrame("a frame that is masked, or of an extension that was not asked for")
            if size >= 126:
                body += 2 if size == 126 else 8
                if body > end:
                    break
                size = int.from_bytes(data[at + 2 : body])
                if size > _MAX_BYTES:
                    raise BadFrame(f"a frame of {size} bytes")
            if body + size > end:
                break
            at = body + size
            if (message := self._message(first, data[body:at])) is not None:
                messages.append(message)
        self._held = data[at:]
        return messages

    def _message(self, first: int, payload: bytes) -> tuple[int, bytes] | None:
        """Return the message that a frame completes; control frames come between fragments."""
        opcode = first & 0x0F
        if opcode & _CONTROL or (first & _FINAL and opcode != _CONTINUATION):
            return opcode, payload
        self._parts.append(payload)
        if not first & _FINAL:
            return None
        whole = b"".join(self._parts)
        self._parts = []
        return TEXT, whole
