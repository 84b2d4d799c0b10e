"""From committed envelopes to the sockets of this process: encode once, hand to each channel.

Nothing here waits. A frame goes to a sink that takes it or says that it is full; a full sink ends
that one subscriber and nobody else notices.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Protocol, assert_never

from msgspec.structs import replace

from fhircast_hub.agenda import Agenda
from fhircast_hub.backends.base import (
    Envelope,
    Published,
    SubscriptionEnded,
    SubscriptionMoved,
    SubscriptionReplaced,
    SyncLost,
)
from fhircast_hub.protocol.channel import NOTHING, Channel, ChannelRules, Outcome
from fhircast_hub.protocol.channel_state import CloseReason, State
from fhircast_hub.protocol.delivery import Deliveries
from fhircast_hub.protocol.derive import Derive
from fhircast_hub.protocol.messages import encode_notification
from fhircast_hub.protocol.views import replay, shown_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fhircast_hub.protocol.events import EventName
    from fhircast_hub.protocol.messages import EventNotification, NotificationResponse
    from fhircast_hub.protocol.session import Session
    from fhircast_hub.protocol.subscription import Subscription
    from fhircast_hub.protocol.syncerror import Failure

logger = logging.getLogger(__name__)

PART = 64
"""Sockets that are written before anybody else has a turn: some hundreds of microseconds."""


class FrameSink(Protocol):
    """Where a channel's frames go: the outbox of a socket."""

    def put(self, frame: bytes) -> bool:
        """Take a frame; False if there is no room, and then the frame is not taken."""
        ...

    def close(self, reason: CloseReason, last: Iterable[bytes] = ()) -> None:
        """Close the socket after what was put and these last frames."""
        ...


@dataclass(frozen=True, slots=True)
class Consequence:
    """What the hub has to do after a channel moved.

    Attributes:
        topic: Of the subscription.
        failures: To tell the others by a SyncError each.
        ended: The record of a subscription that ended here, None if it goes on.
        reason: Why it ended.
    """

    topic: str
    failures: tuple[Failure, ...] = ()
    ended: Subscription | None = None
    reason: CloseReason | None = None


class Link:
    """A channel and the sink of the socket that is open at the moment, if one is.

    Attributes:
        record: The record under which the channel is here.
        due_at: Its place on the agenda.
        first: The confirmation, while it waits for the replay.
    """

    __slots__ = ("_is_over", "channel", "due_at", "first", "record", "sink")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.record = channel.subscription
        self.sink: FrameSink | None = None
        self.due_at = inf
        self.first: tuple[bytes, ...] = ()
        self._is_over = False

    def carry_out(self, outcome: Outcome) -> Consequence:
        """Write what the channel decided; a sink without room ends the channel."""
        failures = outcome.failures
        sink = self.sink
        if sink is not None:
            if outcome.close is None and not all(map(sink.put, outcome.frames)):
                outcome = self.channel.overflowed()
                failures += outcome.failures
            if outcome.close is not None:
                sink.close(outcome.close, outcome.frames)
        it = self.channel.subscription
        if self.channel.state is not State.ENDED or self._is_over:
            return Consequence(it.topic, failures)
        self._is_over = True  # an end is told once, whatever still comes from the subscriber
        self.sink = None
        reason = self.channel.ended_for
        return Consequence(it.topic, failures, self.record, reason)


class Fanout:
    """The channels of this process, by topic."""

    def __init__(self, rules: ChannelRules, derive: Derive = Derive.MISSING) -> None:
        self._rules = rules
        self._derive = derive
        self._topics: dict[str, dict[str, Link]] = {}
        self._agenda: Agenda[Link] = Agenda()

    def __iter__(self) -> Iterator[Link]:
        for links in list(self._topics.values()):
            yield from list(links.values())

    def attach(
        self, subscription: Subscription, sink: FrameSink, now: float
    ) -> tuple[Link, Consequence]:
        """A socket was opened: confirm to it; an older socket of the endpoint is closed (D-44).

        A confirmation with a replay behind it goes out with the replay: the replay covers what came
        before it, and a subscriber that is confirmed may expect all that comes from then on.

        Returns:
            The link, and what is to be done; the caller replays if `link.channel.needs_replay`.
        """
        links = self._topics.setdefault(subscription.topic, {})
        link = links.get(subscription.endpoint_id)
        if link is None:
            link = links[subscription.endpoint_id] = Link(Channel(subscription, self._rules))
        if link.sink is not None:
            link.sink.close(CloseReason.REPLACED)
        link.sink, link.first, link.record = sink, (), subscription
        outcome = link.channel.connected(now)
        if link.channel.needs_replay:
            link.first, outcome = outcome.frames, NOTHING
        return link, self._settle(link, outcome, now)

    def replay(self, link: Link, session: Session, now: float) -> Consequence:
        """Send the open contexts to a channel that waits for them (REP-01 … REP-05).

        If events came that neither the channel could keep nor this session covers, it still waits:
        the caller loads a newer session.
        """
        channel = link.channel
        if not channel.needs_replay:
            return self._settle(link, NOTHING)
        events = self._replay(channel, session)
        outcome = channel.replay(
            _opens(channel, events), session.revision, now, shows=shown_after(session, events)
        )
        if not channel.needs_replay:
            outcome = _behind_first(link, outcome)
        return self._settle(link, outcome, now)

    def give_up(self, link: Link) -> Consequence:
        """End a channel that cannot be brought up to date, and tell the others."""
        return self._settle(link, _behind_first(link, link.channel.overflowed()))

    def responded(self, link: Link, response: NotificationResponse) -> Consequence | None:
        """A subscriber answered a notification; None if nothing follows from that."""
        outcome = link.channel.responded(response)
        return None if outcome is NOTHING else self._settle(link, outcome)

    def flooded(self, link: Link) -> Consequence:
        """A subscriber sends frames without end: end its channel, and tell the others."""
        return self._settle(link, link.channel.flooded())

    def detach(self, link: Link, sink: FrameSink, code: int, now: float) -> Consequence:
        """A socket is gone; of interest only if it is still the one of its channel."""
        if link.sink is not sink:
            return Consequence(link.channel.subscription.topic)
        link.sink = None
        return self._settle(link, link.channel.closed(code, now), now)

    def is_wide(self, topic: str) -> bool:
        """Tell whether an event goes out to the topic in more than one part."""
        return len(self._topics.get(topic, ())) > PART

    def has_channels(self, topic: str) -> bool:
        """Tell whether there are channels of a topic."""
        return topic in self._topics

    def deliver(
        self, envelope: Envelope, session: Session | None, now: float
    ) -> Iterator[list[Consequence]]:
        """Hand one committed envelope to the channels that it concerns, part by part.

        Args:
            envelope: What was committed.
            session: Newest state of the topic; used where a re-subscribe was granted more opens.
            now: Monotonic seconds.

        Returns:
            What is to be done after each part; others may have their turn before the next.
        """
        match envelope:
            case Published():
                return self._notify(envelope, now)
            case SubscriptionReplaced():
                return iter([self._replaced(envelope, session, now)])
            case SubscriptionEnded():
                return iter([self.end(envelope.topic, envelope.endpoint_id, envelope.reason)])
            case SubscriptionMoved():
                self.let_go(envelope.topic, CloseReason.REPLACED, envelope.endpoint_id)
                return iter(())
            case SyncLost(is_gone=True):
                return iter([self.end_topic(envelope.topic, CloseReason.NOT_KNOWN)])
            case SyncLost():
                self.let_go(envelope.topic, CloseReason.RECONNECT)
                return iter(())
            case _:
                assert_never(envelope)

    def hand_to(
        self, subscription: Subscription, published: Published, now: float
    ) -> list[Consequence]:
        """Hand an event to one channel before its turn; it passes over what it had already."""
        link = self._topics.get(subscription.topic, {}).get(subscription.endpoint_id)
        if link is None or link not in self._links(published):
            return []
        full = self._hand_over([link], self._deliveries(published), published.revision, now)
        return [self._settle(link, link.channel.overflowed()) for link in full]

    def end(self, topic: str, endpoint_id: str, reason: CloseReason) -> list[Consequence]:
        """End one channel with this reason."""
        link = self._topics.get(topic, {}).get(endpoint_id)
        return [self._finish(link, reason)] if link else []

    def end_topic(self, topic: str, reason: CloseReason) -> list[Consequence]:
        """End every channel of a topic with this reason."""
        links = list(self._topics.get(topic, {}).values())
        return [self._finish(link, reason) for link in links]

    def let_go(self, topic: str, reason: CloseReason, endpoint_id: str = "") -> None:
        """Close the sockets of a topic, or of one endpoint of it, and forget their channels.

        The subscriptions go on: nothing follows for anybody else, and who connects again begins
        anew, at this process or another.
        """
        for link in list(self._topics.get(topic, {}).values()):
            if endpoint_id in ("", link.channel.subscription.endpoint_id):
                self._finish(link, reason)

    def tick(self, now: float) -> list[Consequence]:
        """Let time pass for every channel for which it means something."""
        return [self._tick(link, now) for link in self._agenda.take(now)]

    def _tick(self, link: Link, now: float) -> Consequence:
        try:
            return self._settle(link, link.channel.tick(now), now)
        except Exception as error:  # a bug of ours with one must not take the others' time away
            logger.error("a look at a channel failed: %s", type(error).__name__)
            return self._finish(link, CloseReason.INTERNAL)

    def _finish(self, link: Link, reason: CloseReason) -> Consequence:
        """End a channel in any case; one whose socket cannot even be closed is let go."""
        try:
            return self._settle(link, link.channel.finish(reason))
        except Exception as error:
            logger.error("the end of a channel was not told: %s", type(error).__name__)
            link.sink = None
            return self._settle(link, link.channel.finish(reason))

    def _notify(self, published: Published, now: float) -> Iterator[list[Consequence]]:
        deliveries = self._deliveries(published)
        # Who joins between two parts is brought up to date by the replay, beyond this revision.
        links = self._links(published)
        for start in range(0, len(links), PART):
            part = links[start : start + PART]
            full = self._hand_over(part, deliveries, published.revision, now)
            yield [self._settle(link, link.channel.overflowed()) for link in full]

    def _deliveries(self, published: Published) -> Deliveries:
        return Deliveries(
            published.notification,
            sets_context=published.sets_context,
            is_resend=published.is_resend,
            derive=self._derive,
        )

    def _links(self, published: Published) -> list[Link]:
        """Return the channels that an event is for."""
        links = self._topics.get(published.topic, {}).values()
        if not published.only_for:
            return list(links)
        return [it for it in links if it.channel.subscription.subject == published.only_for]

    def _hand_over(
        self, links: list[Link], deliveries: Deliveries, revision: int, now: float
    ) -> list[Link]:
        """Put an event into channels and on their sockets; return those that had no room for it."""
        full = []
        raises_doubt = deliveries.raises_doubt
        for link in links:
            channel = link.channel
            if raises_doubt:
                channel.doubt()
            frames = channel.deliver(
                deliveries.to(channel.subscription), revision=revision, now=now
            )
            due = channel.unanswered.quiet_until  # nothing else of its time has changed
            if due < link.due_at:
                self._agenda.put(link, due, now)
            if link.sink is not None and not all(map(link.sink.put, frames)):
                full.append(link)
        return full

    def _replaced(
        self, envelope: SubscriptionReplaced, session: Session | None, now: float
    ) -> list[Consequence]:
        new = envelope.subscription
        link = self._topics.get(new.topic, {}).get(new.endpoint_id)
        if link is None:
            return []
        outcome, link.record = link.channel.resubscribed(new, now), new
        if link.first:
            link.first, outcome = outcome.frames, NOTHING
        consequences = [self._settle(link, outcome, now)]
        if session is not None and envelope.newly_granted:
            outcome = self._grant(link.channel, session, envelope.newly_granted, now)
            consequences.append(self._settle(link, outcome, now))
        return consequences

    def _grant(
        self, channel: Channel, session: Session, granted: frozenset[str], now: float
    ) -> Outcome:
        """Send the open contexts of events that a re-subscribe granted (D-12)."""
        newly = [it for it in self._replay(channel, session) if it.name.key in granted]
        return channel.granted_opens(
            _opens(channel, newly),
            now,
            granted=granted,
            revision=session.revision,
            shows=shown_after(session, newly) if newly else None,
        )

    def _replay(self, channel: Channel, session: Session) -> list[EventNotification]:
        return replay(session, lambda name: bool(channel.spelling_of(name)), self._derive)

    def _settle(self, link: Link, outcome: Outcome, now: float | None = None) -> Consequence:
        """Carry out what a channel decided.

        Args:
            link: The channel.
            outcome: What it decided.
            now: Monotonic seconds of a step after which time may mean something earlier.
        """
        consequence = link.carry_out(outcome)
        if consequence.ended is not None:
            self._agenda.drop(link)
            links = self._topics.get(consequence.topic, {})
            links.pop(consequence.ended.endpoint_id, None)
            if not links:
                self._topics.pop(consequence.topic, None)
        elif now is not None and link.channel.due < link.due_at:
            self._agenda.put(link, link.channel.due, now)
        return consequence


def _behind_first(link: Link, outcome: Outcome) -> Outcome:
    """Return an outcome with the confirmation that waited for it."""
    first, link.first = link.first, ()
    return replace(outcome, frames=first + outcome.frames)


def _opens(
    channel: Channel, notifications: Iterable[EventNotification]
) -> list[tuple[str, EventName, bytes]]:
    return [
        (it.id, it.name, encode_notification(it, channel.spelling_of(it.name)))
        for it in notifications
    ]
