"""uvicorn's WebSocket protocol with bounds: frames per second, deadlines for what has no end."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode

from fhircast_hub.web.crowd import Deadline

if TYPE_CHECKING:
    from asyncio.transports import BaseTransport

    from websockets.http11 import Request

    from fhircast_hub.web.crowd import ConnectionLimits, Crowd

FLOOD = "fhircast.flood"
"""Key of a received message that says: too many frames; nothing more is read."""

_BURST_SECONDS = 10
"""Frames of this many seconds may come at once."""

_MAX_EARNED = 100_000.0
_DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
_CLOSE_SECONDS = 2.0
"""How long a peer may take to answer a close frame once nothing of it is read any more."""


class FrameAllowance:
    """Frames that a peer may send: some per second, and one for each frame it was sent.

    So the rate of acknowledgements is bounded by that of the events, and not by a figure.
    """

    def __init__(self, per_second: int, now: float) -> None:
        self._per_second = per_second
        self._left = self._burst = float(per_second * _BURST_SECONDS)
        self._earned = 0.0
        self._counted_at = now

    def earn(self) -> None:
        """The peer was sent a frame, which it may answer."""
        self._earned = min(_MAX_EARNED, self._earned + 1)

    def takes(self, now: float) -> bool:
        """Count a frame of the peer; tell whether it is within the limit."""
        if not self._per_second:
            return True
        if self._earned >= 1:
            self._earned -= 1
            return True
        regained = (now - self._counted_at) * self._per_second
        self._left = min(self._burst, self._left + regained) - 1
        self._counted_at = now
        return self._left >= 0


class HubWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket connection."""

    def __init__(self, *args: Any, limits: ConnectionLimits, crowd: Crowd, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._crowd = crowd
        self._peer = ""
        self._allowance = FrameAllowance(limits.max_frames_per_second, self.loop.time())
        self._deadline = Deadline(self.loop.time() + limits.header_seconds)
        self._is_flooded = False

    # What the transport calls

    def connection_made(self, transport: BaseTransport) -> None:
        """The HTTP connection, already counted, becomes a WebSocket."""
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else ""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._crowd.leave(self._peer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came; after a flood they are thrown away unread."""
        if self._is_flooded:
            return
        try:
            super().data_received(data)
        except InvalidState:
            # What is no UTF-8, and behind it a close frame that the parser has answered already.
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse_handshake()

    def pause_writing(self) -> None:
        """The peer does not read."""
        super().pause_writing()
        self._deadline.stall(self.loop.time() + self._limits.write_seconds)

    def resume_writing(self) -> None:
        """The peer reads again."""
        super().resume_writing()
        self._deadline.resume()

    def check(self, now: float) -> None:
        """End the connection if it is overdue."""
        if self.transport.is_closing():
            self._deadline.close(now + self._limits.write_seconds)
        if now < self._deadline():
            return
        if self.transport.is_closing() or not self.writable.is_set() or not self.handshake_complete:
            self.transport.abort()
        elif not self.close_sent:
            self.conn.fail(1008, "a message took too long")
            self.handle_parser_exception()

    # What uvicorn does with frames

    def handle_connect(self, event: Request) -> None:
        """The handshake is complete; the application decides."""
        self._deadline.step(Deadline.NEVER)
        super().handle_connect(event)

    def handle_events(self) -> None:
        """Hand on what came, as far as the peer may send it."""
        now = self.loop.time()
        for event in self.conn.events_received():
            if isinstance(event, Frame):
                if event.opcode is not Opcode.CLOSE and not self._allowance.takes(now):
                    self._flooded()
                    return
                if event.fin and event.opcode in _DATA:
                    self._deadline.step(Deadline.NEVER)
            self.conn.events.append(event)
            super().handle_events()
        has_part = self.conn.current_size is not None or self.conn.reader.buffer
        if has_part and self.handshake_complete and not self._deadline.has_step:
            self._deadline.step(now + self._limits.body_seconds)

    async def send(self, message: Any) -> None:
        """Send what the application wants to send."""
        await super().send(message)
        if message["type"] == "websocket.send":
            self._allowance.earn()
        elif self._is_flooded and self.close_timer is not None:
            # The answer to the close frame is not read any more.
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(_CLOSE_SECONDS, self.transport.close)

    def _flooded(self) -> None:
        """Read nothing more; the application ends the subscription with words."""
        self._is_flooded = True
        self.frames = []
        self.queue.put_nowait({"type": "websocket.receive", FLOOD: True})  # type: ignore[arg-type]  # beyond ASGI, between this file and sockets.py
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def _refuse_handshake(self) -> None:
        """Answer a request that is no handshake: uvicorn would say nothing and wait."""
        response = self.conn.reject(HTTPStatus.BAD_REQUEST, "not a WebSocket handshake\nRFC 6455\n")
        self.transport.write(response.serialize())
        self.transport.close()
