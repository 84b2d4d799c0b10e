"""What was let pass (dialects, faults of profiles), told in the log without filling it."""

from __future__ import annotations

import logging

from fhircast_hub.observability.logs import topic_label

logger = logging.getLogger(__name__)

_SHOWN = 8
"""Faults of one event that the log names; a large event must not fill it."""

_AGAIN_SECONDS = 60.0
"""An application that does a thing with every event is told of once in this time."""

_MAX_REMEMBERED = 10_000


class Remarks:
    """Tells what was let pass, the same of one topic at most once a minute."""

    def __init__(self) -> None:
        self._told_at: dict[tuple[str, tuple[str, ...]], float] = {}

    def tell(self, topic: str, remarks: tuple[str, ...], now: float) -> None:
        """Log remarks about an event in one line.

        Args:
            topic: Of the event.
            remarks: In the hub's own words (D-31, D-49).
            now: Monotonic seconds.
        """
        if not remarks:
            return
        about = (topic, remarks)
        told_at = self._told_at.get(about)
        if told_at is not None and now - told_at < _AGAIN_SECONDS:
            return
        self._told_at.pop(about, None)
        self._told_at[about] = now
        while len(self._told_at) > _MAX_REMEMBERED:
            del self._told_at[next(iter(self._told_at))]
        more = len(remarks) - _SHOWN
        rest = f"; and {more} more" if more > 0 else ""
        shown = "; ".join(remarks[:_SHOWN])
        logger.info("let pass: topic %s, %s%s", topic_label(topic), shown, rest)
