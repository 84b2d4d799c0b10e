"""uvicorn's WebSocket protocol until a subscription begins: then a `Wire` takes over.

What is no subscription is refused or denied from here; nothing is read of it. Deadlines bound what
has no end.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from fhircast_hub.web.crowd import Deadline
from fhircast_hub.web.wire import Wire

if TYPE_CHECKING:
    from asyncio.transports import BaseTransport

    from websockets.http11 import Request

    from fhircast_hub.web.wire import Exchange, WireListener

TAKE_OVER = "fhircast.take_over"
"""Key of the ASGI extension: a `TakeOver`, to be called once after the accept."""


class TakeOver(Protocol):
    """Takes a connection away from the ASGI server; the application then returns."""

    def __call__(self, listener: WireListener) -> Wire:
        """Return what stands for the connection from now on."""
        ...


class _HandedOver:
    """Stands for a connection that is somebody else's now and outlives the application's call."""

    def close(self) -> None:
        """Close nothing."""

    def is_closing(self) -> bool:
        """Tell that nothing is to be written."""
        return True


class HubWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket connection that is opened."""

    def __init__(self, *args: Any, exchange: Exchange, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._exchange = exchange
        self._limits = exchange.limits
        self._peer = ""
        self._deadline = Deadline(self.loop.time() + self._limits.header_seconds)

    # What the transport calls

    def connection_made(self, transport: BaseTransport) -> None:
        """The HTTP connection, already counted, becomes a WebSocket."""
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else ""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._exchange.crowd.leave(self._peer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        try:
            super().data_received(data)
        except (InvalidState, AssertionError):
            # What is no UTF-8, and behind it a close frame that the parser has answered already;
            # or what is no frame, of a client that did not wait for the answer to its handshake.
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
        if now >= self._deadline():
            self.transport.abort()

    # What uvicorn does with frames

    def handle_connect(self, event: Request) -> None:
        """The handshake is complete; the application decides, and may take the connection over."""
        self._deadline.step(Deadline.NEVER)
        super().handle_connect(event)
        if self.handshake_initiated and not self.handshake_complete:
            self.scope["extensions"][TAKE_OVER] = self._take_over  # type: ignore[assignment]  # beyond ASGI

    def _take_over(self, listener: WireListener) -> Wire:
        self.stop_keepalive()
        if self.read_paused:
            self.transport.resume_reading()
        self.connections.discard(self)
        wire = Wire(
            self.transport,
            self._exchange,
            listener,
            peer=self._peer,
            connections=self.connections,
        )
        self.transport.set_protocol(wire)
        if not self.writable.is_set():
            wire.pause_writing()
        if early := bytes(self.conn.reader.buffer):
            wire.data_received(early)  # half a frame of a client that did not wait for the answer
        # Also where the peer has gone before the accept, which then was not written.
        self.handshake_complete = True
        self.transport = _HandedOver()  # type: ignore[assignment]  # all that is left of it here
        return wire

    def _refuse_handshake(self) -> None:
        """Answer a request that is no handshake: uvicorn would say nothing and wait."""
        response = self.conn.reject(HTTPStatus.BAD_REQUEST, "not a WebSocket handshake\nRFC 6455\n")
        self.transport.write(response.serialize())
        self.transport.close()
