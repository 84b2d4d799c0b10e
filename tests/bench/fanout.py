"""S1, S2, S3: one event to all subscribers of its topic, by the hub and by its peers.

A connection posts its next event when the last one was answered and is with all subscribers, each
of which answers it. A generator that does not wait would measure the growth of queues.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.catalogue import tokens
from bench.figures import WRONG, quantile
from bench.generator import LoadFailed, loading
from bench.scenario import Scenario, progress
from bench.servers import CannotStart, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.figures import Row
    from bench.scenario import Plan
    from bench.servers import Kind

_RUN_SECONDS = 60
_BYTES = 2048


@dataclass(frozen=True, slots=True)
class _Shape:
    name: str
    topics: int
    subscribers: int
    publishers: int
    events: int

    def measure(self, plan: Plan) -> Iterator[Row]:
        for number, kind in plan.turns():
            row: Row = {"server": kind.name, "round": number}
            try:
                row |= self._run(kind, plan.scaled(self.events))
            except (CannotStart, LoadFailed) as error:
                row["failed"] = str(error)
            progress(f"{self.name} {number}/{plan.rounds} {kind.name}: {_said(row)}")
            yield row

    def _run(self, kind: Kind, events: int) -> Row:
        options = {
            "topics": self.topics,
            "subscribers": self.subscribers,
            "publishers": self.publishers,
            "events": events,
            "warm": events // 10,
            "bytes": _BYTES,
            "joiners": 16,
            "seconds": _RUN_SECONDS,
        }
        held = tokens(self.topics)
        with running(kind) as server, loading(server, held, **options) as load:
            before = server.cpu_seconds()
            load.go()
            figures = load.figures()
            used = server.cpu_seconds() - before
            memory = server.memory_kib()
        return _row(figures, used, memory)


def _row(figures: Row, cpu_seconds: float, memory: dict[str, int]) -> Row:
    answers = figures.pop("answer_us")
    return {
        **figures,
        "last_p50_us": quantile(figures["last_us"], 0.5),
        "last_p99_us": quantile(figures["last_us"], 0.99),
        "answer_p50_us": quantile(answers, 0.5),
        "answer_p99_us": quantile(answers, 0.99),
        "cpu_us_per_event": round(cpu_seconds * 1e6 / max(figures["events"], 1), 2),
        "cpu_us_per_delivery": round(cpu_seconds * 1e6 / max(figures["deliveries"], 1), 3),
        "rss_kib": memory["rss"],
        "pss_kib": memory["pss"],
    }


def _said(row: Row) -> str:
    if "failed" in row:
        return f"failed: {row['failed']}"
    said = f"{row['cpu_us_per_delivery']:.1f} µs CPU a delivery"
    said += f", {row['deliveries_per_second']:.0f} deliveries/s"
    said += f", last p50 {row['last_p50_us']:.0f} µs, p99 {row['last_p99_us']:.0f} µs"
    wrong = {it: row[it] for it in WRONG if row[it]}
    return f"{said} {wrong or ''}"


_SHAPES = (
    ("1 topic x 4 subscribers, one event at a time", _Shape("S1", 1, 4, 1, 4000)),
    ("200 topics x 4 subscribers, 32 connections post", _Shape("S2", 200, 4, 32, 20_000)),
    ("1 topic x 1000 subscribers, one event at a time", _Shape("S3", 1, 1000, 1, 150)),
)
SCENARIOS = tuple(Scenario(it.name, what, it.measure) for what, it in _SHAPES)
