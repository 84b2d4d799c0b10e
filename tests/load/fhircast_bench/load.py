"""What a run puts on a hub."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_EVENT_BYTES = 640
"""An event with its made-up patient needs about as much, whatever its topic."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a run puts on a hub.

    Attributes:
        topics: Sessions at a time.
        subscribers: Of each topic.
        in_flight: Requests at a time, at most one for each topic: so there is one right order.
        events: How many count; None if `seconds` ends the run.
        seconds: How long events that count are sent; None if `events` ends the run.
        event_bytes: Size of the body of a request.
        rate: Events per second, sent whether or not the hub keeps up; None sends the next one when
            everybody has the last one.
        acknowledges: Whether subscribers answer what they get.
        warm_up: Events before those that count; they too must arrive once and in order.
        patience_seconds: How long an answer, a delivery or a confirmation may take.
    """

    topics: int = 50
    subscribers: int = 4
    in_flight: int = 8
    events: int | None = 2000
    seconds: float | None = None
    event_bytes: int = 2048
    rate: float | None = None
    acknowledges: bool = True
    warm_up: int = 0
    patience_seconds: float = 10.0

    @property
    def lanes(self) -> int:
        """Connections that send events."""
        return min(self.in_flight, self.topics)

    @property
    def subscriptions(self) -> int:
        """Subscriptions of all topics."""
        return self.topics * self.subscribers
