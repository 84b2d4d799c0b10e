"""One subscription's WebSocket as a state machine: confirm, replay, live, held, ended.

The channel decides what goes to the socket and what it means when nothing comes back; it never
waits and touches no socket. It outlives a connection: within the grace after a lost one, the
subscriber comes back to the same channel and gets what it did not acknowledge (D-45).

Times are seconds of a monotonic clock, as `float`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from fhircast_hub.protocol.channel_state import CloseReason, State, Step, next_state
from fhircast_hub.protocol.delivery import NOTHING_SHOWN, Delivery, news
from fhircast_hub.protocol.events import SYNC_ERROR, EventKind, EventName
from fhircast_hub.protocol.messages import encode_confirmation, encode_denial
from fhircast_hub.protocol.syncerror import Failure, FailureKind, kind_of_status
from fhircast_hub.protocol.unanswered import Kept, Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

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


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What the wrapper has to do after a step.

    Attributes:
        frames: Frames for the socket, in order.
        close: Close the socket with this reason, after the frames.
        failures: Tell the others by a SyncError each.
    """

    frames: tuple[bytes, ...] = ()
    close: CloseReason | None = None
    failures: tuple[Failure, ...] = ()

    def __repr__(self) -> str:
        return f"<Outcome {len(self.frames)} frames, {self.close}, {self.failures}>"


NOTHING = Outcome()

_WAITING, _LIVE, _HELD, _ENDED = State.WAITING, State.LIVE, State.HELD, State.ENDED
"""Bound here because an enumeration is slow to look into, and these are asked for at each event."""

_NOTHING_COVERED: Mapping[str, int] = {}


class Channel:
    """The state machine of one subscription.

    Attributes:
        subscription: The record; replaced by a re-subscribe.
        state: Where the channel stands.
        acknowledges: Whether the subscriber ever answered with a status (D-41).
        ended_for: Why it ended, None while it goes on.
        shown: What the subscriber was last told to show (DER-02).
        unanswered: What it has not answered yet.
    """

    __slots__ = (
        "_ack_seconds",
        "_covered",
        "_grace_ends",
        "_lease_ends",
        "_missing_in_a_row",
        "_owes_opens",
        "_responds",
        "_resumable",
        "_revision",
        "_rules",
        "_shown_at",
        "acknowledges",
        "ended_for",
        "shown",
        "state",
        "subscription",
        "unanswered",
    )

    def __init__(self, subscription: Subscription, rules: ChannelRules) -> None:
        self.subscription = subscription
        self._ack_seconds = _ack_seconds(subscription, rules)
        self.state = State.WAITING
        self.acknowledges = False
        self.ended_for: CloseReason | None = None
        self.shown: Mapping[str, str] = NOTHING_SHOWN
        self._rules = rules
        self._shown_at: datetime | None = None
        self._grace_ends = inf
        self._lease_ends = inf
        self.unanswered = Unanswered(
            max_frames=rules.max_held_frames, max_bytes=rules.max_held_bytes
        )
        self._covered = _NOTHING_COVERED
        self._missing_in_a_row = 0
        self._responds = False
        self._resumable = False
        self._owes_opens = False
        self._revision = -1

    @property
    def is_connected(self) -> bool:
        """Whether a socket is open."""
        return self.state is State.LIVE or self.state is State.REPLAYING

    @property
    def due(self) -> float:
        """When `tick` may have something to do, if nothing happens before; inf for never."""
        due = self.unanswered.quiet_until
        if self._lease_ends < due:
            due = self._lease_ends
        return self._grace_ends if self._grace_ends < due else due

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
        REPLACED and feeds nothing of it any more (D-44). If the time is over already, a denial
        comes instead of the confirmation.

        Spec: 2.4; CONF-01, CONF-06, D-23, D-44, D-45.
        """
        was_live = self.state is State.LIVE
        if self.state is State.WAITING:
            self._lease_ends = now + self.subscription.lease_seconds
        self._step(Step.CONNECTED)
        self._grace_ends = inf
        if now >= self._lease_ends:
            return self.finish(CloseReason.LEASE_ENDED)
        frames = [self._confirmation(now)]
        if not self._resumable or (was_live and not self._responds):
            # Not to be resumed either if this socket too goes before the open contexts are sent.
            self._resumable, self._owes_opens = False, True
            self._forget()
        elif not self._owes_opens:
            for it in self.unanswered.take_all():
                frames.append(it.delivery.frame)
                self._keep(it.delivery, it.revision, self._ack_deadline(now))
            self._step(Step.REPLAYED)
        return Outcome(tuple(frames))

    def replay(
        self,
        opens: Iterable[tuple[str, EventName, bytes]],
        revision: int,
        now: float,
        *,
        shows: Mapping[str, str] = NOTHING_SHOWN,
    ) -> Outcome:
        """Send the open contexts, then the events that came meanwhile and are newer than those.

        If more came than could be kept, and the opens are too old to cover it, nothing is sent and
        `needs_replay` stays: the wrapper loads the session anew.

        A subscriber that never answers, back within the grace, gets all that was kept since its
        connection broke, and before it the open contexts that this does not open anyway: what was
        written to the broken socket may have been lost, and nobody can know (D-41, D-45).

        Args:
            opens: Id, name and frame of each open, in the order of REP-05.
            revision: Of the session that the opens come from: events up to it are covered by them.
            now: Monotonic seconds.
            shows: What a subscriber shows that followed the opens.
        """
        if self.unanswered.lost_revision > revision:
            return NOTHING
        held = self.unanswered.take_all()
        if not self._resumable:
            held = [it for it in held if it.revision > revision]
            self._revision = max(self._revision, revision)
        # Else nothing is covered, though the session may hold what is still on its way here: what
        # was kept is older than that, and whatever came first, the last frame must be the newest.
        held_ids = {it.delivery.id for it in held}
        opens = list(opens)
        ends_with_opens = not opens or opens[-1][0] not in held_ids
        self._step(Step.REPLAYED)
        self._resumable = True
        self._owes_opens = False
        frames = self._deliver_opens([it for it in opens if it[0] not in held_ids], now)
        self.shown = shows if ends_with_opens else NOTHING_SHOWN
        for it in held:
            if it.delivery.is_news(self.shown):
                self._send(it.delivery, it.revision, self._ack_deadline(now))
                frames.append(it.delivery.frame)
        return Outcome(tuple(frames))

    def notify(
        self, event_id: str, name: EventName, frame: bytes, *, revision: int, now: float
    ) -> bool:
        """Take note of one event that says nothing new about what is shown; see `deliver`."""
        return bool(self.deliver([Delivery(event_id, name, frame)], revision=revision, now=now))

    def deliver(self, group: Sequence[Delivery], *, revision: int, now: float) -> tuple[bytes, ...]:
        """Take note of an event; return the frames that go to the socket now.

        Args:
            group: The event, or what is derived from it for this subscriber, in its spelling;
                derived opens that tell it nothing new are left out.
            revision: Of the session that the event made.
            now: Monotonic seconds.

        Spec: 2.5; EVT-01, DER-01, DER-02.
        """
        state = self.state
        if revision <= self._revision or state is _WAITING or state is _ENDED:
            return ()
        self._revision = revision
        if self._covered:
            group = [it for it in group if revision > self._covered.get(it.name.key, -1)]
        if not group or (state is _HELD and not self._resumable):
            return ()
        if group[0].is_implied and not self._owes_opens:
            # What is owed the open contexts first is judged after them, in `replay`.
            group = news(group, self.shown)
        deadline = self._ack_deadline(now) if state is _LIVE else inf
        for it in group:
            self._send(it, revision, deadline)
        if state is not _LIVE:
            return ()
        return (group[0].frame,) if len(group) == 1 else tuple([it.frame for it in group])

    def responded(self, response: NotificationResponse) -> Outcome:
        """A notification response came: a status of 400 and more is a failure.

        Spec: 2.5; ACK-03, ACK-05, SYNC-14, D-04, D-41.
        """
        status = response.status
        self._missing_in_a_row = 0
        self._responds = True
        if status is not None:
            self.acknowledges = True
        answered = self.unanswered.answered(response.id)
        if answered is None or status is None or status < 400:
            return NOTHING
        name = answered.delivery.name
        if name == SYNC_ERROR:
            return NOTHING
        return self._failed(kind_of_status(status), f"status {status}", response.id, name)

    def tick(self, now: float) -> Outcome:
        """Let time pass: lease, grace, missing responses.

        Spec: CONF-03, SYNC-08, SYNC-09, D-18, D-45.
        """
        if now >= self._lease_ends:
            return self.finish(CloseReason.LEASE_ENDED)
        if now >= self._grace_ends and self.state is State.HELD:
            self.finish(CloseReason.NOT_KNOWN)
            return self._failed(FailureKind.CONNECTION_LOST)
        if self.state is not _LIVE or now < self.unanswered.quiet_until:
            return NOTHING
        return self._missing_responses(now)

    def closed(self, code: int, now: float) -> Outcome:
        """The subscriber's socket is gone.

        1000 and 1001 are a leave without a SyncError; the endpoint may be joined again until the
        lease ends. Anything else is a lost connection, forgiven within the grace.

        Spec: 2.5; SYNC-06, SYNC-07, D-23, D-45, D-51.
        """
        if not self.is_connected:
            return NOTHING
        was_live = self.state is State.LIVE
        self._step(Step.DROPPED)
        if code in {1000, 1001}:
            self._resumable = False
            self._forget()
            return NOTHING
        if self._rules.grace_seconds <= 0:
            self.finish(CloseReason.NOT_KNOWN)
            return self._failed(FailureKind.CONNECTION_LOST, f"close code {code}")
        self._grace_ends = now + self._rules.grace_seconds
        if was_live and not self._responds:
            # No answer would ever tell which of these came: only what follows is kept.
            self._forget()
            self._resumable = self._owes_opens = True
        return NOTHING

    def resubscribed(self, subscription: Subscription, now: float) -> Outcome:
        """A re-subscribe replaced the record: confirm at once if connected; the lease starts anew.

        Spec: 2.4; SUB-11, SUB-12, D-12.
        """
        self.subscription = subscription
        self._ack_seconds = _ack_seconds(subscription, self._rules)
        if self.state in {State.WAITING, State.ENDED}:
            return NOTHING
        for it in self.unanswered:
            if not self.spelling_of(it.delivery.name):
                self.unanswered.drop(it.delivery.id)  # REP-02: kept under rights that are gone
                if self.state is State.HELD and it.delivery.name.kind is EventKind.OPEN:
                    self._resumable = False  # it may never have come; the replay tells what is open
        self._lease_ends = now + subscription.lease_seconds
        return Outcome((self._confirmation(now),)) if self.is_connected else NOTHING

    def granted_opens(
        self,
        opens: Iterable[tuple[str, EventName, bytes]],
        now: float,
        *,
        granted: Iterable[str] = (),
        revision: int = -1,
        shows: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Send open contexts that a re-subscribe newly granted (D-12); only while live.

        Args:
            opens: Id, name and frame of each open, in the order of REP-05.
            now: Monotonic seconds.
            granted: Comparison keys of the newly granted events.
            revision: Of the session that the opens come from: newly granted opens up to it are
                covered by these; events granted before are not.
            shows: What a subscriber shows that followed the opens, None if there are none.
        """
        if self.state is State.HELD:
            self._resumable = False  # the opens come with the replay at the re-join
        if self.state is State.REPLAYING:
            self.unanswered.missed(revision)  # passed by under the former rights
        if self.state is not State.LIVE:
            return NOTHING
        still = {key: it for key, it in self._covered.items() if it > self._revision}
        opened = (key for key in granted if key.endswith("-open"))
        self._covered = still | dict.fromkeys(opened, revision)
        frames = self._deliver_opens(opens, now)
        self.shown = self.shown if shows is None else shows
        return Outcome(tuple(frames))

    def overflowed(self) -> Outcome:
        """The subscriber does not read: end it and tell the others, never drop in silence."""
        return self._expel(CloseReason.TOO_SLOW, FailureKind.TOO_SLOW)

    def flooded(self) -> Outcome:
        """The subscriber sends frames that nothing asks for, without end: end it likewise."""
        return self._expel(CloseReason.FLOODING, FailureKind.FLOODING)

    def finish(self, reason: CloseReason) -> Outcome:
        """End the subscription: a denial where the reason wants one, then the close.

        Spec: CONF-05, UNS-03, D-22, D-24.
        """
        if self.state is State.ENDED:
            return NOTHING
        was_connected = self.is_connected
        self._step(Step.FINISHED)
        self._lease_ends = self._grace_ends = inf
        self.ended_for = reason
        self._forget()
        if not was_connected:
            return NOTHING
        events = self.subscription.events.values()
        denial = encode_denial(self.subscription.topic, events, reason.text)
        return Outcome((denial,) if reason.is_denial else (), close=reason)

    def _expel(self, reason: CloseReason, kind: FailureKind) -> Outcome:
        if self.state is State.ENDED:
            return NOTHING
        return replace(self.finish(reason), failures=self._failed(kind).failures)

    def _step(self, step: Step) -> None:
        self.state = next_state(self.state, step)

    def _confirmation(self, now: float) -> bytes:
        """Confirm with the time that is left: after a re-join, less than was granted."""
        it = self.subscription
        left_seconds = max(1, round(self._lease_ends - now))
        return encode_confirmation(it.topic, it.events.values(), left_seconds)

    def _ack_deadline(self, now: float) -> float:
        return now + self._ack_seconds if self.acknowledges or self._rules.strict_acks else inf

    def _deliver_opens(
        self, opens: Iterable[tuple[str, EventName, bytes]], now: float
    ) -> list[bytes]:
        frames = []
        for event_id, name, frame in opens:
            frames.append(frame)
            self._keep(Delivery(event_id, name, frame), self._revision, self._ack_deadline(now))
        return frames

    def _send(self, delivery: Delivery, revision: int, deadline: float) -> None:
        """Take note of what goes out, now or, while there is no live socket, later.

        If not all that is kept until it is answered has room, resuming is over.
        """
        if not self.unanswered.keep(Kept(delivery, revision, deadline)):
            self._resumable = False
        shows, at = delivery.shows, delivery.opened_at
        if shows is None:
            if delivery.closes:
                self.shown = delivery.shown_after(self.shown)
        elif at is None or self._shown_at is None or at >= self._shown_at:
            self.shown, self._shown_at = shows, at or self._shown_at
        else:
            self.shown = NOTHING_SHOWN  # older than what it shows: it may pass it over (EVT-10)

    def doubt(self) -> None:
        """An event told that somebody may not show what it was told to; who, it does not say."""
        self.shown = NOTHING_SHOWN

    def _forget(self) -> None:
        """Forget what was sent and kept: nobody knows any more what the subscriber has of it."""
        self.unanswered.take_all()
        self.shown = NOTHING_SHOWN

    def _keep(self, delivery: Delivery, revision: int, deadline: float) -> None:
        if not self.unanswered.keep(Kept(delivery, revision, deadline)):
            self._resumable = False

    def _missing_responses(self, now: float) -> Outcome:
        failures: list[Failure] = []
        for it in self.unanswered.take_overdue(now):
            if it.name != SYNC_ERROR:
                failed = self._failed(FailureKind.UNANSWERED, "no response", it.id, it.name)
                failures += failed.failures
        self._missing_in_a_row += len(failures)
        ended = NOTHING
        if self._missing_in_a_row >= self._rules.unresponsive_after:
            ended = self.finish(CloseReason.UNRESPONSIVE)
        return replace(ended, failures=tuple(failures))

    def _failed(
        self, kind: FailureKind, detail: str = "", event_id: str = "", name: EventName | None = None
    ) -> Outcome:
        if name is not None and name.kind is EventKind.OPEN:
            self.shown = NOTHING_SHOWN  # whatever it shows, it does not follow
        failure = Failure(
            kind=kind,
            subscriber_name=self.subscription.subscriber_name,
            detail=detail,
            event_id=event_id,
            event_name=name.spelling if name else "",
        )
        return Outcome(failures=(failure,))


def _ack_seconds(subscription: Subscription, rules: ChannelRules) -> float:
    """Return how long a response may take (D-19)."""
    return min(subscription.lease_seconds / 10, rules.ack_timeout_seconds)
