"""Mixed day and soak: what people do, faster than they do it, and what is left in the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import uvloop
from bench.catalogue import HUB, tokens
from bench.client import Client
from bench.day import APPLICATIONS, Day
from bench.figures import quantiles_of, slope
from bench.reading import SECONDS_EACH
from bench.scenario import Scenario, progress
from bench.servers import CannotStart, Server, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.figures import Row
    from bench.scenario import Plan

_ROOMS = 500
_MIXED_SECONDS = 40
_SOAK_ROOMS = 100
_SOAK_TIMES = 60
"""How much faster than life: a minute is an hour."""

_EVENTS_EACH = 9
"""Events of an average reading (reading.py)."""

_RESTARTS = 0.1
_SAMPLE_SECONDS = 1.0
_WARM_SHARE = 0.5
"""Of the soak, not counted in the slope: until everything that has a bound has reached it. The hub
remembers 128 ids a topic (`Rules.remembered_ids`), a good hour of a room, and the allocator needs a
few minutes more until it finds room for everything in what it has."""

_GONE_SECONDS = 60
_ANSWER_SECONDS = 20
_SOAK = {
    "FHIRCAST_TOPIC_IDLE_SECONDS": "2",
    # So that this bound is reached, too: an application started anew leaves an endpoint behind.
    "FHIRCAST_MAX_ENDED_ENDPOINTS": "500",
}


def _mixed(plan: Plan) -> Iterator[Row]:
    for number in range(1, plan.rounds + 1):
        try:
            with running(HUB) as server:
                row = uvloop.run(_mixed_run(server, plan))
        except CannotStart as error:
            row = {"failed": str(error)}
        said = row.get("failed") or {
            kind: f"p99 {values[99]:.0f} µs" for kind, values in row["latencies"].items()
        }
        progress(f"mixed {number}/{plan.rounds}: {said}")
        yield {"server": "hub", "round": number, **row}


async def _mixed_run(server: Server, plan: Plan) -> Row:
    rooms, seconds = plan.scaled(_ROOMS), max(_MIXED_SECONDS * plan.scale, 5)
    day = Day(server, tokens(rooms, "reader"))
    await day.begin()
    before = server.cpu_seconds()
    began = time.perf_counter()
    count = await day.go_on(seconds, plan.rate)
    took, used = time.perf_counter() - began, server.cpu_seconds() - before
    row = {**_came_of(day, count), "rooms": rooms, "rate": plan.rate, "cpu_share": used / took}
    row["cpu_us_per_delivery"] = round(used * 1e6 / max(count * APPLICATIONS, 1), 2)
    row["times_real"] = round(plan.rate * SECONDS_EACH / (rooms * _EVENTS_EACH), 1)
    await day.end()
    return row


def _came_of(day: Day, count: int) -> Row:
    return {
        "events": count,
        "latencies": {it: quantiles_of(day.latencies.by_kind[it]) for it in _kinds(day)},
        "counts": {it: len(day.latencies.by_kind[it]) for it in _kinds(day)},
        "not_delivered": day.latencies.under_way,
        "lost": sum(it.lost for it in day.rooms),
        "refused": len(day.refused),
        "refusals": sorted(set(day.refused))[:3],
    }


def _kinds(day: Day) -> list[str]:
    return [it for it in ("open", "update", "select", "close") if day.latencies.by_kind[it]]


def _soak(plan: Plan) -> Iterator[Row]:
    with TemporaryDirectory() as folder:
        counts = Path(folder) / "counts"
        program = [sys.executable, str(Path(__file__).with_name("watched_hub.py")), str(counts)]
        watched = replace(HUB, command=lambda _port, _folder: [*program, "serve"])
        with running(watched, _SOAK) as server:
            yield {"server": "hub", "round": 1, **uvloop.run(_soak_run(server, plan, counts))}


async def _soak_run(server: Server, plan: Plan, counts: Path) -> Row:
    """An hour of readings every minute, then everybody leaves."""
    rooms = plan.scaled(_SOAK_ROOMS)
    rate = rooms * _EVENTS_EACH * _SOAK_TIMES / SECONDS_EACH
    seconds = plan.minutes * 60
    day = Day(server, tokens(rooms, "reader"))
    before = await _living(server, counts)
    await day.begin()
    samples: list[tuple[float, int, int]] = []
    sampling = asyncio.create_task(_sample(server, samples))
    count = await day.go_on(seconds, rate, restarts=_RESTARTS)
    sampling.cancel()
    counted = [(at / 60, rss) for at, rss, _ in samples if at > seconds * _WARM_SHARE]
    row = {**_came_of(day, count), "rooms": rooms, "minutes": plan.minutes, "samples": samples}
    row["slope_kib_per_minute"] = round(slope(counted), 1)
    row["at_work"] = await _living(server, counts)
    await day.end()
    row |= {"before": before, "after": await _after(server, day, counts, before)}
    row["topics_left"] = await _topics_left(server, day)
    progress(f"soak: {row['slope_kib_per_minute']} KiB/min, {row['refused']} refused")
    progress(f"soak: before {before}, at work {row['at_work']}, after {row['after']}")
    return row


async def _sample(server: Server, samples: list[tuple[float, int, int]]) -> None:
    began = time.perf_counter()
    while True:
        at = round(time.perf_counter() - began, 1)
        samples.append((at, server.memory_kib()["rss"], server.open_files()))
        if len(samples) % 30 == 0:
            progress(f"soak: {at:.0f} s, RSS {samples[-1][1]} KiB, {samples[-1][2]} files")
        await asyncio.sleep(_SAMPLE_SECONDS)


async def _living(server: Server, counts: Path) -> Row:
    """Ask the watched hub what lives in it."""
    found = await asyncio.to_thread(_ask, server, counts)
    return {**found, "files": server.open_files(), "rss_kib": server.memory_kib()["rss"]}


def _ask(server: Server, counts: Path) -> Row:
    counts.unlink(missing_ok=True)
    os.kill(server.group, signal.SIGUSR1)
    end = time.monotonic() + _ANSWER_SECONDS
    while not counts.exists() and time.monotonic() < end:
        time.sleep(0.05)
    found: Row = json.loads(counts.read_text())
    return found


async def _after(server: Server, day: Day, counts: Path, before: Row) -> Row:
    """Wait until as little lives as before, or until time is up."""
    end = time.perf_counter() + _GONE_SECONDS
    while True:
        living = await _living(server, counts)
        left = [it for it in before if it != "rss_kib" and living[it] > before[it]]
        if not left or time.perf_counter() > end:
            return {**living, "left": left}
        await asyncio.sleep(1)


async def _topics_left(server: Server, day: Day) -> int:
    """Return how many topics a GET still finds."""
    left = 0
    for room, token in zip(day.rooms, tokens(len(day.rooms), "reader"), strict=True):
        client = Client(server.port, server.kind.hub_path, token)
        await client.open()
        left += await client.status_of(room.topic) != 404
        client.close()
    return left


SCENARIOS = (
    Scenario("mixed", "500 rooms x 4 applications; opens, updates, selects, closes", _mixed),
    Scenario("soak", "100 rooms, 60 times as fast as life, then everybody leaves", _soak, _SOAK),
)
