"""One subscriber's WebSocket: events are taken down and acknowledged where they come in."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, cast

import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from fhircast_bench.events import marked_id
from fhircast_bench.frames import CLOSE, PING, PONG, TEXT, BadFrame, FrameReader, client_frame
from fhircast_bench.target import target_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from fhircast_bench.ledger import Ledger, Sent

_END_OF_HEAD = b"\r\n\r\n"
_MAX_SAID = 200
_NORMAL = (1000).to_bytes(2)


class _Frame(msgspec.Struct):
    """What a frame of a hub may be: an event (id, event), or a word on the subscription (mode)."""

    id: str | None = None
    event: msgspec.Raw = msgspec.Raw(b"")
    mode: str = msgspec.field(default="", name="hub.mode")
    reason: str = msgspec.field(default="", name="hub.reason")


class _EventName(msgspec.Struct):
    name: str = msgspec.field(default="event without a name", name="hub.event")


_FRAMES = msgspec.json.Decoder(_Frame)
_NAMES = msgspec.json.Decoder(_EventName)
_ANSWERS = msgspec.json.Encoder()


class SocketSeat(asyncio.Protocol):
    """A subscriber.

    Args:
        topic: Number of its topic.
        subscriber: Its number in the topic.
        ledger: Takes down what comes.
        delivered: Called with each event of ours, after it was taken down.
        acknowledges: Whether events are answered.
        keeps: Where the reasons for lost connections go.
    """

    __slots__ = (
        "_acknowledges",
        "_delivered",
        "_handshake",
        "_has_head",
        "_head",
        "_is_leaving",
        "_joined",
        "_keeps",
        "_ledger",
        "_reader",
        "_transport",
        "subscriber",
        "topic",
    )

    def __init__(
        self,
        topic: int,
        subscriber: int,
        ledger: Ledger,
        delivered: Callable[[Sent], None],
        *,
        acknowledges: bool,
        keeps: Callable[[str], None],
    ) -> None:
        self.topic = topic
        self.subscriber = subscriber
        self._ledger = ledger
        self._delivered = delivered
        self._acknowledges = acknowledges
        self._keeps = keeps
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._handshake: ClientProtocol | None = None
        self._head, self._has_head = b"", False
        self._joined: asyncio.Future[str] | None = None
        self._is_leaving = False

    async def join(self, endpoint: str, tls: ssl.SSLContext, within: float) -> str:
        """Connect, and wait for the confirmation.

        Args:
            endpoint: `hub.channel.endpoint`.
            tls: What to trust if it is wss.
            within: Seconds for all of it.

        Returns:
            "", or why the subscriber is not in.
        """
        loop, target = asyncio.get_running_loop(), target_of(endpoint, tls)
        self._joined = loop.create_future()
        self._handshake = ClientProtocol(parse_uri(endpoint))
        is_told = False
        try:
            async with asyncio.timeout(within):
                await loop.create_connection(lambda: self, target.host, target.port, ssl=target.tls)
                why_not = await self._joined
                is_told = True
                return why_not
        except TimeoutError:
            return f"no confirmation within {within:g} s"
        except OSError as error:
            return f"the endpoint cannot be reached: {error}"
        finally:
            if not is_told:
                # Also where the confirmation has come: who is stopped before create_connection
                # returns leaves a connection that uvloop has closed without a word.
                self._joined.cancel()
                self._drop()

    @property
    def is_open(self) -> bool:
        """Whether it can be heard."""
        return self._transport is not None

    def leave(self) -> None:
        """From now on the hub may say that the subscription is over, and close."""
        self._is_leaving = True

    def close(self) -> None:
        """Close with 1000."""
        self._is_leaving = True
        self._write(client_frame(CLOSE, _NORMAL))
        self._drop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert self._handshake is not None
        assert self._joined is not None
        if self._joined.cancelled():  # uvloop connects although nobody waits for it any more
            transport.close()
            return
        self._transport = cast("asyncio.Transport", transport)
        self._handshake.send_request(self._handshake.connect())
        self._transport.writelines(self._handshake.data_to_send())

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        if self._handshake is not None:
            data = self._shake_hands(self._handshake, data)
        try:
            for opcode, payload in self._reader.feed(data):
                if opcode == TEXT:
                    self._take(payload, now)
                elif opcode == PING:
                    self._write(client_frame(PONG, payload))
                elif opcode == CLOSE:
                    self._close_back(payload)
        except BadFrame as error:
            self._lost(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None and self._handshake is not None:
            self._handshake.receive_eof()
            self._refused(self._handshake)
        if self._transport is not None:
            self._lost(f"the connection broke: {exc}" if exc else "the connection broke")

    def _shake_hands(self, handshake: ClientProtocol, data: bytes) -> bytes:
        """Feed the handshake; return what came after it."""
        rest = b""
        if not self._has_head:
            head, found, rest = (self._head + data).partition(_END_OF_HEAD)
            self._head = head
            if not found:
                return b""
            self._has_head = True
            handshake.receive_data(head + found)
            if handshake.state is OPEN:
                self._handshake = None
                return rest
        handshake.receive_data(rest or data)
        self._refused(handshake)
        return b""

    def _refused(self, handshake: ClientProtocol) -> None:
        """The upgrade was refused; the reason is in the body, which may still be on its way."""
        error = handshake.handshake_exc
        if error is None:
            return
        said = str(error)
        if isinstance(error, InvalidStatus):
            response = error.response
            body = " ".join((response.body or b"").decode(errors="replace").split())
            said = f"{response.status_code} {body}"[:_MAX_SAID]
        self._lost(f"the endpoint refused the connection: {said}")

    def _take(self, payload: bytes, now: float) -> None:
        try:
            frame = _FRAMES.decode(payload)
        except msgspec.MsgspecError:
            self._ledger.others["a frame that is no JSON"] += 1
            return
        if not frame.event:
            self._hear(frame)
            return
        if self._acknowledges:
            answer = _ANSWERS.encode({"id": frame.id, "status": "200"})
            self._write(client_frame(TEXT, answer))
        event = self._ledger.find(frame.id) or self._ledger.find(marked_id(payload))
        if event is None and (name := _NAMES.decode(frame.event).name) == "SyncError":
            self._ledger.others[name] += 1
            return
        self._ledger.deliver(self.topic, self.subscriber, event, now)
        if event is not None:
            self._delivered(event)

    def _hear(self, frame: _Frame) -> None:
        """A word on the subscription."""
        if frame.mode == "subscribe":
            self._come_in("")
        elif not self._is_leaving:
            self._ledger.others[f"{frame.mode or 'unknown'} frame"] += 1
            self._keeps(f"{frame.mode}: {frame.reason}")
            self._come_in(f"the hub says {frame.mode}: {frame.reason}")

    def _come_in(self, why_not: str) -> None:
        if self._joined is not None and not self._joined.done():
            self._joined.set_result(why_not)

    def _close_back(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2]) if payload else 1005
        self._write(client_frame(CLOSE, payload[:2]))
        self._lost(f"closed with {code} {payload[2:].decode(errors='replace')}".strip())

    def _lost(self, why: str) -> None:
        self._drop()
        if self._joined is not None and not self._joined.done():
            self._come_in(why)
        elif not self._is_leaving:
            self._keeps(why)

    def _drop(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
