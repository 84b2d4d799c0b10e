"""How often one caller may do a thing: a count per caller, bounded in memory."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_WINDOW_SECONDS = 60.0
_ROUNDING_SECONDS = 1e-6
_MAX_CALLERS = 10_000
"""Callers counted at a time; beyond it the one that came longest ago is forgotten."""


class RateLimit:
    """Attempts per caller, refilled evenly over a minute.

    A caller starts with a minute's worth: a whole site behind one address may come back at once.
    With 0 per minute everything is allowed.
    """

    def __init__(self, per_minute: int) -> None:
        self._step = _WINDOW_SECONDS / per_minute if per_minute else 0.0
        self._spent_until: dict[str, float] = {}
        """When a caller will have a minute's worth again, for those who have less."""

    def wait_seconds(self, caller: str, now: float) -> float:
        """Count an attempt and return 0, or how long to wait if it is beyond the limit.

        Args:
            caller: Who attempts: the key of a peer, or the holder of a token.
            now: Monotonic seconds.
        """
        if not self._step:
            return 0.0
        # Taken out and put back at the end: the first of the dict came longest ago.
        counts = self._spent_until
        spent_until = counts.pop(caller, now)
        if spent_until < now:
            spent_until = now
        wait = self._wait(spent_until, now)
        counts[caller] = spent_until if wait else spent_until + self._step
        if len(counts) > _MAX_CALLERS:
            del counts[next(iter(counts))]
        return wait

    def peek(self, caller: str, now: float) -> float:
        """Return how long to wait for the next attempt, 0 for not at all; count none."""
        spent_until = self._spent_until.get(caller)
        return 0.0 if spent_until is None else self._wait(spent_until, now)

    def _wait(self, spent_until: float, now: float) -> float:
        wait = spent_until + self._step - now - _WINDOW_SECONDS
        return wait if wait > _ROUNDING_SECONDS else 0.0


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
