"""How often one address may try what it should know: a count per peer, bounded in memory."""

from __future__ import annotations

_WINDOW_SECONDS = 60.0
_MAX_PEERS = 10_000
"""Addresses counted at a time; beyond it the one that tried longest ago is forgotten."""


class AttemptLimit:
    """Attempts per peer, refilled evenly over a minute.

    A peer starts with a minute's worth: a whole site behind one address may come back at once.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._left: dict[str, tuple[float, float]] = {}

    def allows(self, peer: str, now: float) -> bool:
        """Count an attempt; tell whether it is within the limit.

        Args:
            peer: Address of the peer.
            now: Monotonic seconds.
        """
        full = float(self._per_minute)
        left, counted_at = self._left.pop(peer, (full, now))
        left = min(full, left + (now - counted_at) * full / _WINDOW_SECONDS)
        is_allowed = left >= 1
        # Put back at the end: the first of the dict is the one that tried longest ago.
        self._left[peer] = (left - 1 if is_allowed else left, now)
        if len(self._left) > _MAX_PEERS:
            del self._left[next(iter(self._left))]
        return is_allowed
