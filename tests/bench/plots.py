"""Plots of the report, as SVG that is the same for the same figures."""

from __future__ import annotations

import importlib.util
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.results import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bench.figures import Results, Row, Rows

    Curves = Mapping[str, list[list[float]]]


FOLDER = ROOT / "docs" / "performance"

_STYLE = {
    "svg.hashsalt": "fhircast",
    "svg.fonttype": "none",  # text stays text
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}
_SIZE = (7.0, 3.4)
_SHARES = [*(it / 100 for it in range(100)), 0.999, 1.0]


def draw(results: Results, labels: Mapping[str, str]) -> set[str]:
    """Draw what there are figures for, where matplotlib is installed.

    Returns:
        The names of the plots that there are, also those of an earlier run.
    """
    if importlib.util.find_spec("matplotlib") is not None:
        FOLDER.mkdir(exist_ok=True)
        for name, (scenario, curves) in _LATENCIES.items():
            rows = _rows(results, scenario)
            if found := curves(rows):
                _latencies(FOLDER / f"{name}.svg", found, labels, scenario)
        if rows := _rows(results, "soak"):
            _memory(FOLDER / "memory.svg", rows[-1])
    return {it.stem for it in FOLDER.glob("*.svg")} if FOLDER.exists() else set()


def _rows(results: Results, scenario: str) -> Rows:
    rows: Rows = results.get(scenario, {}).get("rows", [])
    return [row for row in rows if "failed" not in row]


def _by_server(name: str) -> Callable[[Rows], Curves]:
    def curves(rows: Rows) -> Curves:
        found: dict[str, list[list[float]]] = {}
        for row in rows:
            found.setdefault(row["server"], []).append(row[name])
        return found

    return curves


def _by_kind(rows: Rows) -> Curves:
    found: dict[str, list[list[float]]] = {}
    for row in rows:
        for kind, quantiles in row["latencies"].items():
            found.setdefault(kind, []).append(quantiles)
    return found


_LATENCIES: dict[str, tuple[str, Callable[[Rows], Curves]]] = {
    **{f"latency-{it}": (it, _by_server("last_us")) for it in ("S1", "S2", "S3", "wide")},
    "latency-storm": ("storm", _by_server("join_us")),
    "latency-mixed": ("mixed", _by_kind),
}


def _latencies(file: Path, curves: Curves, labels: Mapping[str, str], scenario: str) -> None:
    """Share of events by latency: for each curve the medians of its runs' quantiles."""
    from matplotlib.figure import Figure

    figure, axes = _canvas(Figure)
    for name, runs in curves.items():
        middle = [median(values) / 1000 for values in zip(*runs, strict=True)]
        width = 2.2 if name == "hub" else 1.2
        axes.plot(middle, _SHARES, label=labels.get(name, name).replace("`", ""), linewidth=width)
    axes.set_xscale("log")
    what = "from subscribe to confirmation" if scenario == "storm" else "until the last delivery"
    axes.set_xlabel(f"milliseconds {what}")
    axes.set_ylabel("share")
    axes.set_title(scenario, loc="left")
    axes.legend(loc="lower right", frameon=False)
    _save(figure, file)


def _memory(file: Path, row: Row) -> None:
    """Memory and files over the soak."""
    from matplotlib.figure import Figure

    figure, axes = _canvas(Figure)
    minutes = [at / 60 for at, _, _ in row["samples"]]
    axes.plot(minutes, [rss / 1024 for _, rss, _ in row["samples"]], label="RSS")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("minutes")
    axes.set_ylabel("MiB")
    axes.set_title("soak: memory of the hub", loc="left")
    _save(figure, file)


def _canvas(figure_class: Any) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.rcParams.update(_STYLE)
    figure = figure_class(figsize=_SIZE, layout="constrained")
    return figure, figure.subplots()


def _save(figure: Any, file: Path) -> None:
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    # Trailing spaces that matplotlib writes are no figures.
    file.write_text("\n".join(it.rstrip() for it in file.read_text().splitlines()) + "\n")
