"""A hub and its applications in memory: real verbs, real channels, real frames; no socket.

Nothing is delivered by itself: an application reads its frames, sends its GET and takes the answer
when the test says so, so that every order of events can be played, and played again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from builders import NOON, TOPIC
from fhircast_hub.backends.base import BackendLimits
from fhircast_hub.backends.memory import MemoryBackend
from fhircast_hub.fanout import Fanout
from fhircast_hub.hub import Hub, HubRules
from fhircast_hub.protocol.channel import ChannelRules
from fhircast_hub.protocol.errors import FhircastError
from fhircast_hub.protocol.messages import parse_notification, parse_response
from fhircast_hub.protocol.session import Rules
from fhircast_hub.protocol.subscription import SubscriptionRequest
from fhircast_hub.security.grant import ANYBODY
from fhircast_subscribers.follower import Follower
from fhircast_subscribers.wire import (
    Notification,
    decode,
    read_current_context,
    write_answer,
)
from wire_messages import ALL_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from builders import Json
    from fhircast_hub.fanout import Link
    from fhircast_hub.protocol.channel_state import CloseReason
    from fhircast_subscribers.follower import Ticket

EVERYBODY = ANYBODY
EVENTS = {name.lower(): name for name in (*ALL_EVENTS, "Patient-update", "ImagingStudy-update")}
GRACE_SECONDS = 5


class FakeClock:
    """Time that passes when the test says so.

    Attributes:
        seconds: That have passed.
        ahead_seconds: By which the wall clock was set forward.
    """

    def __init__(self) -> None:
        self.seconds = self.ahead_seconds = 0.0

    def utc(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds + self.ahead_seconds)

    def monotonic(self) -> float:
        return self.seconds


class Inbox:
    """What the hub sent to an application that it has not read yet."""

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self.closed: CloseReason | None = None

    def put(self, frame: bytes) -> bool:
        self.frames.append(frame)
        return True

    def close(self, reason: CloseReason, last: Iterable[bytes] = ()) -> None:
        self.frames.extend(last)
        self.closed = reason


class Room:
    """One hub, one topic, some applications."""

    def __init__(self, names: Iterable[str], *, ira: bool) -> None:
        self.clock = FakeClock()
        self.fanout = Fanout(
            ChannelRules(strict_acks=ira, grace_seconds=0 if ira else GRACE_SECONDS)
        )
        self.backend = MemoryBackend(BackendLimits())
        rules = HubRules(session=Rules(ira=ira))
        self.hub = Hub(self.backend, self.fanout, rules=rules, clock=self.clock)
        self.apps = [App(self, name) for name in names]
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._running = asyncio.create_task(self.hub.run(self._stop))

    async def stop(self) -> None:
        self._stop.set()
        if self._running is not None:
            await self._running

    async def post(self, request: Json) -> tuple[int, str]:
        """Post a request; return the status and the version that the hub assigned."""
        try:
            notification = parse_notification(msgspec.json.encode(request))
            accepted = await self.hub.request_change(notification, EVERYBODY)
        except FhircastError as refused:
            return refused.status, ""
        await self.delivered()
        return accepted.status, accepted.version_id

    async def context(self) -> bytes:
        return await self.hub.current_context(TOPIC, EVERYBODY)

    async def wait(self, seconds: float) -> None:
        """Let time pass, also for the hub."""
        self.clock.seconds += seconds
        self.hub.tick()
        await self.delivered()

    async def delivered(self) -> None:
        """Give the hub the turns that it needs to put what it committed into the inboxes."""
        for _ in range(6):
            await asyncio.sleep(0)

    async def settle(self) -> None:
        """Let everybody join, read, answer and ask until there is nothing left to do."""
        for app in self.apps:
            if app.inbox is None:
                await app.join()
        for _ in range(20):
            for app in self.apps:
                await app.finish_read()
                await app.receive()
                if app.inbox is None:
                    await app.join()
                elif app.follower.needs_read:
                    await app.begin_read()
            if all(it.is_quiet for it in self.apps):
                return
        raise AssertionError("the room does not come to rest")


class App:
    """One application: a follower at the end of a channel.

    Attributes:
        inbox: Of its open socket, None if it has none.
    """

    def __init__(self, room: Room, name: str) -> None:
        self.room = room
        self.name = name
        self.follower = Follower(TOPIC)
        self.inbox: Inbox | None = None
        self.endpoint = ""
        self._link: Link | None = None
        self._answers: deque[tuple[bytes, Ticket]] = deque()

    @property
    def is_quiet(self) -> bool:
        return (
            self.inbox is not None
            and not self.inbox.frames
            and not self._answers
            and not self.follower.needs_read
        )

    async def join(self) -> None:
        """Connect to the endpoint, or subscribe anew if it is gone."""
        record = await self.room.hub.find(self.endpoint) if self.endpoint else None
        if record is None:
            request = SubscriptionRequest(False, TOPIC, EVENTS, None, "", self.name)
            self.endpoint = await self.room.hub.subscribe(request, EVERYBODY)
            record = await self.room.hub.find(self.endpoint)
        assert record is not None
        self.inbox = Inbox()
        self._link = await self.room.hub.join(record, self.inbox)
        assert self._link is not None
        self.follower.connected()
        await self.room.delivered()

    async def leave(self) -> None:
        """Unsubscribe; what was not read is never read."""
        request = SubscriptionRequest(True, TOPIC, {}, None, self.endpoint, "")
        await self.room.hub.unsubscribe(request, EVERYBODY)
        await self.room.delivered()
        self._gone("left")

    async def drop(self, code: int) -> None:
        """The socket is gone; the hub sees this close code, or with 0 nothing (D-44)."""
        link, inbox = self._link, self.inbox
        if code and link is not None and inbox is not None:
            self.room.hub.left(link, inbox, code)
            await self.room.delivered()
        self.inbox = self._link = None
        self.follower.lost()

    def restart(self) -> None:
        """The process starts anew: what it knew is forgotten, its endpoint too."""
        self.follower = Follower(TOPIC)
        self._answers.clear()
        self.endpoint = ""

    async def receive(self, *, at_most: int = 1000, status: int = 200) -> None:
        """Read frames and answer them, with status 0 not at all."""
        inbox, link = self.inbox, self._link
        for _ in range(at_most):
            if inbox is None or not inbox.frames:
                break
            message, _changes = self.follower.receive(inbox.frames.popleft())
            if not isinstance(message, Notification) or not status:
                continue
            if link is not None and inbox.closed is None:
                await self._answer(link, message, status)
        if inbox is not None and inbox.closed is not None and not inbox.frames:
            self._gone(inbox.closed.text)

    async def _answer(self, link: Link, message: Notification, status: int) -> None:
        self.follower.answered(message.id, message.event_name, status)
        response = parse_response(write_answer(message.id, status))
        assert response is not None
        self.room.hub.responded(link, response)
        await self.room.delivered()

    async def begin_read(self) -> None:
        """Send a GET; the hub answers now, the answer arrives later."""
        ticket = self.follower.begin_read()
        self._answers.append((await self.room.context(), ticket))

    async def finish_read(self) -> None:
        """The answers to the GETs arrive."""
        while self._answers:
            body, ticket = self._answers.popleft()
            self.follower.take_read(read_current_context(body), ticket)

    def _gone(self, detail: str) -> None:
        self.inbox = self._link = None
        self.endpoint = ""
        self.follower.ended(detail)

    @property
    def shown(self) -> tuple[str, list[Json], dict[str, Json]]:
        """What a user sees: anchor, items, content."""
        current = self.follower.current
        if current is None:
            return "", [], {}
        return current.anchor, list(current.items), dict(current.content)


def shown_by(view: bytes) -> tuple[str, list[Json], dict[str, Json]]:
    """What the answer to a GET shows; read here, not by the library."""
    answer = decode(view)
    items = [it for it in answer["context"] if it["key"] != "content"]
    bundles = [it["resource"] for it in answer["context"] if it["key"] == "content"]
    content = {it["fullUrl"]: it["resource"] for one in bundles for it in one.get("entry", [])}
    anchors = [it["resource"] for it in items]
    of_type = [it for it in anchors if it["resourceType"] == answer["context.type"]]
    anchor = f"{of_type[0]['resourceType']}/{of_type[0]['id']}" if of_type else ""
    return anchor, items, content
