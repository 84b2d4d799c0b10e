"""A distribution as bars of text, in buckets that grow, since latencies spread widely."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH = 40
_MOST_LINES = 16
_FINE = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
_COARSE = (1, 2, 5)
_PARTS = " ▏▎▍▌▋▊▉█"


def buckets_of(ordered: Sequence[float]) -> list[tuple[float, float, int]]:
    """Return lower bound, upper bound (inclusive) and count of each bucket that is needed.

    Args:
        ordered: Values in order of size.
    """
    found = _buckets(ordered, _FINE)
    return found if len(found) <= _MOST_LINES else _buckets(ordered, _COARSE)


def _buckets(ordered: Sequence[float], steps: tuple[float, ...]) -> list[tuple[float, float, int]]:
    if not ordered:
        return []
    edges = [0.0, *(float(f"{step}e{power}") for power in range(-3, 7) for step in steps)]
    upto = [bisect_right(ordered, edge) for edge in edges]
    first = next((it for it in range(1, len(edges)) if upto[it]), len(edges))
    last = next((it for it in range(len(edges)) if upto[it] == len(ordered)), len(edges) - 1)
    return [(edges[it - 1], edges[it], upto[it] - upto[it - 1]) for it in range(first, last + 1)]


def bars(ordered: Sequence[float], unit: str) -> list[str]:
    """Return the lines of a histogram, none if there are no values."""
    buckets = buckets_of(ordered)
    most = max((count for _, _, count in buckets), default=0)
    return [
        f"  {low:>6g} - {high:<6g} {unit}  {_bar(count / most)} {count}"
        for low, high, count in buckets
    ]


def _bar(share: float) -> str:
    eighths = round(share * _WIDTH * 8)
    if share and not eighths:
        eighths = 1
    return "█" * (eighths // 8) + _PARTS[eighths % 8].strip()
