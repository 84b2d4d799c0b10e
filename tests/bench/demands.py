"""What is demanded of the hub, and whether the last figures hold it: pure.

A demand on speed is a ratio to a peer measured in the same rounds, since a machine is no measure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures import median_of, median_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.figures import Row, Rows

_OUTBOX_KIB = 8 * 1024
"""What one stalled subscriber may add: the bound of its outbox (4 MiB), and as much again."""

_FLAT_SHARE = 0.01
"""Of the memory, and a minute: less is called flat, since the kernel counts in pages."""

_LEFT = ("tasks", "_Topic", "Subscription", "Channel", "files")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A demand and what was measured.

    Attributes:
        what: What is demanded of what.
        demand: The bound, in words.
        measured: The figure, in words; "not measured" if there is none.
        holds: Whether it holds, None if there is no figure.
    """

    what: str
    demand: str
    measured: str
    holds: bool | None


@dataclass(frozen=True, slots=True)
class _Bound:
    scenario: str
    what: str
    figure: Callable[[Rows], float]
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    def judge(self, rows: Rows) -> Verdict:
        """Return the verdict on these runs."""
        demand = f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:g}"
        demand += self.unit
        value = self.figure(rows)
        if math.isnan(value):
            return Verdict(self.what, demand, "not measured", None)
        holds = value <= self.at_most if self.at_most is not None else value >= (self.at_least or 0)
        return Verdict(self.what, demand, f"{value:.3g}{self.unit}", holds)


def verdicts(rows_of: Mapping[str, Sequence[Row]]) -> list[Verdict]:
    """Judge every demand.

    Args:
        rows_of: Runs by scenario; runs that failed are passed over.
    """
    ran = {
        name: [row for row in rows if not {"failed", "missing_tool"} & row.keys()]
        for name, rows in rows_of.items()
    }
    bounds = [it.judge(ran.get(it.scenario, [])) for it in (*_BOUNDS, *_SHARED, *_NODES)]
    return [*bounds, *_stalled(ran.get("stalled", [])), *_soak(ran.get("soak", []))]


def _times(name: str, peer: str) -> Callable[[Rows], float]:
    """How many times less than the peer the hub needs."""
    return lambda rows: median_ratio(rows, name, peer, "hub")


def _of(name: str, peer: str) -> Callable[[Rows], float]:
    """How many times the peer's figure the hub's is."""
    return lambda rows: median_ratio(rows, name, "hub", peer)


def _worst_way(rows: Rows) -> float:
    """Memory of a subscription in the dearer of the two ways to hold tokens."""
    ours = [row for row in rows if row["server"] == "hub"]
    ways = {row["tokens"] for row in ours}
    medians = [
        median_of([row for row in ours if row["tokens"] == way], "pss_kib_each") for way in ways
    ]
    return max(medians, default=math.nan)


def _hubs(name: str, scale: float = 1) -> Callable[[Rows], float]:
    return lambda rows: median_of([it for it in rows if it["server"] == "hub"], name) * scale


def _with_wide(rows: Rows) -> float:
    return median_of([it for it in rows if it["server"] == "with"], "p99_us") / 1000


_CPU, _LAST = "cpu_us_per_delivery", "last_p50_us"
_BASE, _BARE = "Starlette baseline", "bare uvloop"
_BOUNDS = (
    _Bound("S2", f"S2, CPU a delivery, times {_BASE}", _times(_CPU, "starlette"), at_least=2.0),
    _Bound("S2", f"S2, CPU a delivery, share of {_BARE}", _times(_CPU, "bare"), at_least=0.5),
    _Bound("S2", "S2, CPU a delivery, times Node `ws`", _times(_CPU, "node"), at_least=1.5),
    _Bound("S3", f"S3, CPU a delivery, times {_BASE}", _times(_CPU, "starlette"), at_least=3.0),
    _Bound("S3", f"S3, CPU a delivery, share of {_BARE}", _times(_CPU, "bare"), at_least=0.75),
    _Bound("S3", "S3, CPU a delivery, times nchan", _times(_CPU, "nchan"), at_least=0.9),
    _Bound("S1", f"S1, last delivery p50, of {_BASE}'s", _of(_LAST, "starlette"), at_most=0.8),
    _Bound("S1", f"S1, last delivery p50, of {_BARE}'s", _of(_LAST, "bare"), at_most=1.7),
    _Bound("idle", "idle subscription, all included (PSS)", _worst_way, " KiB", at_most=6),
    _Bound(
        "storm", "subscribe, upgrade and confirmation, CPU", _hubs("cpu_ms_each"), " ms", at_most=1
    ),
    _Bound(
        "wide",
        "p99 of other topics while one fans out to 1000",
        _with_wide,
        " ms",
        at_most=5,
    ),
    _Bound(
        "content",
        "CPU of an update at 10,000 resources, of that at 10",
        lambda rows: median_ratio(rows, "cpu_us_per_update", "10000", "10"),
        at_most=1.5,
    ),
    _Bound(
        "stalled",
        "stalled reader: p99 of the others, of that without",
        lambda rows: median_ratio(rows, "p99_us", "with", "without"),
        at_most=1.5,
    ),
)


def _more(name: str, ours: str, others: str) -> Callable[[Rows], float]:
    """How much more one needs than another, round by round."""

    def figure(rows: Rows) -> float:
        by_place = {(row["server"], row["round"]): row[name] for row in rows if name in row}
        pairs = [
            {"it": value - by_place[others, number]}
            for (server, number), value in by_place.items()
            if server == ours and (others, number) in by_place
        ]
        return median_of(pairs, "it")

    return figure


def _receiving(rows: Rows) -> float:
    """What an event costs a process before anybody gets it there: four get it less than eight."""
    four, eight = "receives for 4", "receives for 8"
    own = median_of([row for row in rows if row["server"] == four], "cpu_us_per_event")
    return own - _more("cpu_us_per_event", eight, four)(rows)


_EACH = "cpu_us_per_event"
_SHARED = (
    _Bound(
        "shared",
        "Redis: CPU an event, over memory's",
        _more(_EACH, "redis", "memory"),
        " µs",
        at_most=40,
    ),
    _Bound(
        "shared",
        "Redis: events/s, share of memory's",
        lambda rows: median_ratio(rows, "events_per_second", "redis", "memory"),
        at_least=0.65,
    ),
    _Bound(
        "shared",
        "Redis: last delivery p50 in S1, over memory's",
        _more(_LAST, "redis", "memory"),
        " µs",
        at_most=200,
    ),
    _Bound(
        "shared", "Redis: CPU an event where it is only received", _receiving, " µs", at_most=25
    ),
)


def _uninvolved(rows: Rows) -> float:
    """What an event costs a hub without subscribers of its topic, of what it costs one with all."""
    held = [row["hubs_cpu_us"] for row in rows if row["server"] == "held by 1"]
    return median_of([{"it": third / second} for _, second, third in held], "it")


_NODES = (
    _Bound(
        "nodes",
        "an event at a hub without subscribers of its topic, of that at one with all",
        _uninvolved,
        at_most=0.02,
    ),
    _Bound(
        "nodes",
        "3 hubs: events per CPU second of the busiest, of that of one hub",
        lambda rows: median_ratio(rows, "busiest_cpu_us", "1 hub", "3 hubs, topics together"),
        at_least=1.5,
    ),
)


def _stalled(rows: Rows) -> list[Verdict]:
    memory = "stalled reader: memory that it adds"
    ended = "stalled reader: ended, with a SyncError to the others"
    if not rows:
        return [
            Verdict(memory, f"≤ {_OUTBOX_KIB // 1024} MiB", "not measured", None),
            Verdict(ended, "yes", "not measured", None),
        ]
    growth = [{**row, "growth": row["rss_kib_most"] - row["rss_kib_before"]} for row in rows]
    medians = {
        way: median_of([row for row in growth if row["server"] == way], "growth")
        for way in ("with", "without")
    }
    added = medians["with"] - medians["without"]
    stalled = [row for row in rows if row["server"] == "with"]
    was_ended = sum(row["was_ended"] and row["sync_errors"] > 0 for row in stalled)
    said = f"in {was_ended} of {len(stalled)} runs"
    return [
        Verdict(
            memory,
            f"≤ {_OUTBOX_KIB // 1024} MiB",
            f"{max(added, 0) / 1024:.1f} MiB",
            added <= _OUTBOX_KIB,
        ),
        Verdict(ended, "yes", said, was_ended == len(stalled) > 0),
    ]


def _soak(rows: Rows) -> list[Verdict]:
    memory, left = "soak: memory (RSS)", "soak: tasks, files, topics left when all have left"
    flat = f"flat (≤ {_FLAT_SHARE:.0%} a minute)"
    if not rows:
        return [
            Verdict(memory, flat, "not measured", None),
            Verdict(left, "none", "not measured", None),
        ]
    row = rows[-1]
    slope, rss = row["slope_kib_per_minute"], row["at_work"]["rss_kib"]
    over = {it: row["after"][it] - row["before"][it] for it in _LEFT}
    found = {name: count for name, count in over.items() if count > 0}
    if row["topics_left"]:
        found["topics"] = row["topics_left"]
    said = ", ".join(f"{count} {name}" for name, count in found.items()) or "none"
    return [
        Verdict(memory, flat, f"{slope:+.0f} KiB/min of {rss:.0f} KiB", slope <= _FLAT_SHARE * rss),
        Verdict(left, "none", said, not found),
    ]
