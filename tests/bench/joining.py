"""Idle and storm: what a subscription costs that nobody uses, and what it costs to join."""

from __future__ import annotations

import time
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
    from bench.servers import Kind, Server

_PER_TOPIC = 4
_IDLE = 4000
_IDLE_ROUNDS = 3
"""Memory hardly moves from run to run."""

_STORM = 5000
_AT_ONCE = 64
_SETTLE_SECONDS = 3

_ONE_TOKEN = {
    "FHIRCAST_MAX_SUBSCRIBES_PER_MINUTE_AND_TOKEN": "6000",
    "FHIRCAST_MAX_SUBSCRIPTIONS_PER_TOKEN": "6000",
}
"""Raised for the run in which one token subscribes 4000 times within seconds."""


def _idle(plan: Plan) -> Iterator[Row]:
    for number, kind in plan.turns(at_most=_IDLE_ROUNDS):
        ways = ("one token each", "one token for all") if kind is HUB else ("",)
        for way in ways:
            count = plan.scaled(_IDLE // _PER_TOPIC) * _PER_TOPIC
            row: Row = {"server": kind.name, "round": number, "tokens": way, "count": count}
            try:
                row |= _idle_run(kind, count, shares_token=way == "one token for all")
            except (CannotStart, LoadFailed) as error:
                row["failed"] = str(error)
            said = row.get("failed") or f"{row['pss_kib_each']:.2f} KiB each"
            progress(f"idle {number}/{plan.rounds} {kind.name} {way}: {said}")
            yield row


def _idle_run(kind: Kind, count: int, *, shares_token: bool) -> Row:
    """Memory that grows with each subscription, after a few have loaded what is loaded once."""
    held = tokens(1 if shares_token else count)
    settings = _ONE_TOKEN if shares_token else {}
    few = {"topics": 10, "prefix": "few", "joiners": 4}
    many = {"topics": count // _PER_TOPIC, "joiners": _AT_ONCE}
    with running(kind, settings) as server, loading(server, tokens(1, "few"), **few):
        time.sleep(_SETTLE_SECONDS)
        before, cpu_before = server.memory_kib(), server.cpu_seconds()
        with loading(server, held, **many) as load:
            used = server.cpu_seconds() - cpu_before
            time.sleep(_SETTLE_SECONDS)
            after = server.memory_kib()
    return {
        "pss_kib_each": round((after["pss"] - before["pss"]) / count, 3),
        "rss_kib_each": round((after["rss"] - before["rss"]) / count, 3),
        "pss_kib_before": before["pss"],
        "pss_kib_after": after["pss"],
        "cpu_ms_each": round(used * 1e3 / count, 4),
        "join_seconds": load.joined["seconds"],
    }


def _storm(plan: Plan) -> Iterator[Row]:
    for number, kind in plan.turns():
        count = plan.scaled(_STORM // _PER_TOPIC) * _PER_TOPIC
        row: Row = {"server": kind.name, "round": number, "count": count}
        try:
            with running(kind) as server:
                row |= _storm_run(server, count)
        except (CannotStart, LoadFailed) as error:
            row["failed"] = str(error)
        progress(f"storm {number}/{plan.rounds} {kind.name}: {_storm_said(row)}")
        yield row


def _storm_run(server: Server, count: int) -> Row:
    """All log in, each with a token of its own over connections of its own, 64 at a time."""
    held = tokens(count)
    options = {"topics": count // _PER_TOPIC, "joiners": _AT_ONCE, "fresh": 1}
    before = server.cpu_seconds()
    with loading(server, held, **options) as load:
        used = server.cpu_seconds() - before
        joined = load.joined
    return {
        "cpu_ms_each": round(used * 1e3 / count, 4),
        "seconds": joined["seconds"],
        "join_p50_us": quantile(joined["join_us"], 0.5),
        "join_p99_us": quantile(joined["join_us"], 0.99),
        "join_us": joined["join_us"],
    }


def _storm_said(row: Row) -> str:
    if "failed" in row:
        return f"failed: {row['failed']}"
    said = f"{row['cpu_ms_each']:.3f} ms CPU each, {row['seconds']:.1f} s in all"
    return f"{said}, p99 {row['join_p99_us'] / 1000:.1f} ms"


SCENARIOS = (
    Scenario(
        "idle",
        "memory of 4000 idle subscriptions (1000 topics x 4), confirmed, PSS",
        _idle,
        _ONE_TOKEN,
    ),
    Scenario(
        "storm", "5000 subscribers log in, 64 at a time: subscribe, upgrade, confirmation", _storm
    ),
)
