"""Arithmetic of the figures: pure, so that it can be tested."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = dict[str, Any]
"""One run: names and figures."""

Rows = list[Row]
Results = dict[str, Any]
"""Scenario -> {"at", "command", "rounds", "scale", "machine", "versions", "rows", …}."""

WRONG = ("missing", "doubled", "misrouted", "errors", "closed", "refused")
"""Counts that a run with the generator in C must end with none of."""


def quantile(quantiles: Sequence[float], q: float) -> float:
    """Return a quantile of a run.

    Args:
        quantiles: 102 values, as load/figures.c writes them: 0.00 … 0.99, 0.999, the largest.
        q: One of those, from 0 to 1.
    """
    if not quantiles:
        return float("nan")
    if q >= 1:
        return quantiles[-1]
    return quantiles[-2] if q > 0.99 else quantiles[round(q * 100)]


def quantiles_of(values: Sequence[float]) -> list[float]:
    """Return the 102 quantiles of values, empty if there are none."""
    ordered = sorted(values)
    if not ordered:
        return []
    places = [*(it / 100 for it in range(100)), 0.999, 1.0]
    return [ordered[min(int(q * len(ordered)), len(ordered) - 1)] for q in places]


def median_of(rows: Sequence[Row], name: str) -> float:
    """Return the median of a figure over runs, NaN if there is none."""
    values = [row[name] for row in rows if name in row]
    return median(values) if values else float("nan")


def median_ratio(rows: Sequence[Row], name: str, upper: str, lower: str) -> float:
    """Return the median of round-by-round ratios of a figure of two servers.

    Within a round both ran one after the other, so what else the machine did weighs less in the
    ratio of a round than in the ratio of the medians.

    Args:
        rows: Runs with `server`, `round` and the figure.
        name: The figure.
        upper: The server whose figure is divided.
        lower: The one by whose it is divided.
    """
    by_place = {(row["server"], row["round"]): row[name] for row in rows if name in row}
    rounds = sorted({number for _, number in by_place})
    ratios = [
        by_place[upper, number] / by_place[lower, number]
        for number in rounds
        if (upper, number) in by_place and by_place.get((lower, number))
    ]
    return median(ratios) if ratios else float("nan")


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the straight line that fits points best (least squares), in y per x."""
    if len(points) < 2:
        return float("nan")
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else float("nan")
