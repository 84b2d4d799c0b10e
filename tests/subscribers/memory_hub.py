"""The hub's core and followers joined in memory: real rules, real frames, no socket, no clock."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from builders import NOON, TOPIC, new_session
from fhircast_hub.protocol.channel import Channel, ChannelRules
from fhircast_hub.protocol.judging import decide
from fhircast_hub.protocol.messages import (
    encode_notification,
    parse_response,
)
from fhircast_hub.protocol.session import Decision, Rules
from fhircast_hub.protocol.subscription import Subscription
from fhircast_hub.protocol.syncerror import make_sync_error
from fhircast_hub.protocol.views import encode_current_context, replay
from fhircast_subscribers.follower import Follower
from fhircast_subscribers.settings import IRA_EVENTS
from fhircast_subscribers.wire import Notification, read_current_context, write_answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_hub.protocol.events import EventName
    from fhircast_hub.protocol.messages import EventNotification
    from fhircast_subscribers.changes import Change

EVENTS = {name.lower(): name for name in (*IRA_EVENTS, "Home-open", "Patient-open")}


class Joined:
    """A follower on a channel of the memory hub; its frames arrive when the test says so."""

    def __init__(self, hub: MemoryHub, follower: Follower, name: str) -> None:
        self.hub = hub
        self.follower = follower
        self.changes: list[Change] = []
        self.frames: list[bytes] = []
        record = Subscription(TOPIC, name, EVENTS, 7200, name, "", NOON)
        self.channel = Channel(record, ChannelRules(grace_seconds=5))
        self.connect()

    def connect(self) -> None:
        """Connect, or come back; the hub replays where it has to. Nothing is read yet."""
        hub = self.hub
        self.frames = list(self.channel.connected(0).frames)
        if self.channel.needs_replay:
            opens = [(it.id, it.name, encode_notification(it)) for it in hub.replayed()]
            self.frames += self.channel.replay(opens, hub.session.revision, 0).frames
        self.changes += self.follower.connected()

    def lose(self) -> None:
        """The network breaks; what was on the way is gone."""
        self.frames = []
        self.channel.closed(1006, 0)
        self.changes += self.follower.lost()

    def receive(self, *, status: int = 200) -> None:
        """Read everything that arrived, and answer it."""
        frames, self.frames = self.frames, []
        for frame in frames:
            message, changes = self.follower.receive(frame)
            self.changes += changes
            if isinstance(message, Notification):
                self.answer(message.id, message.event_name, status)

    def answer(self, event_id: str, event_name: str, status: int) -> None:
        self.changes += self.follower.answered(event_id, event_name, status)
        response = parse_response(write_answer(event_id, status))
        assert response is not None
        for failure in self.channel.responded(response).failures:
            self.hub.publish(
                make_sync_error(TOPIC, failure, id=f"se-{event_id}", event_id="", now=NOON)
            )

    def read(self) -> None:
        """GET the current context as it is now."""
        ticket = self.follower.begin_read()
        answer = encode_current_context(self.hub.session, lambda _name: True)
        self.changes += self.follower.take_read(read_current_context(answer), ticket)

    def settle(self) -> None:
        """Read frames and, as long as the follower wants it, the context."""
        self.receive()
        for _ in range(3):
            if self.follower.needs_read:
                self.read()


class MemoryHub:
    """The core of the hub around one session."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.session = new_session()
        self.joined: list[Joined] = []
        self._versions = count(1)

    def join(self, name: str = "viewer") -> Joined:
        joined = Joined(self, Follower(TOPIC), name)
        self.joined.append(joined)
        return joined

    def publish(self, request: EventNotification) -> Decision:
        """Decide and broadcast; raises what the core raises."""
        decision = decide(
            self.session,
            request,
            version_id=f"v{next(self._versions)}",
            now=NOON,
            rules=self.rules,
        )
        self.session = decision.session
        if decision.broadcast is not None:
            self._broadcast(decision.broadcast)
        return decision

    def version(self, anchor: str) -> str:
        return self.session.contexts[anchor].version_id

    def replayed(self) -> Iterable[EventNotification]:
        def is_subscribed(name: EventName) -> bool:
            return name.key in EVENTS

        return replay(self.session, is_subscribed)

    def _broadcast(self, event: EventNotification) -> None:
        frame = encode_notification(event)
        revision = self.session.revision
        for one in self.joined:
            if one.channel.spelling_of(event.name) and one.channel.notify(
                event.id, event.name, frame, revision=revision, now=0
            ):
                one.frames.append(frame)
