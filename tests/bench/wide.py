"""One topic fans out to 1000 without a pause: what the narrow topics notice."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench.catalogue import HUB, tokens
from bench.figures import quantile
from bench.generator import LoadFailed, loading
from bench.scenario import Scenario, progress
from bench.servers import CannotStart, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.figures import Row
    from bench.scenario import Plan

_NARROW = 200
_RATE = 200
"""Events per second on the narrow topics: one a second on each, far more than people make."""

_SECONDS = 15
_WIDE = 1000


def _measure(plan: Plan) -> Iterator[Row]:
    for number in range(1, plan.rounds + 1):
        for way in ("without", "with"):
            row: Row = {"server": way, "round": number}
            try:
                row |= _run(plan.scaled(_RATE * _SECONDS), is_wide=way == "with")
            except (CannotStart, LoadFailed) as error:
                row["failed"] = str(error)
            said = row.get("failed") or f"p50 {row['p50_us']} µs, p99 {row['p99_us']} µs"
            progress(f"wide {number}/{plan.rounds} {way}: {said}")
            yield row


def _run(events: int, *, is_wide: bool) -> Row:
    """Two generators, so that the one with 1000 subscribers does not hold the other up."""
    narrow = {"topics": _NARROW, "publishers": 16, "events": events, "warm": events // 10}
    wide = {"topics": 1, "subscribers": _WIDE, "events": 100_000, "prefix": "wide"}
    with ExitStack() as open_:
        server = open_.enter_context(running(HUB))
        load = open_.enter_context(
            loading(server, tokens(_NARROW), joiners=16, rate=_RATE, **narrow)
        )
        if is_wide:
            held = tokens(1, "wide")
            seconds = events / _RATE + 30
            beside = open_.enter_context(loading(server, held, joiners=16, seconds=seconds, **wide))
            beside.go()
        before = server.cpu_seconds()
        load.go()
        figures = load.figures()
        used = server.cpu_seconds() - before
    return {
        "p50_us": quantile(figures["last_us"], 0.5),
        "p99_us": quantile(figures["last_us"], 0.99),
        "last_us": figures["last_us"],
        "missing": figures["missing"],
        "cpu_share": round(used / figures["seconds"], 3),
    }


SCENARIOS = (
    Scenario(
        "wide",
        "200 topics x 4 at 200 events/s, while one topic x 1000 gets events back to back",
        _measure,
    ),
)
