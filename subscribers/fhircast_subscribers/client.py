"""HubSession: one subscriber in one session of one hub, over HTTP and WebSocket.

    async with connect(hub_url, topic, name="My viewer") as session:
        async for event in session:
            ...

As many sessions as wanted can live in one process (IRA-SUB-03).
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fhircast_hub.protocol.events import EventKind

from fhircast_subscribers.errors import (
    InvalidAnswer,
    NoAnswer,
    RequestRefused,
    SubscriberError,
    SubscriptionEnded,
)
from fhircast_subscribers.feed import Feed, Received
from fhircast_subscribers.http import HubHttp, Token
from fhircast_subscribers.link import HubLink
from fhircast_subscribers.requests import Requester
from fhircast_subscribers.settings import IRA_EVENTS, ClientSettings
from fhircast_subscribers.sync import Connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from fhircast_subscribers.contexts import OpenContext
    from fhircast_subscribers.follower import Follower
    from fhircast_subscribers.sync import SyncStatus
    from fhircast_subscribers.wire import Notification, Resource

    Fetch = Callable[[str], Awaitable[Resource | None]]

logger = logging.getLogger(__name__)


class HubSession(Requester):
    """A joined session: iterate over what happens, ask for changes; see `connect`.

    Attributes:
        hub_url: `hub.url`.
        topic: The session's topic.
        name: This subscriber's name in SyncErrors.
    """

    def __init__(
        self,
        http: HubHttp,
        settings: ClientSettings,
        *,
        topic: str,
        name: str,
        events: Sequence[str],
        fetch: Fetch | None,
    ) -> None:
        feed = Feed(
            topic,
            max_events=settings.max_events,
            max_event_bytes=settings.max_event_bytes,
            answer=self._answer,
        )
        link = HubLink(http, feed, settings, topic=topic, name=name, events=events)
        super().__init__(http, feed, link, settings, topic=topic, name=name)
        self.hub_url = http.hub_url
        self.topic = topic
        self.name = name
        self._fetch = fetch
        self._last: Received | None = None
        self._broken: BaseException | None = None
        self._closed = False

    @property
    def follower(self) -> Follower:
        """What the hub has open, whether this application follows or not; only to be read."""
        return self._feed.follower

    @property
    def current(self) -> OpenContext | None:
        """The current context of the hub."""
        return self.follower.current

    @property
    def contexts(self) -> Mapping[str, OpenContext]:
        """What is open, by anchor."""
        return self.follower.contexts

    @property
    def sync(self) -> SyncStatus:
        """Whether everybody shows the same, and why not (SYNC-13)."""
        return self.follower.sync

    def __aiter__(self) -> HubSession:
        return self

    async def __anext__(self) -> Received:
        """Return what happens next; the one before is answered 200 unless it was answered.

        Ends when the session is left or the subscription has ended; `resubscribe` goes on.
        """
        if self._last is not None and not self._last.is_answered:
            await self._last.answer(200)
        while True:
            received = self._feed.next()
            if received is not None:
                self._last = received
                return received
            if self._broken is not None:
                raise self._broken
            if self._closed or not self._link.is_wanted:
                raise StopAsyncIteration
            await self._feed.until(self._is_worth_a_look, None)

    async def resubscribe(self) -> None:
        """Subscribe anew after the subscription has ended (CONF-07: the user agreed).

        Raises:
            SubscriberError: It did not work within the join deadline.
        """
        self._link.resume()
        await self._join()

    def caught_up(self) -> None:
        """Say that what was refused is followed now, though nobody sent it again yet."""
        self._feed.caught_up()

    async def wait_until(
        self, condition: Callable[[Follower], bool], timeout_seconds: float
    ) -> bool:
        """Wait until something holds for the follower; return whether it does."""
        return await self._feed.until(lambda: condition(self.follower), timeout_seconds)

    def _is_worth_a_look(self) -> bool:
        return bool(
            self._feed.has_waiting
            or self._broken is not None
            or self._closed
            or not self._link.is_wanted
        )

    async def _run(self) -> None:
        """Everything that goes on beside the application, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            tasks.create_task(self._link.renew())
            tasks.create_task(self._read_when_wanted())
            tasks.create_task(self._answer_overdue())
            tasks.create_task(self.resend())

    async def _join(self) -> None:
        """Wait for the first join.

        Raises:
            RequestRefused, SubscriptionEnded: The hub does not want us.
            NoAnswer: The deadline has passed.
        """

        def is_settled() -> bool:
            is_joined = self.sync.connection is Connection.JOINED
            return is_joined or not self._link.is_wanted or self._broken is not None

        timeout = self._settings.join_timeout_seconds
        if not await self._feed.until(is_settled, timeout):
            detail = self.sync.detail or self.sync.connection.value
            raise NoAnswer(f"not joined within {timeout:g} s: {detail}")
        if self._broken is not None:
            raise self._broken
        if not self._link.is_wanted:
            raise self._link.failure or SubscriptionEnded("the subscription has ended")

    async def _leave(self, running: asyncio.Task[None]) -> None:
        try:
            await self._link.leave()
        finally:
            self._closed = True
            running.cancel()
            await asyncio.wait([running])
            self._feed.ended("left")
            await self._http.aclose()

    def _ran(self, running: asyncio.Task[None]) -> None:
        """Hand a defect of ours to whoever iterates; it must not go unseen."""
        if not running.cancelled() and running.exception() is not None:
            self._broken = running.exception()
            self._feed.pulse()

    async def _answer(
        self, event: Notification, status: int, reason: str, after_receipt: bool
    ) -> None:
        if not after_receipt:
            await self._link.send_answer(event.id, status)
        elif status >= 400 and _is_refusable(event):
            await self.sync_error(event.id, event.event_name, reason or f"status {status}")
        if event.kind is EventKind.OPEN:
            self._feed.answered(event, status)

    async def _answer_overdue(self) -> None:
        """ACK-04: who cannot tell in time has received it, and may still refuse."""
        within = self._settings.answer_within_seconds
        while True:
            await asyncio.sleep(min(within / 4, 1))
            now = asyncio.get_running_loop().time()
            for received in self._feed.overdue(now - within):
                await received.answer(202)

    async def _read_when_wanted(self) -> None:
        """Read the context after joining and after a gap; fetch what is only referred to."""
        failures = 0
        while True:
            await self._feed.until(self._wants_read, None)
            if self.follower.needs_read:
                await self._read_once()
            failures = failures + 1 if self.follower.needs_read else 0
            await self._fetch_references()
            if failures:
                delay = self._settings.backoff.delay_seconds(failures, random.random)
                await asyncio.sleep(delay)

    def _wants_read(self) -> bool:
        current = self.current
        has_references = current is not None and bool(current.references)
        return self.follower.needs_read or (self._fetch is not None and has_references)

    async def _read_once(self) -> None:
        try:
            await self.read_context()
        except RequestRefused as refused:
            logger.info("the current context cannot be read: %s", refused)
            if not refused.is_temporary:
                self._feed.joined_without_read()
        except (NoAnswer, InvalidAnswer) as error:
            logger.info("the current context cannot be read: %s", error)

    async def _fetch_references(self) -> None:
        context = self.current
        if context is None or self._fetch is None:
            return
        for key, url in context.references.items():
            try:
                async with asyncio.timeout(self._settings.request_timeout_seconds):
                    resource = await self._fetch(url)
            except Exception as error:  # the application's code: its failure is one missing part
                logger.warning("shared content could not be fetched: %s", type(error).__name__)
                resource = None
            self._feed.fetched(context.anchor, key, resource)


def _is_refusable(event: Notification) -> bool:
    """Whether a SyncError may say so: of a context change (SYNC-11) or a logout (INF-02)."""
    is_logout = event.name is not None and event.name.key == "userlogout"
    return is_logout or event.kind in {EventKind.OPEN, EventKind.CLOSE}


@asynccontextmanager
async def connect(
    hub_url: str,
    topic: str,
    *,
    name: str,
    token: Token = None,
    events: Sequence[str] = IRA_EVENTS,
    settings: ClientSettings | None = None,
    fetch: Fetch | None = None,
    must_join: bool = True,
) -> AsyncIterator[HubSession]:
    """Join a session for the length of the block; leave it by unsubscribing (UNS-06).

    Args:
        hub_url: `hub.url`.
        topic: `hub.topic`.
        name: Of this subscriber, shown in SyncErrors; unique in the session (IRA-SUB-01).
        token: Bearer token, or what fetches a fresh one for each request.
        events: `hub.events`.
        settings: Waits and bounds.
        fetch: Fetches content that an update only refers to, by its `fullUrl` (IRA-SUB-04). It
            decides which addresses it trusts; without it such content stays a reference.
        must_join: Raise if the first join does not work; otherwise go on trying.

    Raises:
        RequestRefused, SubscriptionEnded: The hub does not want us.
        NoAnswer: It was not reached within the join deadline.
    """
    if not (hub_url and topic and name and events):
        raise ValueError("hub_url, topic, name and events must not be empty")
    settings = settings or ClientSettings()
    http = HubHttp(hub_url, token, timeout_seconds=settings.request_timeout_seconds)
    session = HubSession(http, settings, topic=topic, name=name, events=events, fetch=fetch)
    running = asyncio.create_task(session._run(), name=f"fhircast session of {name}")
    running.add_done_callback(session._ran)
    try:
        try:
            await session._join()
        except SubscriberError:
            if must_join:
                raise
        yield session
    finally:
        await session._leave(running)
