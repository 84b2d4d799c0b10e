"""One WebSocket by ASGI messages, for servers that do not hand a connection over."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.websockets import WebSocketDisconnect, WebSocketState

from fhircast_hub.web.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.websockets import WebSocket

    from fhircast_hub.fanout import Link
    from fhircast_hub.protocol.channel_state import CloseReason
    from fhircast_hub.web.sockets import Sockets

_CLOSE_SECONDS = 5
"""How long a subscriber may take to read its last frames."""


class PlainSocket:
    """A `FrameSink` that is an outbox, and three tasks that serve it.

    Args:
        websocket: Accepted, or about to be.
        sockets: Who is told what happens.
        max_frames: Frames that may wait for a subscriber that does not read.
        max_bytes: Their size.

    Attributes:
        link: The channel that is fed from here, None before it is known.
        has_told: Whether an odd frame of this connection was logged already.
    """

    def __init__(
        self, websocket: WebSocket, sockets: Sockets, *, max_frames: int, max_bytes: int
    ) -> None:
        self.link: Link | None = None
        self.has_told = False
        self._websocket = websocket
        self._sockets = sockets
        self._outbox = Outbox(max_frames=max_frames, max_bytes=max_bytes)

    def put(self, frame: bytes) -> bool:
        """See `FrameSink.put`."""
        return self._outbox.put(frame)

    def close(self, reason: CloseReason, last: Iterable[bytes] = ()) -> None:
        """See `FrameSink.close`."""
        self._outbox.close(reason, last)

    async def serve(self) -> None:
        """Bring frames to the subscriber and its messages to the hub until either ends it."""
        code = 1006
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self._write())
            closing = tasks.create_task(self._close(writing))
            try:
                code = await self._read()
            finally:
                closing.cancel()
                writing.cancel()
        if self.link is not None:
            self._sockets.left(self, self.link, code)

    async def _read(self) -> int:
        """Hand on messages until the socket is gone; return the close code."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return int(message.get("code") or 1006)
            if self.link is None:
                continue
            text = message.get("text")
            heard = text.encode() if text is not None else message.get("bytes") or b""
            self._sockets.heard(self, self.link, heard, is_text=text is not None)

    async def _write(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # the reader sees the disconnect
            while (frame := await self._outbox.take()) is not None:
                await self._websocket.send_text(frame.decode())

    async def _close(self, writing: asyncio.Task[None]) -> None:
        """Close once the hub wants it: after the last frames, or without them if nobody reads."""
        reason = await self._outbox.closed()
        await asyncio.wait([writing], timeout=_CLOSE_SECONDS)
        writing.cancel()
        if self._websocket.application_state is WebSocketState.CONNECTED:
            with suppress(WebSocketDisconnect, RuntimeError):
                await self._websocket.close(reason.code, reason.text)
