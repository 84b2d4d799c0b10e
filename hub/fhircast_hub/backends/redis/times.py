"""Moments as the store counts them, and how long a key is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_SLACK = timedelta(seconds=60)
"""For which a key outlives its time: whoever sweeps shall find it, and announce its end."""

LONGEST = timedelta(days=2)
"""For which a key is kept if no better is known."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    """Return an aware time as milliseconds since 1970, rounded up."""
    return -((_EPOCH - moment) // timedelta(milliseconds=1))


class Times:
    """Turns moments into lives of keys, by the last time that the hub told.

    Args:
        idle_seconds: Life of a session after its last subscription.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle = timedelta(seconds=idle_seconds)
        self._idle_life = (self._idle + _SLACK) // timedelta(milliseconds=1)
        self._now: datetime | None = None

    def told(self, now: datetime) -> None:
        """The hub told the time."""
        self._now = now if self._now is None else max(now, self._now)

    @property
    def now(self) -> int:
        """The last time told, in milliseconds; of the machine, if none was."""
        return milliseconds(self._now or datetime.now(UTC))

    @property
    def idle_since(self) -> int:
        """Sessions without subscriptions since then are over, in milliseconds."""
        return milliseconds((self._now or datetime.now(UTC)) - self._idle)

    def record_life(self, expires_at: datetime) -> int:
        """Return for how many milliseconds the record of a subscription is kept."""
        if self._now is None:
            return LONGEST // timedelta(milliseconds=1)
        left = max(expires_at - self._now, timedelta(0))
        return (left + _SLACK) // timedelta(milliseconds=1)

    def session_life(self, expires_at: datetime | None = None) -> int:
        """Return for how many milliseconds a session is kept: the idle time from now, or longer.

        Args:
            expires_at: When a subscription of it expires.
        """
        if expires_at is None:
            return self._idle_life
        return self.record_life(expires_at) + self._idle // timedelta(milliseconds=1)
