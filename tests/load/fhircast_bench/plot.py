"""The latencies of a run as a picture; needs matplotlib, the extra `bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_bench.results import quantile
from fhircast_bench.table import described

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from fhircast_bench.record import Record
    from fhircast_bench.results import Results

SUFFIXES = (".svg", ".png")
_MARKED = (0.5, 0.9, 0.99)
_BARS = 60
_POINTS = 1000
_BLUE, _ORANGE, _GREY = "#1f5a99", "#c8641b", "#555555"


class CannotPlot(Exception):
    """There is no picture, for this reason."""


def require_matplotlib() -> None:
    """Pass if pictures can be drawn.

    Raises:
        CannotPlot: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401 - whether it can be had
    except ImportError:
        raise CannotPlot("--plot needs matplotlib: pip install 'fhircast-hub[bench]'") from None


def draw(results: Results, path: Path) -> None:
    """Write the picture: how many events took how long, and which share took at most so long.

    Args:
        results: Of a run.
        path: New file, .svg or .png.

    Raises:
        CannotPlot: No event reached everybody.
        OSError: The file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

    if not results.latencies:
        raise CannotPlot("no event reached everybody: there is nothing to draw")
    figure = Figure(figsize=(9, 6.2), layout="constrained")
    counts, shares = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    figure.suptitle("Latency of context changes", x=0.01, ha="left", weight="bold")
    _bars(counts, results)
    _curves(shares, results)
    counts.set_title(_subtitle(results), loc="left", fontsize=9, color=_GREY)
    shares.set_xscale("log")
    shares.set_xlabel(f"milliseconds since {_since(results.record)} (logarithmic)")
    shares.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    shares.xaxis.set_minor_formatter(NullFormatter())
    shares.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    shares.yaxis.set_major_formatter(PercentFormatter(1.0))
    for axes in (counts, shares):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, axis="both", color="#e6e6e6", linewidth=0.7)
        axes.set_axisbelow(True)
    figure.savefig(path, dpi=150)


def _bars(axes: Axes, results: Results) -> None:
    latencies = list(results.latencies)
    low, high = latencies[0], max(latencies[-1], latencies[0] * 1.01)
    edges = [low * (high / low) ** (it / _BARS) for it in range(_BARS + 1)]
    axes.hist(latencies, bins=edges, color=_BLUE, alpha=0.85)
    axes.set_ylabel("events by last delivery")
    for share in _MARKED:
        axes.axvline(quantile(latencies, share), color=_GREY, linewidth=0.8, linestyle="--")


def _curves(axes: Axes, results: Results) -> None:
    last = list(results.latencies)
    answers = sorted(
        1000 * (it.answered_at - it.due_at)
        for it in results.record.ledger.sent
        if it.counts and it.is_accepted
    )
    for values, label, colour in (
        (answers, "answer to the request", _ORANGE),
        (last, "delivery to the last subscriber", _BLUE),
    ):
        heights = [it / _POINTS for it in range(1, _POINTS + 1)]
        points = [quantile(values, it) for it in heights]
        axes.step(points, heights, where="post", label=label, color=colour, linewidth=1.6)
    for share in _MARKED:
        value = quantile(last, share)
        axes.axvline(value, color=_GREY, linewidth=0.8, linestyle="--")
        axes.plot([value], [share], "o", color=_BLUE, markersize=4)
        axes.annotate(
            f"p{share * 100:.0f}  {value:.3g} ms",
            (value, share),
            xytext=(6, -11),
            textcoords="offset points",
            fontsize=8,
            color=_GREY,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axes.set_ylim(0, 1.03)
    axes.set_ylabel("share of events at most so late")
    axes.legend(loc="lower right", frameon=False, fontsize=9)


def _since(record: Record) -> str:
    return "the request" if record.load.rate is None else "the event was due"


def _subtitle(results: Results) -> str:
    return (
        f"{described(results.record.load)}\n"
        f"{results.events:,} events, {results.events_per_second:,.0f} events/s,"
        f" {results.deliveries_per_second:,.0f} deliveries/s"
    )
