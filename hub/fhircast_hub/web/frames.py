"""WebSocket frames (RFC 6455): text made once for all who get it, the usual frames read fast.

Acknowledgements, pings and pongs come whole, masked and short. These are read here; everything
else (fragments, binary, close, what is not allowed) is left to the parser of `websockets`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

try:
    from websockets.speedups import apply_mask
except ImportError:  # without the compiled part
    from websockets.utils import apply_mask

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT, PING, PONG = 0x81, 0x89, 0x8A
"""First bytes of whole frames."""
_USUAL = frozenset({TEXT, PING, PONG})
_PONG = bytes([PONG])

_SHORT = 126
_MASKED = 0x80
_LEAST = 2
"""Bytes of the head that every frame has."""
_HEAD = 6
"""Bytes before the payload of a short masked frame."""


class TextFrames:
    """Makes text frames; who is sent the same payload gets the same object."""

    __slots__ = ("_frame", "_payload")

    def __init__(self) -> None:
        self._payload, self._frame = b"", text_frame(b"")

    def of(self, payload: bytes) -> bytes:
        """Return the frame of a payload."""
        if payload is not self._payload:
            self._payload, self._frame = payload, text_frame(payload)
        return self._frame


def text_frame(payload: bytes) -> bytes:
    """Return a whole text frame, as a server sends it (RFC 6455, 5.2)."""
    size = len(payload)
    if size < _SHORT:
        return b"\x81%c%b" % (size, payload)
    if size < 65536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), payload)


def control_frame(first: int, payload: bytes) -> bytes:
    """Return a ping or pong, as a server sends it (RFC 6455, 5.5)."""
    return b"%c%c%b" % (first, len(payload), payload)


def short_frame(data: bytes, at: int) -> tuple[int, bytes, int] | None:
    """Read one usual frame.

    Args:
        data: What came.
        at: Where a frame begins.

    Returns:
        Its first byte (TEXT, PING or PONG), its payload and where the next one begins; None if the
        frame is another one, not whole yet, or not allowed.
    """
    room = len(data) - at - _HEAD
    if room < 0:
        return None
    first, size = data[at], data[at + 1] - _MASKED
    if size < 0 or size >= _SHORT or size > room or first not in _USUAL:
        return None
    begin = at + _HEAD
    end = begin + size
    return first, apply_mask(data[begin:end], data[at + 2 : begin]), end


class _Boundary:
    """Tells whether bytes that came end where a frame does; what is no frame does not matter."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        """Bytes of the payload that are still to come."""

    def is_reached(self) -> bool:
        """Tell whether nothing of a frame has come that is not complete."""
        return not self._head and not self._left

    def pass_over(self, data: bytes) -> None:
        """More came."""
        at = 0
        while at < len(data):
            if self._left:
                passed = min(self._left, len(data) - at)
                self._left -= passed
                at += passed
                continue
            self._head += data[at : at + 1]
            at += 1
            size = _payload_size(self._head)
            if size is not None:
                self._head, self._left = b"", size


def _payload_size(head: bytes) -> int | None:
    """Return how many bytes follow the head of a frame, None if it is not complete (5.2)."""
    if len(head) < _LEAST:
        return None
    size, end = head[1] & ~_MASKED, _LEAST
    if size >= _SHORT:
        end += 2 if size == _SHORT else 8
        size = int.from_bytes(head[_LEAST:end], "big")
    if head[1] & _MASKED:
        end += 4
    return size if len(head) >= end else None


class FrameReader:
    """The parser of `websockets`, for what is not usual; it answers closes and what is wrong.

    Its pongs are left out: it reads all that came at once, and would answer a ping only behind what
    the messages before and after it led to.

    Args:
        max_bytes: Size of a message; a larger one ends the connection with 1009.
    """

    __slots__ = ("_boundary", "_is_text", "_parts", "conn")

    def __init__(self, max_bytes: int) -> None:
        self.conn = Protocol(Side.SERVER, state=State.OPEN, max_size=max_bytes)
        # The parser does not tell: of a frame that is cut within its head it has nothing to show.
        self._boundary = _Boundary()
        self._parts: list[bytes] = []
        self._is_text = True

    @property
    def has_part(self) -> bool:
        """Whether a frame or a message has begun and not ended."""
        return self.conn.current_size is not None or not self._boundary.is_reached()

    @property
    def is_done(self) -> bool:
        """Whether the usual frames may be read without it again."""
        return self.conn.state is State.OPEN and not self.has_part

    def read(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that bytes complete."""
        self._boundary.pass_over(data)
        self.conn.receive_data(data)
        yield from (it for it in self.conn.events_received() if isinstance(it, Frame))

    def message(self, frame: Frame) -> tuple[bytes, bool] | None:
        """Return the message that a data frame completes and whether it is text, None if none."""
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY}:
            self._parts = []
            self._is_text = frame.opcode is Opcode.TEXT
        elif frame.opcode is not Opcode.CONT:
            return None
        self._parts.append(bytes(frame.data))
        return (b"".join(self._parts), self._is_text) if frame.fin else None

    def close(self, code: int, reason: str) -> bytes:
        """Return what says good-bye, b"" if that was said already."""
        if self.conn.state is State.OPEN:
            self.conn.send_close(code, reason)
        return self.answers()

    def fail(self, code: int, reason: str) -> bytes:
        """Give the connection up; return what says so."""
        self.conn.fail(code, reason)
        return self.answers()

    def answers(self) -> bytes:
        """Return what is to be sent on account of what was read; a ping is for the caller."""
        return b"".join(it for it in self.conn.data_to_send() if it[:1] != _PONG)
