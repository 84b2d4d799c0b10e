"""How long to wait before the next try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ENOUGH = 64
"""Doublings after which any first delay is over any maximum."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing delays with jitter, so that a restarted hub is not met by everybody at once.

    Attributes:
        first_seconds: Delay before the first retry; short, so that a retry falls into the hub's
            reconnect grace (D-45).
        factor: By which the delay grows.
        max_seconds: The longest delay.
        jitter: Share of the delay that is left to chance, 0 … 1.
    """

    first_seconds: float = 0.2
    factor: float = 2
    max_seconds: float = 30
    jitter: float = 0.5

    def delay_seconds(self, failures: int, random: Callable[[], float]) -> float:
        """Return the delay after that many failures in a row.

        Args:
            failures: 1 or more.
            random: Returns a number in [0, 1).
        """
        grown = self.first_seconds * self.factor ** min(failures - 1, _ENOUGH)
        delay = min(grown, self.max_seconds)
        return delay * (1 - self.jitter * random())
