"""One WebSocket: what comes goes to its channel, what its outbox holds goes out."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from fhircast_hub.clock import ENDPOINT_ID_BYTES
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.messages import encode_denial, parse_response
from fhircast_hub.web.outbox import Outbox
from fhircast_hub.web.peers import AttemptLimit

if TYPE_CHECKING:
    from fhircast_hub.clock import Clock
    from fhircast_hub.config import Settings
    from fhircast_hub.fanout import Link
    from fhircast_hub.hub import Hub
    from fhircast_hub.protocol.subscription import Subscription
    from fhircast_hub.web.auditing import Auditing

logger = logging.getLogger(__name__)

_ENDPOINT_ID = re.compile(rf"[A-Za-z0-9_-]{{{ENDPOINT_ID_BYTES * 4 // 3}}}")
_CLOSE_SECONDS = 5
"""How long a subscriber may take to read its last frames."""


class Sockets:
    """The WebSocket handler under hub.url."""

    def __init__(self, hub: Hub, settings: Settings, clock: Clock, auditing: Auditing) -> None:
        self._hub = hub
        self._settings = settings
        self._clock = clock
        self._auditing = auditing
        self._unknown = AttemptLimit(settings.max_unknown_upgrades_per_minute)

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one connection to an endpoint URL until it ends.

        Spec: 2.4; SUB-17, CONF-01, D-43, D-44.
        """
        endpoint_id = websocket.path_params["endpoint_id"]
        if not _ENDPOINT_ID.fullmatch(endpoint_id):
            await websocket.send_denial_response(PlainTextResponse("not an endpoint\nD-43\n", 404))
            return
        subscription = await self._hub.find(endpoint_id)
        if subscription is not None:
            await websocket.accept()
            await self._serve(websocket, subscription)
        elif self._may_ask(websocket, endpoint_id):
            await websocket.accept()
            await self._deny(websocket, endpoint_id)
        else:
            text = "too many connections to unknown endpoints; wait a minute\nD-43\n"
            answer = PlainTextResponse(text, 429, headers={"Retry-After": "60"})
            await websocket.send_denial_response(answer)

    def _may_ask(self, websocket: WebSocket, endpoint_id: str) -> bool:
        """Tell whether an endpoint that is none may be denied: guessing is limited, per peer."""
        topic, _ = self._hub.last_known(endpoint_id)
        peer = websocket.client.host if websocket.client else ""
        return bool(topic) or self._unknown.allows(peer, self._clock.monotonic())

    async def _deny(self, websocket: WebSocket, endpoint_id: str) -> None:
        """D-43: an upgrade that is refused is retried for ever by a known client; this ends it."""
        reason = CloseReason.NOT_KNOWN
        topic, events = self._hub.last_known(endpoint_id)
        with suppress(WebSocketDisconnect, RuntimeError):
            await websocket.send_text(encode_denial(topic, events, reason.text).decode())
            await websocket.close(reason.code, reason.text)

    async def _serve(self, websocket: WebSocket, subscription: Subscription) -> None:
        outbox = Outbox(
            max_frames=self._settings.max_outbox_events, max_bytes=self._settings.max_outbox_bytes
        )
        link = await self._hub.join(subscription, outbox)
        if link is None:
            await self._deny(websocket, subscription.endpoint_id)
            return
        self._auditing.connected(websocket, subscription)
        code = 1006
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(_write(websocket, outbox))
            closing = tasks.create_task(_close(websocket, outbox, writing))
            try:
                code = await self._read(websocket, link)
            finally:
                closing.cancel()
                writing.cancel()
        await self._hub.left(link, outbox, code)

    async def _read(self, websocket: WebSocket, link: Link) -> int:
        """Feed responses to the channel until the socket is gone; return the close code."""
        has_told = False
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return int(message.get("code") or 1006)
            text = message.get("text")
            response = parse_response(text) if text is not None else None
            if response is None:
                # Odd frames of one socket are told once: they must not fill the log.
                kind, level = _kind_of_frame(text)
                logger.log(logging.DEBUG if has_told else level, "passed over: %s", kind)
                has_told |= level == logging.INFO
                continue
            await self._hub.responded(link, response)


def _kind_of_frame(text: str | None) -> tuple[str, int]:
    """Say what a subscriber sent, without any of it, and how loud to be about it (GEN-02, D-38)."""
    if text is None:
        return "a binary frame", logging.INFO
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return "a frame that is no JSON", logging.INFO
    return "a frame that is no notification response", logging.DEBUG


async def _write(websocket: WebSocket, outbox: Outbox) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):  # the reader sees the disconnect
        while (frame := await outbox.take()) is not None:
            await websocket.send_text(frame.decode())


async def _close(websocket: WebSocket, outbox: Outbox, writing: asyncio.Task[None]) -> None:
    """Close once the hub wants it: after the last frames, or without them if nobody reads."""
    reason = await outbox.closed()
    await asyncio.wait([writing], timeout=_CLOSE_SECONDS)
    writing.cancel()
    if websocket.application_state is WebSocketState.CONNECTED:
        with suppress(WebSocketDisconnect, RuntimeError):
            await websocket.close(reason.code, reason.text)
