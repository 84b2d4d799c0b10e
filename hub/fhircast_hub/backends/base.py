"""The contract of a backend: what the hub may trust, and what every implementation guarantees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from fhircast_hub.protocol.channel_state import CloseReason
    from fhircast_hub.protocol.messages import EventNotification
    from fhircast_hub.protocol.session import Decision, Session
    from fhircast_hub.protocol.subscription import Subscription


class Published(msgspec.Struct, frozen=True):
    """A committed event.

    Attributes:
        topic: The session's topic.
        revision: Of the session that the event made; grows by one with every event of a topic.
        notification: What the topic's subscribers get.
        sets_context: Whether it is the topic's latest open, from which others may be derived.
        is_resend: Whether it was published before (D-28).
        only_for: Subject whose subscriptions alone get it, "" for all (EVT-06).
    """

    topic: str
    revision: int
    notification: EventNotification
    sets_context: bool = False
    is_resend: bool = False
    only_for: str = ""


def published(topic: str, decision: Decision) -> Published:
    """Return the envelope of a decision that has a broadcast."""
    if decision.broadcast is None:
        raise ValueError("a decision without a broadcast is nothing to publish")
    return Published(
        topic=topic,
        revision=decision.session.revision,
        notification=decision.broadcast,
        sets_context=decision.sets_context,
        is_resend=decision.is_resend,
        only_for=decision.only_for,
    )


class SubscriptionReplaced(msgspec.Struct, frozen=True):
    """A re-subscribe replaced the record of a subscription.

    Attributes:
        subscription: The new record.
        newly_granted: Comparison keys of events that the old record did not grant.
    """

    subscription: Subscription
    newly_granted: frozenset[str]


class SubscriptionEnded(msgspec.Struct, frozen=True):
    """A subscription is over; whoever holds its socket closes it."""

    topic: str
    endpoint_id: str
    reason: CloseReason


class SubscriptionMoved(msgspec.Struct, frozen=True):
    """A subscription was joined at another process; a channel that is still here is nobody's."""

    topic: str
    endpoint_id: str


class SyncLost(msgspec.Struct, frozen=True):
    """Envelopes of a topic may be missing at this process.

    Attributes:
        topic: The session's topic.
        is_gone: Its session and its subscriptions are no more; else they stand, and whoever
            connects again is brought up to date.
    """

    topic: str
    is_gone: bool = False


Envelope = Published | SubscriptionReplaced | SubscriptionEnded | SubscriptionMoved | SyncLost


def topic_of(envelope: Envelope) -> str:
    """Return the topic that an envelope belongs to."""
    if isinstance(envelope, SubscriptionReplaced):
        return envelope.subscription.topic
    return envelope.topic


@dataclass(frozen=True, slots=True)
class BackendLimits:
    """Bounds that a backend keeps.

    Attributes:
        max_topics: Sessions at a time.
        max_subscribers_per_topic: Subscriptions of one session.
        max_subscriptions_per_holder: Subscriptions of one subject, 0 for any number.
        max_topics_per_holder: Sessions made by one subject, 0 for any number.
        topic_idle_seconds: Life of a session after its last subscription (D-40).
        hold_seconds: How long a subscription that was connected may be without a process that holds
            its connection, where several share sessions.
    """

    max_topics: int = 10_000
    max_subscribers_per_topic: int = 200
    max_subscriptions_per_holder: int = 0
    max_topics_per_holder: int = 0
    topic_idle_seconds: float = 600
    hold_seconds: float = 60


class Listener(Protocol):
    """Who hears what is committed."""

    def take(self, envelope: Envelope) -> None:
        """Take one envelope; it must neither fail nor wait."""
        ...

    def has_channels(self, topic: str) -> bool:
        """Tell whether this process has channels of a topic."""
        ...

    def joined(self) -> Iterator[Subscription]:
        """Return the subscriptions whose channels are at this process."""
        ...


class Backend(Protocol):
    """Sessions and subscriptions of all topics.

    Every implementation guarantees:

    1. `commit` keeps the new session and publishes the broadcast in one atomic step, or does
       neither. What returned True survives whatever the implementation says it survives.
    2. The listener takes the envelopes of a topic that its process follows in commit order, at
       every process alike. Where one is missing it takes a `SyncLost` instead.
    3. A record or session that was not renewed until its time disappears by itself, and no session
       does while anybody has a channel to it: the end of a record is announced as by `end`.

    Every method that waits may raise `Unavailable`, within a bounded time. After one that changes
    something it is then not known whether it did: a change with the same event id is recognised.

    Attributes:
        is_immediate: No method ever waits for anything, and what is committed was taken by the
            listener before the commit returns.
        is_shared: Sessions outlive this process, and others serve them.
    """

    is_immediate: bool
    is_shared: bool

    @property
    def is_available(self) -> bool:
        """Whether sessions can be reached, and what is committed is heard."""
        ...

    async def run(self) -> None:
        """Do what is to be done in the background, until `close`."""
        ...

    async def make_topic(
        self, topic: str, version_id: str, *, now: datetime, holder: str = ""
    ) -> Session:
        """Return the topic's session, making an empty one with this version if there is none.

        Args:
            topic: The session's topic.
            version_id: First version of a session that is made.
            now: Aware UTC.
            holder: Subject of the token for which it is made, "" for none.

        Raises:
            LimitReached: There are as many topics as allowed, in all or made by this holder; or the
                holder has no room for a subscription, and so no use for a new topic.
        """
        ...

    async def load(self, topic: str, *, is_newest: bool = True) -> Session | None:
        """Return the newest session of a topic, None if nobody made it or it expired.

        Args:
            topic: The session's topic.
            is_newest: False if one that was the newest a moment ago will do, because a commit tells
                whether it still is. A refusal needs the newest.
        """
        ...

    async def commit(self, topic: str, revision: int, decision: Decision) -> bool:
        """Keep and publish a decision if the session still has this revision; tell whether it had.

        Args:
            topic: The session's topic.
            revision: Of the session on which the decision was made.
            decision: With a broadcast; a decision without one is nothing to commit.

        Raises:
            Unavailable: Nothing was kept, or it is not known whether it was.
        """
        ...

    def listen(self, listener: Listener) -> None:
        """Hand what is committed from now on to the one listener of this process, until `close`."""
        ...

    async def follow(self, topic: str) -> None:
        """Hand on what is committed to a topic, from now on and while there are channels of it.

        Called before a channel is made, and before anything is read with which it begins.
        """
        ...

    async def add(self, subscription: Subscription) -> None:
        """Keep a new subscription: count and keep in one atomic step.

        Raises:
            LimitReached: The topic, or the subscription's subject, has as many as allowed.
        """
        ...

    async def replace(
        self,
        subscription: Subscription,
        *,
        announce: bool = True,
        known: Subscription | None = None,
    ) -> bool:
        """Replace a subscription's record; tell whether it was still there.

        Args:
            subscription: The new record.
            announce: Whether whoever holds the socket is told (a re-subscribe), or not: then it was
                joined here, and who held a socket before is told that it moved.
            known: The record that is replaced; any if None.
        """
        ...

    async def find(self, endpoint_id: str) -> Subscription | None:
        """Return a subscription that has not ended or expired."""
        ...

    async def of_topic(self, topic: str) -> tuple[Subscription, ...]:
        """Return the subscriptions of a topic."""
        ...

    async def end(
        self, endpoint_id: str, reason: CloseReason, *, known: Subscription | None = None
    ) -> bool:
        """Forget a subscription and announce its end; tell whether it was there.

        Args:
            endpoint_id: Of the subscription.
            reason: With which its socket is closed, wherever it is.
            known: The record that is to end; any if None.
        """
        ...

    async def expire(self, now: datetime) -> list[Subscription]:
        """Forget records and sessions whose time is over; announce the ends of records.

        That also ends subscriptions that were connected and whose process is no more, or let them
        go, if they do not come back in time.

        Args:
            now: Aware UTC; the time of this process. One that shares its sessions may have a
                clock that differs from the others': it tells how long, not when.

        Returns:
            The subscriptions that were lost with their process: nobody else tells of them.
        """
        ...

    async def close(self) -> None:
        """Hand on nothing more and let go of everything."""
        ...
