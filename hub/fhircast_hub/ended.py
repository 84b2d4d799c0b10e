"""What was last known of endpoints, so that a denial can say what has ended (D-43)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_hub.protocol.subscription import Subscription


class LastKnown:
    """Topic and events of the endpoints that this process has handed out or served.

    Args:
        max_endpoints: Endpoints remembered; beyond it the oldest is forgotten.
        keep_seconds: How long after the end of its lease one is remembered.
    """

    def __init__(self, *, max_endpoints: int, keep_seconds: float) -> None:
        self._max_endpoints = max_endpoints
        self._keep_seconds = keep_seconds
        self._known: dict[str, tuple[float, str, tuple[str, ...]]] = {}

    def note(self, subscription: Subscription, now: float) -> None:
        """Remember a subscription in place of what was known of its endpoint.

        Args:
            subscription: As it is from now on.
            now: Monotonic seconds.
        """
        it = subscription
        self._known.pop(it.endpoint_id, None)
        until = now + it.lease_seconds + self._keep_seconds
        self._known[it.endpoint_id] = (until, it.topic, tuple(it.events.values()))
        while len(self._known) > self._max_endpoints:
            del self._known[next(iter(self._known))]

    def of(self, endpoint_id: str, now: float) -> tuple[str, Iterable[str]]:
        """Return topic and events of an endpoint, empty ones if nothing is known (any more)."""
        until, topic, events = self._known.get(endpoint_id, (now, "", ()))
        if until <= now:
            self._known.pop(endpoint_id, None)
            return "", ()
        return topic, events
