"""WebSockets under hub.url: who may open one, and what comes goes to its channel."""

from __future__ import annotations

import logging
import re
from contextlib import ExitStack, suppress
from math import ceil
from typing import TYPE_CHECKING, Protocol

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from fhircast_hub.clock import ENDPOINT_ID_BYTES
from fhircast_hub.fanout import FrameSink
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.errors import LimitReached, Unavailable
from fhircast_hub.protocol.json_text import AmbiguousJson, read_json
from fhircast_hub.protocol.messages import encode_denial, parse_response
from fhircast_hub.web.gate import peer_of
from fhircast_hub.web.peers import RateLimit
from fhircast_hub.web.plain_socket import PlainSocket
from fhircast_hub.web.socket_protocol import TAKE_OVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_hub.clock import Clock
    from fhircast_hub.config import Settings
    from fhircast_hub.fanout import Link
    from fhircast_hub.hub import Hub
    from fhircast_hub.protocol.errors import FhircastError
    from fhircast_hub.protocol.subscription import Subscription
    from fhircast_hub.web.auditing import Auditing
    from fhircast_hub.web.token_watch import TokenWatch

logger = logging.getLogger(__name__)

_ENDPOINT_ID = re.compile(rf"[A-Za-z0-9_-]{{{ENDPOINT_ID_BYTES * 4 // 3}}}")


class HubSocket(FrameSink, Protocol):
    """An open socket.

    Attributes:
        link: The channel that is fed from it.
        has_told: Whether an odd frame of it was logged already.
    """

    link: Link | None
    has_told: bool


class Sockets:
    """The WebSocket handler under hub.url."""

    def __init__(
        self, hub: Hub, settings: Settings, clock: Clock, tokens: TokenWatch, auditing: Auditing
    ) -> None:
        self._hub = hub
        self._tokens = tokens
        self._settings = settings
        self._clock = clock
        self._auditing = auditing
        self._all = RateLimit(settings.max_upgrades_per_minute)
        self._unknown = RateLimit(settings.max_unknown_upgrades_per_minute)

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one connection to an endpoint URL until it ends.

        Spec: 2.4; SUB-17, CONF-01, CONF-06, D-43, D-44.
        """
        endpoint_id = websocket.path_params["endpoint_id"]
        if not _ENDPOINT_ID.fullmatch(endpoint_id):
            await websocket.send_denial_response(PlainTextResponse("not an endpoint\nD-43\n", 404))
            return
        peer, now = peer_of(websocket), self._clock.monotonic()
        if wait := self._all.wait_seconds(peer, now):
            await _put_off(websocket, "too many connections from this address", wait)
            return
        try:
            subscription = await self._hub.find(endpoint_id)
        except Unavailable as error:
            await _refuse(websocket, error, error.retry_after_seconds)
            return
        if subscription is not None and await self._tokens.has_ended(subscription.token_id):
            await websocket.accept()
            await self._deny(websocket, endpoint_id, CloseReason.TOKEN_ENDED)
        elif subscription is not None:
            await self._serve(websocket, subscription)
        elif wait := self._wait_to_ask(endpoint_id, peer, now):
            await _put_off(websocket, "too many connections to unknown endpoints", wait)
        else:
            await websocket.accept()
            await self._deny(websocket, endpoint_id)

    def _wait_to_ask(self, endpoint_id: str, peer: str, now: float) -> float:
        """Return how long a peer has to wait with an endpoint that is none: guessing is limited."""
        topic, _ = self._hub.last_known(endpoint_id)
        return 0.0 if topic else self._unknown.wait_seconds(peer, now)

    async def _deny(
        self,
        websocket: WebSocket,
        endpoint_id: str,
        reason: CloseReason = CloseReason.NOT_KNOWN,
    ) -> None:
        """D-43: an upgrade that is refused is retried for ever by a known client; this ends it."""
        topic, events = self._hub.last_known(endpoint_id)
        with suppress(WebSocketDisconnect, RuntimeError):
            await websocket.send_text(encode_denial(topic, events, reason.text).decode())
            await websocket.close(reason.code, reason.text)

    async def _serve(self, websocket: WebSocket, subscription: Subscription) -> None:
        take_over = websocket.scope.get("extensions", {}).get(TAKE_OVER)
        if take_over is not None:
            await self._join(websocket, subscription, lambda: take_over(self))
            return
        settings = self._settings
        socket = PlainSocket(
            websocket,
            self,
            max_frames=settings.max_outbox_events,
            max_bytes=settings.max_outbox_bytes,
        )
        if await self._join(websocket, subscription, lambda: socket):
            await socket.serve()

    def heard(self, socket: HubSocket, link: Link, message: bytes, *, is_text: bool) -> None:
        """A subscriber sent a message: feed it to its channel, if it is a response."""
        response = parse_response(message) if is_text else None
        if response is not None:
            self._hub.responded(link, response)
            return
        # Odd frames of one socket are told once: they must not fill the log.
        kind, level = _kind_of_frame(message, is_text=is_text)
        logger.log(logging.DEBUG if socket.has_told else level, "passed over: %s", kind)
        socket.has_told |= level == logging.INFO

    def flooded(self, link: Link) -> None:
        """A subscriber sends more frames than anything asks for."""
        self._hub.flooded(link)

    def left(self, socket: HubSocket, link: Link, code: int) -> None:
        """A socket is gone."""
        self._hub.left(link, socket, code)

    async def _join(
        self, websocket: WebSocket, subscription: Subscription, opened: Callable[[], HubSocket]
    ) -> bool:
        """Accept the socket and let its subscription begin; False if it was not accepted.

        If the subscription has ended meanwhile, a denial is all that comes.

        A trail that fails comes back, and the subscription still stands: so the client shall try
        again, and gets no denial, which would end it for good (D-43).
        """
        with ExitStack() as held:
            try:
                held.enter_context(self._auditing.place())
                record = await self._hub.admit(subscription)
            except Unavailable as error:
                await _refuse(websocket, error, error.retry_after_seconds)
                return False
            await websocket.accept()
            # From here until the link is set nothing may wait: what comes would find nobody.
            socket = opened()
            if record is not None:
                try:
                    link = socket.link = self._hub.attach(record, socket)
                    await self._hub.bring_up_to_date(link, record)
                except Exception:  # nobody would ever close what was accepted
                    socket.close(CloseReason.INTERNAL)
                    raise
                self._auditing.connected(websocket, subscription)
                return True
        topic, events = self._hub.last_known(subscription.endpoint_id)
        reason = CloseReason.NOT_KNOWN
        socket.close(reason, [encode_denial(topic, events, reason.text)])
        return True


async def _put_off(websocket: WebSocket, reason: str, wait_seconds: float) -> None:
    """Refuse an upgrade for now."""
    await _refuse(websocket, LimitReached(f"{reason}; try again later", rule="D-43"), wait_seconds)


async def _refuse(websocket: WebSocket, error: FhircastError, wait_seconds: float) -> None:
    headers = {"Retry-After": str(ceil(wait_seconds))}
    text = f"{error.reason}\n{error.rule}\n"
    await websocket.send_denial_response(PlainTextResponse(text, error.status, headers=headers))


def _kind_of_frame(message: bytes, *, is_text: bool) -> tuple[str, int]:
    """Say what a subscriber sent, without any of it, and how loud to be about it (GEN-02, D-38)."""
    if not is_text:
        return "a binary frame", logging.INFO
    try:
        read_json(message)
    except AmbiguousJson:
        return "a frame of ambiguous JSON", logging.INFO
    except ValueError:
        return "a frame that is no JSON", logging.INFO
    return "a frame that is no notification response", logging.DEBUG
