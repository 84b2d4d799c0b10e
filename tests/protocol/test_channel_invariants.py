"""What holds for every channel, whatever the socket, the subscriber and the clock do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import NOON, TOPIC, value
from fhircast_hub.protocol.channel import NOTHING, Channel, ChannelRules, Outcome
from fhircast_hub.protocol.channel_state import CloseReason, State
from fhircast_hub.protocol.events import parse_event_name
from fhircast_hub.protocol.messages import NotificationResponse
from fhircast_hub.protocol.subscription import Subscription
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_hub.protocol.events import EventName

UPDATE = parse_event_name("DiagnosticReport-update")
SYNC_ERROR = parse_event_name("SyncError")
OPEN = parse_event_name("DiagnosticReport-open")
SUBSCRIPTION = Subscription(
    topic=TOPIC,
    endpoint_id="Zk3v9QeT0aB7mXr2LwYc5g",
    events={it.key: it.spelling for it in (OPEN, UPDATE, SYNC_ERROR)},
    lease_seconds=600,
    subscriber_name="Acme Viewer",
    subject="viewer",
    expires_at=NOON,
)
MAX_FRAMES, MAX_BYTES = 4, 40
IS_ENDED = precondition(lambda self: self.channel.state is State.ENDED)
IS_GOING_ON = precondition(lambda self: self.channel.state is not State.ENDED)


def frame_of(revision: int) -> bytes:
    return f"<{revision}>".encode().ljust(4 + revision % 9, b" ")


class ChannelMachine(RuleBasedStateMachine):
    """A wrapper that keeps its promises, and a subscriber that does what it likes.

    Attributes:
        revision: Of the topic; each event adds one, and its id is its revision.
        covered: Revision up to which the subscriber was told everything on its socket.
        settled: Events that need not come again: answered, or reported as failed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rules_ = ChannelRules(
            strict_acks=True, max_held_frames=MAX_FRAMES, max_held_bytes=MAX_BYTES
        )
        self.channel = Channel(SUBSCRIPTION, self.rules_)
        self.now = 0.0
        self.revision = self.revision_at_connect = self.revision_at_drop = self.covered = 0
        self.sent: list[int] = []
        self.settled: set[int] = set()
        self.failed: list[str] = []

    def told(self, frames: Iterable[bytes]) -> None:
        """Frames of events came: a new one is the next, an old one was never answered."""
        for frame in frames:
            revision = int(frame.strip(b" <>"))
            if revision > self.covered:
                assert revision == self.covered + 1, "an event was lost"
                self.covered = revision
            else:
                assert revision not in self.settled, "an answered event came again"
            self.sent.append(revision)

    def check(self, outcome: Outcome) -> None:
        for failure in outcome.failures:
            if failure.event_id:
                self.settled.add(int(failure.event_id))
                assert failure.event_id not in self.failed, "one failure for each event (D-20)"
                assert failure.event_name != "SyncError", "no SyncError about a SyncError (SYNC-14)"
                self.failed.append(failure.event_id)
        if outcome.close is not None:
            assert self.channel.state is State.ENDED
            assert value(outcome.frames[-1])["hub.mode"] == "denied"

    @IS_GOING_ON
    @rule()
    def connect(self) -> None:
        confirmation, *frames = self.channel.connected(self.now).frames
        assert value(confirmation)["hub.mode"] == "subscribe"
        self.revision_at_connect = self.revision
        if not self.channel.needs_replay:
            self.told(frames)
            assert self.covered == self.revision, "what was held is complete"
            self.sent = sorted({int(frame.strip(b" <>")) for frame in frames})
        else:
            assert frames == []
            self.sent = []

    @precondition(lambda self: self.channel.needs_replay)
    @rule(lag=st.integers(0, 2), count=st.integers(0, 2))
    def replay(self, lag: int, count: int) -> None:
        """The session loaded is at least as new as the connection; frames held are few enough."""
        loaded = max(self.revision_at_connect, self.revision - lag)
        shown = list(range(max(1, loaded - count + 1), loaded + 1))
        if self.channel._resumable:
            self.resume(shown, loaded)
            return
        opens: list[tuple[str, EventName, bytes]] = [(str(it), OPEN, frame_of(it)) for it in shown]
        frames = self.channel.replay(opens, loaded, self.now).frames
        assert list(frames[: len(opens)]) == [frame for _, _, frame in opens]
        assert not self.channel.needs_replay
        self.covered = loaded
        self.settled -= set(shown)
        self.failed = [it for it in self.failed if int(it) not in shown]
        self.sent = shown
        self.told(frames[len(opens) :])
        assert self.covered == self.revision

    def resume(self, shown: list[int], loaded: int) -> None:
        """A subscriber that never answered is back: open contexts, then all since the break."""
        since = list(range(self.revision_at_drop + 1, self.revision + 1))
        opens = [(str(it), OPEN, frame_of(it)) for it in shown]
        frames = self.channel.replay(opens, loaded, self.now).frames
        self.sent = [int(frame.strip(b" <>")) for frame in frames]
        assert self.sent == [it for it in shown if it not in since] + since
        self.settled -= set(self.sent)
        self.failed = [it for it in self.failed if int(it) not in self.sent]
        self.covered = self.revision

    @rule(name=st.sampled_from([UPDATE, OPEN, SYNC_ERROR]))
    def happen(self, name: EventName) -> None:
        self.revision += 1
        frame, was_live = frame_of(self.revision), self.channel.state is State.LIVE
        event_id = str(self.revision)
        goes_out = self.channel.notify(event_id, name, frame, revision=self.revision, now=self.now)
        assert goes_out is was_live
        if goes_out:
            self.told([frame])
        again = self.channel.notify(event_id, name, frame, revision=self.revision, now=self.now)
        assert not again, "an envelope that comes twice goes out once"

    @precondition(lambda self: self.channel.is_connected and self.sent)
    @rule(place=st.integers(0, 9), status=st.sampled_from([200, 202, 409, 500, None]))
    def respond(self, place: int, status: int | None) -> None:
        revision = self.sent[place % len(self.sent)]
        was_settled = revision in self.settled
        outcome = self.channel.responded(NotificationResponse(str(revision), status))
        assert not (was_settled and outcome.failures)
        assert len(outcome.failures) <= (status is not None and status >= 400)
        self.settled.add(revision)
        self.check(outcome)

    @rule(seconds=st.sampled_from([0.5, 3, 6, 11, 50]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        before = self.channel.state
        outcome = self.channel.tick(self.now)
        self.check(outcome)
        if before is State.ENDED:
            assert outcome == NOTHING

    @precondition(lambda self: self.channel.is_connected)
    @rule(code=st.sampled_from([1000, 1001, 1005, 1006, 1011, 4000]))
    def drop(self, code: int) -> None:
        if self.channel.state is State.LIVE:
            self.revision_at_drop = self.revision
        outcome = self.channel.closed(code, self.now)
        assert outcome == NOTHING
        assert self.channel.state is State.HELD

    @IS_GOING_ON
    @rule()
    def resubscribe(self) -> None:
        was_connected = self.channel.is_connected
        outcome = self.channel.resubscribed(SUBSCRIPTION, self.now)
        assert len(outcome.frames) == was_connected

    @precondition(lambda self: self.now > 100)
    @rule(reason=st.sampled_from(list(CloseReason)))
    def finish(self, reason: CloseReason) -> None:
        was_connected = self.channel.is_connected
        outcome = self.channel.finish(reason)
        assert (outcome.close is reason) is was_connected
        assert self.channel.state is State.ENDED

    @IS_ENDED
    @rule()
    def nothing_comes_after_the_end(self) -> None:
        assert self.channel.overflowed() == NOTHING
        assert self.channel.closed(1006, self.now) == NOTHING
        assert self.channel.responded(NotificationResponse(str(self.revision), 500)) == NOTHING
        assert self.channel.granted_opens([("x", OPEN, b"x")], self.now) == NOTHING

    @invariant()
    def memory_is_bounded(self) -> None:
        kept = self.channel.unanswered
        assert len(kept) <= MAX_FRAMES
        assert kept.size == sum(len(it.delivery.frame) for it in kept) <= MAX_BYTES
        if self.channel.state is State.ENDED:
            assert len(kept) == 0


TestChannel = ChannelMachine.TestCase
TestChannel.settings = settings(max_examples=5 * settings().max_examples, stateful_step_count=40)
