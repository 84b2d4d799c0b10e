"""How often one caller may do a thing: a count per caller, bounded in memory."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_WINDOW_SECONDS = 60.0
_MAX_CALLERS = 10_000
"""Callers counted at a time; beyond it the one that came longest ago is forgotten."""


class RateLimit:
    """Attempts per caller, refilled evenly over a minute.

    A caller starts with a minute's worth: a whole site behind one address may come back at once.
    With 0 per minute everything is allowed.
    """

    def __init__(self, per_minute: int) -> None:
        self._full = float(per_minute)
        self._left: dict[str, tuple[float, float]] = {}

    def wait_seconds(self, caller: str, now: float) -> float:
        """Count an attempt and return 0, or how long to wait if it is beyond the limit.

        Args:
            caller: Who attempts: the key of a peer, or the holder of a token.
            now: Monotonic seconds.
        """
        if not self._full:
            return 0.0
        wait = self.peek(caller, now)
        left, _ = self._left.get(caller, (self._full, now))
        if not wait:
            self._count(caller, left - 1, now)
        return wait

    def peek(self, caller: str, now: float) -> float:
        """Return how long to wait for the next attempt, 0 for not at all; count none."""
        if not self._full or caller not in self._left:
            return 0.0
        left, counted_at = self._left[caller]
        left = min(self._full, left + (now - counted_at) * self._full / _WINDOW_SECONDS)
        self._count(caller, left, now)
        return 0.0 if left >= 1 else (1 - left) * _WINDOW_SECONDS / self._full

    def _count(self, caller: str, left: float, now: float) -> None:
        # Put back at the end: the first of the dict is the one that came longest ago.
        self._left.pop(caller, None)
        self._left[caller] = (left, now)
        if len(self._left) > _MAX_CALLERS:
            del self._left[next(iter(self._left))]


@lru_cache(4096)
def peer_key(address: str) -> str:
    """Return what stands for a peer in a count: its address, of IPv6 the network.

    One machine has 2**64 addresses of IPv6 to come from, and each would have a count of its own.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))
