"""Feed: the follower, what waits for the application, and who waits for something to happen."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from fhircast_hub.protocol.events import EventKind

from fhircast_subscribers.changes import FellBehind
from fhircast_subscribers.errors import RefusedLocally
from fhircast_subscribers.follower import Follower, Ticket
from fhircast_subscribers.wire import Message, Notification, read_frame

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fhircast_subscribers.changes import Change
    from fhircast_subscribers.wire import CurrentContext

_REMEMBERED_IDS = 512
_LIMITED = {EventKind.OPEN, EventKind.UPDATE}
"""What may grow with its content; a close is always followed."""


class TooLarge(NamedTuple):
    """An event that was not taken in; it wants 413.

    Attributes:
        event_id: Its id.
    """

    event_id: str


class Received:
    """One thing that happened: a notification with what it changed, or a fact about the connection.

    Attributes:
        notification: The event, None for a fact about the connection or the answer to a GET.
        changes: What it changed in the follower.
        arrived_at: Monotonic seconds.
    """

    __slots__ = ("_answer", "_status", "arrived_at", "changes", "notification")

    def __init__(
        self,
        changes: tuple[Change, ...],
        notification: Notification | None,
        answer: Callable[[Notification, int, str, bool], Awaitable[None]],
        arrived_at: float,
    ) -> None:
        self.changes = changes
        self.notification = notification
        self.arrived_at = arrived_at
        self._answer = answer
        self._status = 0

    @property
    def is_answered(self) -> bool:
        """Whether an answer went to the hub, or none is wanted."""
        return self.notification is None or self._status != 0

    async def answer(self, status: int = 200, reason: str = "") -> None:
        """Answer the notification; once answered, only a refusal after a 202 goes out.

        Args:
            status: 200 followed; 202 received, may still refuse; 409 refused; 500 failed.
            reason: For the other users, if a SyncError has to carry the refusal; no patient data.

        Raises:
            RefusedLocally: An update or a selection is refused; only 413 is allowed (D-17).

        Spec: 2.5; ACK-01 … ACK-04, SYNC-11.
        """
        event = self.notification
        if event is None:
            return
        moves = event.kind not in {EventKind.UPDATE, EventKind.SELECT}
        if status >= 400 and status != 413 and not moves:
            raise RefusedLocally("updates and selections are not refused", rule="SYNC-11")
        before, self._status = self._status, self._status or status
        if before in {0, 202} and status != before:
            self._status = status
            await self._answer(event, status, reason, before == 202)


class Feed:
    """Frames and facts in, `Received` out; one owner, no lock: nothing here waits while it changes.

    Attributes:
        follower: The replica.
        read_wanted: Set while a GET of the current context may be due.
    """

    def __init__(
        self,
        topic: str,
        *,
        max_events: int,
        max_event_bytes: int,
        answer: Callable[[Notification, int, str, bool], Awaitable[None]],
    ) -> None:
        self.follower = Follower(topic)
        self.read_wanted = asyncio.Event()
        self._answer = answer
        self._max_events = max_events
        self._max_event_bytes = max_event_bytes
        self._waiting: deque[Received] = deque()
        self._unanswered: dict[int, Received] = {}
        self._seen: deque[str] = deque(maxlen=_REMEMBERED_IDS)
        self._pulse = asyncio.Event()

    # In

    def frame(self, frame: bytes | str) -> Message | TooLarge | None:
        """Take a frame in, unless it is an open or update over the limit (CONT-19)."""
        size = len(frame) if isinstance(frame, bytes) else len(frame.encode())
        if size > self._max_event_bytes:
            message = read_frame(frame)
            if isinstance(message, Notification) and message.kind in _LIMITED:
                self._put(self.follower.pass_over(message))
                self._seen.append(message.id)
                self.pulse()
                return TooLarge(message.id)
        message, changes = self.follower.receive(frame)
        if isinstance(message, Notification):
            self._put(changes, message)
            self._seen.append(message.id)
        else:
            self._put(changes)
        return message

    def connected(self) -> None:
        """A socket was opened."""
        self._put(self.follower.connected())

    def lost(self, detail: str) -> None:
        """The socket is gone, or the hub cannot be reached."""
        self._put(self.follower.lost(detail))

    def ended(self, detail: str) -> None:
        """The subscription is over."""
        self._put(self.follower.ended(detail))

    def answered(self, event: Notification, status: int) -> None:
        """An answer went out."""
        self._put(self.follower.answered(event.id, event.event_name, status))

    def caught_up(self) -> None:
        """What was refused is followed now."""
        self._put(self.follower.caught_up())

    def read(self, answer: CurrentContext | None, ticket: Ticket) -> None:
        """Take the answer to a GET in."""
        self._put(self.follower.take_read(answer, ticket))

    def joined_without_read(self) -> None:
        """The hub offers no GET."""
        self._put(self.follower.joined_without_read())

    def fetched(self, anchor: str, key: str, resource: dict[str, object] | None) -> None:
        """Take a resource in that was only referred to."""
        self._put(self.follower.fetched(anchor, key, resource))

    # Out

    def next(self) -> Received | None:
        """Return what happened next, None if nothing waits."""
        return self._waiting.popleft() if self._waiting else None

    @property
    def has_waiting(self) -> bool:
        """Whether something waits for the application."""
        return bool(self._waiting)

    def overdue(self, before: float) -> list[Received]:
        """Return the notifications that arrived before this time and are not answered yet."""
        self._unanswered = {key: it for key, it in self._unanswered.items() if not it.is_answered}
        return [it for it in self._unanswered.values() if it.arrived_at <= before]

    async def until(self, condition: Callable[[], bool], timeout_seconds: float | None) -> bool:
        """Wait until the condition holds; return whether it does."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not condition():
                    await self._pulse.wait()
        except TimeoutError:
            return condition()
        return True

    def has_seen(self, event_id: str) -> bool:
        """Whether the event was among the last that arrived."""
        return event_id in self._seen

    def pulse(self) -> None:
        """Let everybody who waits look again."""
        self._pulse.set()
        self._pulse = asyncio.Event()

    def _put(self, changes: tuple[Change, ...], notification: Notification | None = None) -> None:
        if changes or notification is not None:
            if len(self._waiting) >= self._max_events:
                self._waiting.clear()
                changes = (FellBehind(),)
            now = asyncio.get_running_loop().time()
            received = Received(changes, notification, self._answer, now)
            self._waiting.append(received)
            if notification is not None:
                self._unanswered[id(received)] = received
        if self.follower.needs_read:
            self.read_wanted.set()
        else:
            self.read_wanted.clear()
        self.pulse()
