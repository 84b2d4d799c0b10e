"""Sessions in the memory of one process: the default, with nothing to install.

No method awaits between reading and writing, so every one of them is atomic on the event loop. What
was committed lives as long as the process.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from fhircast_hub.backends.base import (
    BackendLimits,
    Envelope,
    Listener,
    SubscriptionEnded,
    SubscriptionReplaced,
    published,
)
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.errors import LimitReached, Unavailable
from fhircast_hub.protocol.session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from fhircast_hub.protocol.session import Decision
    from fhircast_hub.protocol.subscription import Subscription


@dataclass(slots=True)
class _Topic:
    session: Session
    idle_since: datetime
    holder: str
    subscriptions: dict[str, Subscription] = field(default_factory=dict)


class MemoryBackend:
    """One process's sessions and subscriptions; see `Backend` for the contract."""

    is_immediate = True
    is_shared = False
    is_available = True

    def __init__(self, limits: BackendLimits) -> None:
        self._limits = limits
        self._topics: dict[str, _Topic] = {}
        self._topic_of: dict[str, str] = {}
        self._held_topics: Counter[str] = Counter()
        self._held_subscriptions: Counter[str] = Counter()
        self._listener: Listener | None = None

    async def run(self) -> None:
        """See `Backend.run`: there is nothing to do."""

    async def make_topic(
        self, topic: str, version_id: str, *, now: datetime, holder: str = ""
    ) -> Session:
        """See `Backend.make_topic`."""
        known = self._topics.get(topic)
        if known is None:
            if len(self._topics) >= self._limits.max_topics:
                raise LimitReached(
                    "hub.topic: the hub holds as many topics as it may",
                    rule="D-40, FHIRCAST_MAX_TOPICS",
                )
            self._require_room_for_topic(holder)
            known = self._topics[topic] = _Topic(Session(topic, version_id), now, holder)
            self._held_topics[holder] += 1
        return known.session

    async def load(self, topic: str, *, is_newest: bool = True) -> Session | None:
        """See `Backend.load`."""
        known = self._topics.get(topic)
        return known.session if known else None

    async def commit(self, topic: str, revision: int, decision: Decision) -> bool:
        """See `Backend.commit`."""
        known = self._topics.get(topic)
        if known is None or known.session.revision != revision or decision.broadcast is None:
            return False
        after = decision.session
        known.session = after
        self._publish(published(topic, decision))
        return True

    def listen(self, listener: Listener) -> None:
        """See `Backend.listen`."""
        self._listener = listener

    async def follow(self, topic: str) -> None:
        """See `Backend.follow`: every topic is followed."""

    async def add(self, subscription: Subscription) -> None:
        """See `Backend.add`."""
        known = self._topics.get(subscription.topic)
        if known is None:
            raise Unavailable("hub.topic: the session has just expired", rule="D-40")
        if len(known.subscriptions) >= self._limits.max_subscribers_per_topic:
            raise LimitReached(
                "hub.topic: the session has as many subscribers as it may",
                rule="2.4, FHIRCAST_MAX_SUBSCRIBERS_PER_TOPIC",
            )
        self._require_room_for_subscription(subscription.subject)
        known.subscriptions[subscription.endpoint_id] = subscription
        self._topic_of[subscription.endpoint_id] = subscription.topic
        self._held_subscriptions[subscription.subject] += 1

    async def replace(
        self,
        subscription: Subscription,
        *,
        announce: bool = True,
        known: Subscription | None = None,
    ) -> bool:
        """See `Backend.replace`."""
        old = await self.find(subscription.endpoint_id)
        if old is None or known not in (None, old):
            return False
        self._topics[old.topic].subscriptions[old.endpoint_id] = subscription
        if announce:
            newly = frozenset(subscription.events) - frozenset(old.events)
            self._publish(SubscriptionReplaced(subscription, newly))
        return True

    async def find(self, endpoint_id: str) -> Subscription | None:
        """See `Backend.find`."""
        topic = self._topic_of.get(endpoint_id)
        return self._topics[topic].subscriptions[endpoint_id] if topic is not None else None

    async def of_topic(self, topic: str) -> tuple[Subscription, ...]:
        """See `Backend.of_topic`."""
        known = self._topics.get(topic)
        return tuple(known.subscriptions.values()) if known else ()

    async def end(
        self, endpoint_id: str, reason: CloseReason, *, known: Subscription | None = None
    ) -> bool:
        """See `Backend.end`."""
        topic = self._topic_of.get(endpoint_id)
        if topic is None:
            return False
        if known not in (None, self._topics[topic].subscriptions[endpoint_id]):
            return False
        self._forget(self._topics[topic], endpoint_id)
        self._publish(SubscriptionEnded(topic, endpoint_id, reason))
        return True

    async def expire(self, now: datetime) -> list[Subscription]:
        """See `Backend.expire`: whoever was connected is held by this process, as long as it is."""
        idle = timedelta(seconds=self._limits.topic_idle_seconds)
        for topic, known in list(self._topics.items()):
            for endpoint_id, subscription in list(known.subscriptions.items()):
                if subscription.expires_at <= now:
                    self._forget(known, endpoint_id)
                    # Its channel goes by another clock: where the wall clock was set, it still
                    # stands, and would pass over all that the topic's next session says.
                    self._publish(SubscriptionEnded(topic, endpoint_id, CloseReason.LEASE_ENDED))
            if known.subscriptions:
                known.idle_since = now
            elif known.idle_since + idle <= now:
                del self._topics[topic]
                _count_down(self._held_topics, known.holder)
        return []

    async def close(self) -> None:
        """See `Backend.close`."""
        self._listener = None

    def _require_room_for_topic(self, holder: str) -> None:
        most = self._limits.max_topics_per_holder
        if most and holder and self._held_topics[holder] >= most:
            raise LimitReached(
                "hub.topic: this token's holder has made as many topics as it may",
                rule="FHIRCAST_MAX_TOPICS_PER_TOKEN",
            )
        self._require_room_for_subscription(holder)

    def _require_room_for_subscription(self, holder: str) -> None:
        most = self._limits.max_subscriptions_per_holder
        if most and holder and self._held_subscriptions[holder] >= most:
            raise LimitReached(
                "hub.topic: this token's holder has as many subscriptions as it may",
                rule="FHIRCAST_MAX_SUBSCRIPTIONS_PER_TOKEN",
            )

    def _forget(self, known: _Topic, endpoint_id: str) -> None:
        del self._topic_of[endpoint_id]
        _count_down(self._held_subscriptions, known.subscriptions.pop(endpoint_id).subject)

    def _publish(self, envelope: Envelope) -> None:
        if self._listener is not None:
            self._listener.take(envelope)


def _count_down(counts: Counter[str], holder: str) -> None:
    counts[holder] -= 1
    if not counts[holder]:
        del counts[holder]
