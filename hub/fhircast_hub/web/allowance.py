"""How many frames a subscriber may send."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_BURST_SECONDS = 10
"""Frames of this many seconds may come at once."""

_MAX_EARNED = 100_000


class FrameAllowance:
    """Frames that a peer may send: some per second, and one for each frame it was sent.

    So the rate of acknowledgements is bounded by that of the events, and not by a figure.

    Args:
        per_second: Beyond what was earned; 0 for any number.
        now: Time of the event loop.

    Attributes:
        earned: Frames that it was sent and did not answer yet; the sender counts them up.
    """

    __slots__ = ("_counted_at", "_left", "_per_second", "earned")

    def __init__(self, per_second: int, now: float) -> None:
        self._per_second = per_second
        self._left = float(per_second * _BURST_SECONDS)
        self.earned = 0
        self._counted_at = now

    def takes(self, clock: Callable[[], float]) -> bool:
        """Count a frame of the peer; tell whether it is within the limit.

        Args:
            clock: Returns the time of the event loop; asked only if nothing is left of what the
                peer has earned.
        """
        if self.earned:
            self.earned = min(self.earned, _MAX_EARNED) - 1
            return True
        if not self._per_second:
            return True
        now = clock()
        regained = (now - self._counted_at) * self._per_second
        self._left = min(float(self._per_second * _BURST_SECONDS), self._left + regained) - 1
        self._counted_at = now
        return self._left >= 0
