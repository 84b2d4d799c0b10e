"""The application's WebSockets as the played hub sees them: what was sent, what was answered."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

from fhircast_conformance.subscriber.record import Closed, Stray

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.asyncio.server import ServerConnection

    from fhircast_conformance.subscriber.record import Json, Record
    from fhircast_conformance.trace import Trace

APPLICATION = "application"
"""Lane of the application in the record of messages."""


@dataclass(slots=True)
class Delivery:
    """One notification on one socket.

    Attributes:
        id: The event's id.
        name: Its `hub.event`.
        anchor: Its anchor, "" if it has none.
        version: The `context.versionId` that it carried, "" if none.
        at: When it was sent; seconds of the loop's clock.
        answer: The frame that answered it, None as long as there is none.
        answered_at: When that came.
        is_lost: Whether the socket ended before an answer came.
    """

    id: str
    name: str
    anchor: str
    version: str
    at: float
    answer: Json | None = None
    answered_at: float = 0.0
    is_lost: bool = False

    @property
    def status(self) -> int | None:
        """The status of the answer, None if there is none or it is no number.

        An answer without one is a plain receipt (D-41); ACK-01 judges it elsewhere.
        """
        if self.answer is None:
            return None
        try:
            return int(str(self.answer.get("status", 202)))
        except ValueError:
            return None

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is to be waited for."""
        return self.answer is not None or self.is_lost


@dataclass(slots=True)
class Line:
    """One WebSocket of the application."""

    endpoint: str
    socket: ServerConnection
    deliveries: list[Delivery] = field(default_factory=list)
    is_open: bool = True
    ended_by_hub: bool = False

    def hang_up(self) -> None:
        """Note that the hub ends it."""
        self.is_open, self.ended_by_hub = False, True

    async def send(self, frame: Json, trace: Trace) -> bool:
        """Send a frame; return whether the socket took it."""
        text = json.dumps(frame)
        trace.frame("hub", APPLICATION, text)
        try:
            async with asyncio.timeout(10):
                await self.socket.send(text)
        except (ConnectionClosed, TimeoutError):
            return False
        return True

    async def read(
        self, record: Record, trace: Callable[[], Trace], now: Callable[[], float]
    ) -> None:
        """Read answers until the socket ends."""
        try:
            async for data in self.socket:
                trace().frame(APPLICATION, "hub", data)
                self._take(data, record, now())
        except ConnectionClosed:
            pass
        self.is_open = False
        for delivery in self.deliveries:
            delivery.is_lost = delivery.answer is None
        received = self.socket.protocol.close_rcvd
        code = received.code if received is not None else 1006
        trace().add(APPLICATION, "hub", f"socket closed {code}")
        record.add(Closed(now(), self.endpoint, code, not self.ended_by_hub))

    def _take(self, data: str | bytes, record: Record, at: float) -> None:
        try:
            message = json.loads(data)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            record.add(Stray(at, None))
            return
        delivery = self._meant(str(message.get("id", "")))
        if delivery is None:
            record.add(Stray(at, message))
            return
        if delivery.answer is None:
            delivery.answer, delivery.answered_at = message, at
        record.pulse()

    def _meant(self, event_id: str) -> Delivery | None:
        """Return what an answer is for: the oldest one of this id that is not answered yet."""
        same = [it for it in self.deliveries if it.id == event_id]
        return next((it for it in same if it.answer is None), same[-1] if same else None)
