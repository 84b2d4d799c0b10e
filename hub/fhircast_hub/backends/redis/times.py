"""How long something is kept, as the store counts it.

Processes have clocks of their own, which may differ by minutes. A moment of one of them means
nothing to the others, so the store is told how long from now; what is over goes by its own clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_SLACK = timedelta(seconds=60)
"""For which a key outlives its time: whoever sweeps shall find it, and announce its end."""

LONGEST = timedelta(days=2)
"""For which a key is kept if no better is known."""

_MILLISECOND = timedelta(milliseconds=1)


class Times:
    """Turns moments of the hub's clock into milliseconds from now, by the last time that it told.

    Args:
        idle_seconds: Life of a session after its last subscription.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle = timedelta(seconds=idle_seconds)
        self._idle_life = (self._idle + _SLACK) // _MILLISECOND
        self._now: datetime | None = None

    def told(self, now: datetime) -> None:
        """The hub told the time."""
        self._now = now

    @property
    def idle(self) -> int:
        """For how many milliseconds a session is kept after its last subscription."""
        return self._idle // _MILLISECOND

    def until(self, moment: datetime) -> int:
        """Return in how many milliseconds a moment is, rounded up; 0 if it is over."""
        left = moment - (self._now or datetime.now(UTC))
        return max(0, -(-left // _MILLISECOND))

    def record_life(self, expires_at: datetime) -> int:
        """Return for how many milliseconds the record of a subscription is kept."""
        if self._now is None:
            return LONGEST // _MILLISECOND
        left = max(expires_at - self._now, timedelta(0))
        return (left + _SLACK) // _MILLISECOND

    def session_life(self, expires_at: datetime | None = None) -> int:
        """Return for how many milliseconds a session is kept: the idle time from now, or longer.

        Args:
            expires_at: When a subscription of it expires.
        """
        if expires_at is None:
            return self._idle_life
        return self.record_life(expires_at) + self._idle // _MILLISECOND
