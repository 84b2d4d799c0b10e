"""One subscription's WebSocket as a state machine: confirm, replay, live, held, ended.

The channel decides what goes to the socket and what it means when nothing comes back; it never
waits and touches no socket. It outlives a connection: within the grace after a lost one, the
subscriber comes back to the same channel and gets what it did not acknowledge (D-45).

Times are seconds of a monotonic clock, as `float`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from fhircast_hub.protocol.channel_state import CloseReason, State, Step, next_state
from fhircast_hub.protocol.events import SYNC_ERROR, EventName
from fhircast_hub.protocol.messages import encode_confirmation, encode_denial
from fhircast_hub.protocol.syncerror import Failure, FailureKind, kind_of_status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_hub.protocol.messages import NotificationResponse
    from fhircast_hub.protocol.subscription import Subscription


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """What a site may decide about channels.

    Attributes:
        strict_acks: The acknowledgement rule binds from the start, not only from the first response
            with a status (D-41).
        ack_timeout_seconds: Time for a response, or a tenth of the lease if that is less (D-19).
        unresponsive_after: Missing responses in a row that end the subscription (D-18).
        grace_seconds: How long a lost connection may take to come back (D-45).
        max_held_frames: Frames kept for a subscriber that may come back.
        max_held_bytes: Their size.
    """

    strict_acks: bool = False
    ack_timeout_seconds: float = 10
    unresponsive_after: int = 3
    grace_seconds: float = 5
    max_held_frames: int = 256
    max_held_bytes: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the wrapper has to do after a step.

    Attributes:
        frames: Frames for the socket, in order.
        close: Close the socket with this reason, after the frames.
        failures: Tell the others by a SyncError each.
    """

    frames: tuple[bytes, ...] = ()
    close: CloseReason | None = None
    failures: tuple[Failure, ...] = ()


NOTHING = Outcome()


@dataclass(frozen=True, slots=True)
class _Unanswered:
    """A notification that was not answered yet: delivered, or kept for delivery."""

    name: EventName
    frame: bytes
    revision: int
    deadline: float = inf


class Channel:
    """The state machine of one subscription.

    Attributes:
        subscription: The record; replaced by a re-subscribe.
        state: Where the channel stands.
        acknowledges: Whether the subscriber ever answered with a status (D-41).
    """

    __slots__ = (
        "_grace_ends",
        "_held_bytes",
        "_lease_ends",
        "_missing_in_a_row",
        "_responds",
        "_resumable",
        "_revision",
        "_rules",
        "_unanswered",
        "acknowledges",
        "state",
        "subscription",
    )

    def __init__(self, subscription: Subscription, rules: ChannelRules) -> None:
        self.subscription = subscription
        self.state = State.WAITING
        self.acknowledges = False
        self._rules = rules
        self._grace_ends = inf
        self._lease_ends = inf
        self._unanswered: dict[str, _Unanswered] = {}
        self._held_bytes = 0
        self._missing_in_a_row = 0
        self._responds = False
        self._resumable = False
        self._revision = -1

    @property
    def is_connected(self) -> bool:
        """Whether a socket is open."""
        return self.state in {State.REPLAYING, State.LIVE}

    @property
    def needs_replay(self) -> bool:
        """Whether the wrapper owes the open contexts: it loads the session and calls `replay`."""
        return self.state is State.REPLAYING

    def spelling_of(self, name: EventName) -> str:
        """Return how the subscriber spells an event that it gets, "" if it does not get it."""
        return self.subscription.events.get(name.key, "")

    def connected(self, now: float) -> Outcome:
        """A socket was opened at the endpoint: confirm, then send what is held, if that is enough.

        Also the step for a second socket while one is open: the wrapper closes the older one as
        REPLACED and feeds nothing of it any more (D-44).

        Spec: 2.4; CONF-01, D-23, D-44, D-45.
        """
        if self.state is State.WAITING:
            self._lease_ends = now + self.subscription.lease_seconds
        self._step(Step.CONNECTED)
        self._grace_ends = inf
        frames = [self._confirmation(now)]
        if self._resumable and self._responds:
            frames += [it.frame for it in self._unanswered.values()]
            self._unanswered = {
                key: replace(it, deadline=self._ack_deadline(now))
                for key, it in self._unanswered.items()
            }
            self._step(Step.REPLAYED)
        else:
            # Not to be resumed either if this socket too goes before the open contexts are sent.
            self._resumable = False
            self._forget_unanswered()
        return Outcome(tuple(frames))

    def replay(
        self, opens: Iterable[tuple[str, EventName, bytes]], revision: int, now: float
    ) -> Outcome:
        """Send the open contexts, then the events that came meanwhile and are newer than those.

        Args:
            opens: Id, name and frame of each open, in the order of REP-05.
            revision: Of the session that the opens come from: events up to it are covered by them.
            now: Monotonic seconds.
        """
        newer = {key: it for key, it in self._unanswered.items() if it.revision > revision}
        self._forget_unanswered()
        self._step(Step.REPLAYED)
        self._resumable = True
        self._revision = max(self._revision, revision)
        frames = self._deliver_opens(opens, now)
        for event_id, it in newer.items():
            frames.append(it.frame)
            self._keep(event_id, replace(it, deadline=self._ack_deadline(now)))
        return Outcome(tuple(frames))

    def notify(
        self, event_id: str, name: EventName, frame: bytes, *, revision: int, now: float
    ) -> bool:
        """Take note of an event for this subscriber; tell whether its frame goes to the socket now.

        Args:
            event_id: Id of the event.
            name: The event; `spelling_of` it must not be "".
            frame: The frame in this subscriber's spelling.
            revision: Of the session that the event made.
            now: Monotonic seconds.
        """
        if revision <= self._revision or self.state in {State.WAITING, State.ENDED}:
            return False
        is_live = self.state is State.LIVE
        if is_live or self.state is State.REPLAYING or self._resumable:
            deadline = self._ack_deadline(now) if is_live else inf
            self._keep(event_id, _Unanswered(name, frame, revision, deadline))
        self._revision = revision
        return is_live

    def responded(self, response: NotificationResponse) -> Outcome:
        """A notification response came: a status of 400 and more is a failure.

        Spec: 2.5; ACK-03, ACK-05, SYNC-14, D-04, D-41.
        """
        self._missing_in_a_row = 0
        self._responds = True
        self.acknowledges |= response.status is not None
        answered = self._drop(response.id)
        if answered is None:
            return NOTHING
        if response.status is None or response.status < 400 or answered.name == SYNC_ERROR:
            return NOTHING
        return self._failed(
            kind_of_status(response.status), f"status {response.status}", response.id, answered.name
        )

    def tick(self, now: float) -> Outcome:
        """Let time pass: lease, grace, missing responses.

        Spec: CONF-03, SYNC-08, SYNC-09, D-18, D-45.
        """
        if now >= self._lease_ends:
            return self.finish(CloseReason.LEASE_ENDED)
        if now >= self._grace_ends and self.state is State.HELD:
            self.finish(CloseReason.NOT_KNOWN)
            return self._failed(FailureKind.CONNECTION_LOST)
        return self._missing_responses(now) if self.state is State.LIVE else NOTHING

    def closed(self, code: int, now: float) -> Outcome:
        """The subscriber's socket is gone.

        1000 and 1001 are a leave without a SyncError; the endpoint may be joined again until the
        lease ends. Anything else is a lost connection, forgiven within the grace.

        Spec: 2.5; SYNC-06, SYNC-07, D-23, D-45, D-51.
        """
        if not self.is_connected:
            return NOTHING
        self._step(Step.DROPPED)
        if code in {1000, 1001}:
            self._resumable = False
            self._forget_unanswered()
            return NOTHING
        if self._rules.grace_seconds <= 0:
            self.finish(CloseReason.NOT_KNOWN)
            return self._failed(FailureKind.CONNECTION_LOST, f"close code {code}")
        self._grace_ends = now + self._rules.grace_seconds
        return NOTHING

    def resubscribed(self, subscription: Subscription, now: float) -> Outcome:
        """A re-subscribe replaced the record: confirm at once if connected; the lease starts anew.

        Spec: 2.4; SUB-11, SUB-12, D-12.
        """
        self.subscription = subscription
        if self.state in {State.WAITING, State.ENDED}:
            return NOTHING
        for event_id, it in list(self._unanswered.items()):
            if not self.spelling_of(it.name):
                self._drop(event_id)  # REP-02: kept under rights that are gone
        self._lease_ends = now + subscription.lease_seconds
        return Outcome((self._confirmation(now),)) if self.is_connected else NOTHING

    def granted_opens(self, opens: Iterable[tuple[str, EventName, bytes]], now: float) -> Outcome:
        """Send open contexts that a re-subscribe newly granted (D-12); only while live."""
        if self.state is State.HELD:
            self._resumable = False  # the opens come with the replay at the re-join
        if self.state is not State.LIVE:
            return NOTHING
        return Outcome(tuple(self._deliver_opens(opens, now)))

    def overflowed(self) -> Outcome:
        """The subscriber does not read: end it and tell the others, never drop in silence."""
        if self.state is State.ENDED:
            return NOTHING
        ended = self.finish(CloseReason.TOO_SLOW)
        return replace(ended, failures=self._failed(FailureKind.TOO_SLOW).failures)

    def finish(self, reason: CloseReason) -> Outcome:
        """End the subscription: a denial where the reason wants one, then the close.

        Spec: CONF-05, UNS-03, D-22, D-24.
        """
        if self.state is State.ENDED:
            return NOTHING
        was_connected = self.is_connected
        self._step(Step.FINISHED)
        self._forget_unanswered()
        if not was_connected:
            return NOTHING
        events = self.subscription.events.values()
        denial = encode_denial(self.subscription.topic, events, reason.text)
        return Outcome((denial,) if reason.is_denial else (), close=reason)

    def _step(self, step: Step) -> None:
        self.state = next_state(self.state, step)

    def _confirmation(self, now: float) -> bytes:
        """Confirm with the time that is left: after a re-join, less than was granted."""
        it = self.subscription
        left_seconds = max(1, round(self._lease_ends - now))
        return encode_confirmation(it.topic, it.events.values(), left_seconds)

    def _ack_deadline(self, now: float) -> float:
        if not (self._rules.strict_acks or self.acknowledges):
            return inf
        return now + min(self._rules.ack_timeout_seconds, self.subscription.lease_seconds / 10)

    def _deliver_opens(
        self, opens: Iterable[tuple[str, EventName, bytes]], now: float
    ) -> list[bytes]:
        frames = []
        for event_id, name, frame in opens:
            frames.append(frame)
            deadline = self._ack_deadline(now)
            self._keep(event_id, _Unanswered(name, frame, self._revision, deadline))
        return frames

    def _keep(self, event_id: str, unanswered: _Unanswered) -> None:
        """Keep a frame until it is answered; beyond the bounds the oldest goes, and resuming."""
        self._drop(event_id)  # an id that goes out again (D-28) counts once
        self._unanswered[event_id] = unanswered
        self._held_bytes += len(unanswered.frame)
        while (
            len(self._unanswered) > self._rules.max_held_frames
            or self._held_bytes > self._rules.max_held_bytes
        ):
            self._drop(next(iter(self._unanswered)))
            self._resumable = False

    def _drop(self, event_id: str) -> _Unanswered | None:
        dropped = self._unanswered.pop(event_id, None)
        if dropped is not None:
            self._held_bytes -= len(dropped.frame)
        return dropped

    def _forget_unanswered(self) -> None:
        self._unanswered = {}
        self._held_bytes = 0

    def _missing_responses(self, now: float) -> Outcome:
        missing = [(key, it) for key, it in self._unanswered.items() if it.deadline <= now]
        failures: list[Failure] = []
        for event_id, it in missing:
            self._drop(event_id)
            if it.name != SYNC_ERROR:
                failed = self._failed(FailureKind.UNANSWERED, "no response", event_id, it.name)
                failures += failed.failures
        self._missing_in_a_row += len(failures)
        ended = NOTHING
        if self._missing_in_a_row >= self._rules.unresponsive_after:
            ended = self.finish(CloseReason.UNRESPONSIVE)
        return replace(ended, failures=tuple(failures))

    def _failed(
        self, kind: FailureKind, detail: str = "", event_id: str = "", name: EventName | None = None
    ) -> Outcome:
        failure = Failure(
            kind=kind,
            subscriber_name=self.subscription.subscriber_name,
            detail=detail,
            event_id=event_id,
            event_name=name.spelling if name else "",
        )
        return Outcome(failures=(failure,))
