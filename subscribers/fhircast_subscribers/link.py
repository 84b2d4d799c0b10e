"""HubLink: one subscription kept alive: subscribe, connect, read, renew, come back, leave."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from fhircast_hub.protocol.channel_state import CloseReason
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from fhircast_subscribers.errors import (
    InvalidAnswer,
    NoAnswer,
    RequestRefused,
    SubscriberError,
    SubscriptionEnded,
)
from fhircast_subscribers.feed import TooLarge
from fhircast_subscribers.http import is_loopback
from fhircast_subscribers.wire import Confirmation, Denial, Message, write_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhircast_subscribers.feed import Feed
    from fhircast_subscribers.http import HubHttp
    from fhircast_subscribers.settings import ClientSettings

logger = logging.getLogger(__name__)

_FORGOTTEN = {CloseReason.NOT_KNOWN.text, CloseReason.SHUTDOWN.text}
"""Reasons of a denial that mean that the hub forgot us, not that we are not wanted (D-43)."""


class _Forgotten(SubscriberError):
    """The endpoint is of no use any more; a new subscription may be asked for at once."""


class HubLink:
    """Keeps one subscription alive and feeds what it brings."""

    def __init__(
        self,
        http: HubHttp,
        feed: Feed,
        settings: ClientSettings,
        *,
        topic: str,
        name: str,
        events: Sequence[str],
    ) -> None:
        self._http = http
        self._feed = feed
        self._settings = settings
        self._topic = topic
        self._name = name
        first_spelling: dict[str, str] = {}
        for event in events:
            first_spelling.setdefault(event.lower(), event)
        self._events = tuple(first_spelling.values())  # no repeats in any case (SUB-06)
        self._endpoint = ""
        self._socket: ClientConnection | None = None
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._leaving = False
        self._lease_seconds = 0.0
        self._leased_at = 0.0
        self._lease_changed = asyncio.Event()
        self.granted: frozenset[str] = frozenset(name.lower() for name in self._events)
        self.failure: SubscriberError | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the link tries to be connected; not after a denial (CONF-07)."""
        return self._wanted.is_set()

    def resume(self) -> None:
        """Subscribe anew after the subscription has ended: the user agreed, or has fresh rights."""
        self.failure = None
        self._wanted.set()
        self._feed.lost("subscribing anew")

    async def run(self) -> None:
        """Be connected, whatever happens, until cancelled."""
        failures = 0
        while True:
            await self._wanted.wait()
            started = self._now()
            try:
                await self._connect_once()
                detail = "closed by the hub"
            except SubscriptionEnded as ended:
                self._end(ended)
                continue
            except SubscriberError as error:
                if isinstance(error, RequestRefused) and not error.is_temporary:
                    self._end(error)
                    continue
                detail = str(error)
            if self._leaving:
                return
            self._feed.lost(detail)
            is_stable = self._now() - started > self._settings.stable_after_seconds
            failures = 1 if is_stable else failures + 1
            await asyncio.sleep(self._settings.backoff.delay_seconds(failures, random.random))

    async def renew(self) -> None:
        """Renew the lease before it ends, with the same endpoint, until cancelled (CONF-04)."""
        while True:
            await self._lease_changed.wait()
            self._lease_changed.clear()
            due = self._leased_at + self._lease_seconds * self._settings.renew_at
            try:
                async with asyncio.timeout_at(due):
                    await self._lease_changed.wait()
                self._lease_changed.set()
            except TimeoutError:
                await self._renew_until_ended()

    async def send_answer(self, event_id: str, status: int) -> None:
        """Answer a notification on the socket that is open; without one there is nothing to do."""
        socket = self._socket
        if socket is None:
            return
        try:
            async with asyncio.timeout(self._settings.request_timeout_seconds):
                await socket.send(write_answer(event_id, status))
        except (ConnectionClosed, TimeoutError):
            logger.debug("an answer could not be sent: the connection is gone")

    async def leave(self) -> None:
        """Unsubscribe and close with 1000 (UNS-06); every step has a deadline."""
        self._leaving = True
        self._wanted.clear()
        if self._endpoint:
            try:
                await self._http.unsubscribe(self._topic, self._endpoint)
            except SubscriberError as error:
                logger.info("unsubscribe failed: %s", error)
        if self._socket is not None:
            await self._socket.close(1000)

    async def _connect_once(self) -> None:
        """Be connected once, from the handshake to the end of the socket."""
        if self._endpoint and self._now() >= self._leased_at + self._lease_seconds:
            self._endpoint = ""  # the hub has ended it
        if not self._endpoint:
            self._endpoint = await self._subscribe()
        try:
            async with await self._open_socket() as socket:
                self._socket = socket
                self._feed.connected()
                await self._read(socket)
        except ConnectionClosed as closed:
            close = closed.rcvd
            if close is not None and close.reason == CloseReason.REPLACED.text:
                self._endpoint = ""
                raise SubscriptionEnded("another connection took the endpoint over") from None
            raise NoAnswer(f"close code {close.code if close else 1006}") from None
        except _Forgotten:
            self._endpoint = ""
            raise
        finally:
            self._socket = None

    async def _open_socket(self) -> ClientConnection:
        settings = self._settings
        try:
            return await connect(
                self._endpoint,
                open_timeout=settings.connect_timeout_seconds,
                close_timeout=settings.close_timeout_seconds,
                ping_interval=settings.ping_seconds,
                ping_timeout=settings.ping_seconds,
                max_size=settings.max_frame_bytes,
                proxy=None if is_loopback(self._endpoint) else True,
                user_agent_header=None,
            )
        except InvalidStatus as refused:
            status = refused.response.status_code
            if 400 <= status < 500 and status not in {408, 425, 429}:
                raise _Forgotten(f"the endpoint was refused with {status}") from None
            raise NoAnswer(f"the endpoint answered {status}") from None
        except InvalidURI:
            raise SubscriptionEnded("the hub handed out an endpoint that is no URL") from None
        except (OSError, TimeoutError, InvalidHandshake) as error:
            raise NoAnswer(f"no connection ({type(error).__name__})") from None

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async with asyncio.timeout(self._settings.connect_timeout_seconds):
                first = await socket.recv()
        except TimeoutError:
            raise NoAnswer("no confirmation in time") from None
        await self._judge(self._feed.frame(first))
        async for frame in socket:
            await self._judge(self._feed.frame(frame))

    async def _judge(self, message: Message | TooLarge | None) -> None:
        if isinstance(message, TooLarge):
            logger.warning("an event over max_event_bytes was answered 413")
            await self.send_answer(message.event_id, 413)
        elif isinstance(message, Confirmation):
            self.granted = frozenset(name.lower() for name in message.events)
            if message.lease_seconds and message.lease_seconds != self._lease_seconds:
                # Another lease than the last one counts from here, not from our request (CONF-03).
                self._lease_seconds, self._leased_at = message.lease_seconds, self._now()
            self._lease_changed.set()
        elif isinstance(message, Denial) and not self._leaving:
            self._endpoint = ""
            if message.reason in _FORGOTTEN or self._settings.resubscribe_after_denial:
                raise _Forgotten(message.reason or "denied by the hub")
            raise SubscriptionEnded(message.reason or "denied by the hub")

    async def _subscribe(self, endpoint: str = "") -> str:
        """Ask; the lease is counted from here, a little before the hub counts it (CONF-03)."""
        asked_at = self._now()
        granted = await self._http.subscribe(
            self._topic,
            self._events,
            name=self._name,
            lease_seconds=self._settings.lease_seconds,
            endpoint=endpoint,
        )
        self._leased_at = asked_at
        if not endpoint:
            self._lease_seconds = self._settings.lease_seconds
        return granted

    async def _renew_until_ended(self) -> None:
        """Try until it works, the lease has ended, or the hub refuses for good."""
        failures = 0
        while self._endpoint and self._now() < self._leased_at + self._lease_seconds:
            try:
                granted = await self._subscribe(self._endpoint)
            except (RequestRefused, NoAnswer, InvalidAnswer) as error:
                logger.warning("the lease could not be renewed: %s", error)
                if isinstance(error, RequestRefused) and not error.is_temporary:
                    return  # the subscription runs on until the lease ends
                failures += 1
                await asyncio.sleep(self._settings.backoff.delay_seconds(failures, random.random))
                continue
            if granted != self._endpoint:  # not as 2.4 has it, but what one deployed hub does
                self._endpoint = granted
                if self._socket is not None:
                    await self._socket.close(1000)
            self._lease_changed.set()
            return

    def _end(self, error: SubscriberError) -> None:
        self._wanted.clear()
        self._endpoint = ""
        self.failure = error
        self._feed.ended(str(error))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
