"""One subscriber's WebSocket, written and read without anything in between.

Once the handshake is done and the subscription begins, the connection is taken away from the ASGI
server: this object is then all that there is of it in Python. It has no task, no queue while the
subscriber reads, and no timer: one sweep looks at all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from websockets.exceptions import InvalidState
from websockets.frames import Opcode

from fhircast_hub.web.allowance import FrameAllowance
from fhircast_hub.web.frames import (
    PING,
    PONG,
    TEXT,
    FrameReader,
    TextFrames,
    control_frame,
    short_frame,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableSet

    from websockets.frames import Frame

    from fhircast_hub.fanout import Link
    from fhircast_hub.protocol.channel_state import CloseReason
    from fhircast_hub.web.crowd import ConnectionLimits, Crowd

MAX_CLIENT_FRAME_BYTES = 65_536
"""Subscribers send acknowledgements; a larger frame ends the connection with 1009."""

_FAREWELL_SECONDS = 5.0
"""How long a subscriber may take to read its last frames."""

_ANSWER_SECONDS = 10.0
"""How long it may take to answer a close frame."""

_DEAF_SECONDS = 2.0
"""The same once nothing of it is read any more."""

_GONE = 1006


class WireListener(Protocol):
    """Who is told what happens on the wires."""

    def heard(self, wire: Wire, link: Link, message: bytes, *, is_text: bool) -> None:
        """A message came."""
        ...

    def flooded(self, link: Link) -> None:
        """More frames came than anything asks for; nothing more is read."""
        ...

    def left(self, wire: Wire, link: Link, code: int) -> None:
        """The subscriber closed with this code, or its connection is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the wires of one server have in common.

    Attributes:
        limits: Bounds of each.
        max_frames: Frames that may wait for a subscriber that does not read.
        max_bytes: Their size.
        ping_seconds: How often a quiet subscriber is asked whether it is there, and how long it may
            take to answer; 0 for never.
        crowd: Where connections are counted.
        now: Time of the event loop.
        frames: Makes the frames.
    """

    limits: ConnectionLimits
    max_frames: int
    max_bytes: int
    ping_seconds: float
    crowd: Crowd
    now: Callable[[], float]
    frames: TextFrames = field(default_factory=TextFrames)


class Wire(asyncio.Protocol):
    """One connection; a `FrameSink`.

    Args:
        transport: The connection after the handshake.
        exchange: What it shares with the others.
        listener: Who is told.
        peer: Address from which it is counted.
        connections: Those that are looked after; it is one of them until it is gone.

    Attributes:
        link: The channel that is fed from here, None before it is known and after the end.
        has_told: Whether an odd frame of this connection was logged already.
        transport: As given.
    """

    __slots__ = (
        "_allowance",
        "_closes_by",
        "_connections",
        "_due",
        "_exchange",
        "_is_closing",
        "_is_deaf",
        "_listener",
        "_part_by",
        "_peer",
        "_ping",
        "_ping_by",
        "_reader",
        "_stalled_by",
        "_waiting",
        "_waiting_bytes",
        "has_told",
        "link",
        "transport",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        exchange: Exchange,
        listener: WireListener,
        *,
        peer: str,
        connections: MutableSet[Any],
    ) -> None:
        self.link: Link | None = None
        self.has_told = False
        self.transport = transport
        self._exchange = exchange
        self._listener = listener
        self._peer = peer
        self._connections = connections
        connections.add(self)
        now = exchange.now()
        self._allowance = FrameAllowance(exchange.limits.max_frames_per_second, now)
        self._reader: FrameReader | None = None
        self._waiting: deque[bytes] | None = None
        self._waiting_bytes = 0
        self._is_closing = self._is_deaf = False
        self._ping = b""
        self._ping_by = now + exchange.ping_seconds if exchange.ping_seconds else inf
        self._stalled_by = self._part_by = self._closes_by = inf
        self._due = self._ping_by

    # What the hub does with it

    def put(self, frame: bytes) -> bool:
        """Send a frame; False if the subscriber does not read and too much waits for it."""
        exchange = self._exchange
        if self._waiting is None:
            if not self._is_closing:  # else: what it does not get any more stays unanswered
                self._allowance.earned += 1
                self.transport.write(exchange.frames.of(frame))
            return True
        if self._is_closing:
            return True  # nothing may come behind the close frame that waits
        if len(self._waiting) >= exchange.max_frames:
            return False
        if self._waiting_bytes + len(frame) > exchange.max_bytes:
            return False
        self._allowance.earned += 1
        self._write(exchange.frames.of(frame))
        return True

    def close(self, reason: CloseReason, last: Iterable[bytes] = ()) -> None:
        """Close after what was put and these last frames, for which there always is room."""
        if self._is_closing:
            return
        self._is_closing = True
        for frame in last:
            self._write(self._exchange.frames.of(frame))
        self._write(self._careful().close(reason.code, reason.text))
        if self._waiting is not None:
            self._closes_within(_FAREWELL_SECONDS)
        else:
            self._closes_within(_DEAF_SECONDS if self._is_deaf else _ANSWER_SECONDS)

    def check(self, now: float) -> None:
        """End the connection if it is overdue; ask a quiet subscriber whether it is there."""
        if now < self._due:
            return
        if now >= min(self._stalled_by, self._closes_by):
            self._cut(now)
        elif now >= self._part_by:
            self._fail(1008, "a message took too long")
        elif now >= self._ping_by:
            self._ask(now)
        self._plan()

    def shutdown(self) -> None:
        """The server ends: uvicorn calls this of all its connections."""
        if not self._is_closing:
            self._is_closing = True
            self._write(self._careful().close(1012, ""))
        self.transport.close()

    # What the transport calls

    def pause_writing(self) -> None:
        """The subscriber does not read."""
        if self._waiting is None:
            self._waiting = deque()
        self._stalled_by = self._exchange.now() + self._exchange.limits.write_seconds
        self._plan()

    def resume_writing(self) -> None:
        """It reads again."""
        waiting, self._waiting = self._waiting or deque(), None
        self._waiting_bytes = 0
        self._stalled_by = inf
        while waiting:
            if self._waiting is None:  # not paused again meanwhile
                self.transport.write(waiting.popleft())
            else:
                self._write(waiting.popleft())
        self._plan()

    def data_received(self, data: bytes) -> None:
        """Bytes came; after a flood they are thrown away unread."""
        at, end = 0, len(data)
        while at < end and self._reader is None and not self._is_deaf:
            read = short_frame(data, at)
            if read is None:
                break
            first, payload, at = read
            if not self._takes():
                return
            if first == TEXT:
                self._hear(payload, is_text=True)
            elif first == PONG:
                self._answered(payload)
            else:
                self._write(control_frame(PONG, payload))
        if at < end and not self._is_deaf:
            self._read_carefully(data[at:])

    def eof_received(self) -> None:
        """The subscriber writes no more: without a close frame its connection is lost."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._exchange.crowd.leave(self._peer)
        self._connections.discard(self)
        self._is_closing = True
        self._leave(_GONE)

    # What is read

    def _read_carefully(self, data: bytes) -> None:
        reader = self._careful()
        try:
            for frame in reader.read(data):
                if frame.opcode is not Opcode.CLOSE and not self._takes():
                    return
                self._take(frame, reader)
        except InvalidState:
            # What is no UTF-8, and behind it a close frame that the parser has answered already.
            self.transport.write(reader.answers())
            self.transport.close()
        if answers := reader.answers():
            self._write(answers)
        self._follow(reader)

    def _take(self, frame: Frame, reader: FrameReader) -> None:
        if frame.opcode is Opcode.PONG:
            self._answered(bytes(frame.data))
        elif frame.opcode is Opcode.PING:
            self._write(control_frame(PONG, bytes(frame.data)))
        elif (message := reader.message(frame)) is not None:
            self._part_by = inf  # what comes behind it begins anew
            self._hear(message[0], is_text=message[1])

    def _follow(self, reader: FrameReader) -> None:
        """Do what the parser's state asks for: close, wait for the rest, or go without it again."""
        conn = reader.conn
        if conn.parser_exc is not None or conn.close_rcvd is not None:
            self._is_closing = True
            said = conn.close_sent if conn.parser_exc is not None else conn.close_rcvd
            self._leave(said.code if said is not None else _GONE)
            self.transport.close()
            self._closes_within(self._exchange.limits.write_seconds)
        elif reader.is_done and not self._is_closing:
            self._reader = None
            self._part_by = inf
        elif not reader.has_part:
            self._part_by = inf
        elif self._part_by == inf:
            self._part_by = self._exchange.now() + self._exchange.limits.body_seconds
        self._plan()

    def _hear(self, message: bytes, *, is_text: bool) -> None:
        if is_text and not message.isascii():
            try:
                message.decode()
            except UnicodeDecodeError:
                self._fail(1007, "not UTF-8")
                return
        if self.link is not None and not self._is_closing:
            self._listener.heard(self, self.link, message, is_text=is_text)

    def _answered(self, payload: bytes) -> None:
        if self._ping and payload == self._ping and not self._is_closing:
            self._ping = b""
            self._ping_by = self._exchange.now() + self._exchange.ping_seconds
            self._plan()

    def _takes(self) -> bool:
        """Count a frame; if it is one too many, read no more: the hub ends it with words."""
        if self._allowance.takes(self._exchange.now):
            return True
        self._is_deaf = True
        self.transport.pause_reading()
        if self.link is not None:
            self._listener.flooded(self.link)
        return False

    # What is written

    def _write(self, data: bytes) -> None:
        if self._waiting is None:
            self.transport.write(data)
        else:
            self._waiting.append(data)
            self._waiting_bytes += len(data)

    def _ask(self, now: float) -> None:
        if self._ping:
            self._fail(1011, "keepalive ping timeout")
            return
        # Any four bytes that the last ping did not have: a late pong must not count for this one.
        self._ping = (int(now * 1000) & 0xFFFFFFFF).to_bytes(4, "big")
        self._write(control_frame(PING, self._ping))
        self._ping_by = now + self._exchange.ping_seconds

    def _fail(self, code: int, reason: str) -> None:
        self._is_closing = True
        self._write(self._careful().fail(code, reason))
        self.transport.close()
        self._leave(code if code != 1011 else _GONE)
        self._closes_within(self._exchange.limits.write_seconds)

    def _cut(self, now: float) -> None:
        """End what takes too long: gently if all was written, at once if nobody reads it."""
        if self._waiting is not None or self.transport.is_closing():
            self.transport.abort()
            self._closes_by = self._stalled_by = inf
        else:
            self.transport.close()
            self._closes_by = now + self._exchange.limits.write_seconds

    def _leave(self, code: int) -> None:
        link, self.link = self.link, None
        if link is not None:
            self._listener.left(self, link, code)

    def _careful(self) -> FrameReader:
        if self._reader is None:
            self._reader = FrameReader(MAX_CLIENT_FRAME_BYTES)
        return self._reader

    def _closes_within(self, seconds: float) -> None:
        self._ping_by = self._part_by = inf
        self._closes_by = min(self._closes_by, self._exchange.now() + seconds)
        self._plan()

    def _plan(self) -> None:
        self._due = min(self._ping_by, self._stalled_by, self._part_by, self._closes_by)
