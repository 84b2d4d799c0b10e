"""What hubs that share sessions cost each other: by hubs that hold subscribers, and by hubs.

All hubs have one CPU and Redis has the generator's, so elapsed time says little here: what counts
is the CPU that the kernel accounts to each process. If each hub had a core of its own, the busiest
of them would set the pace.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench.catalogue import tokens
from bench.generator import LoadFailed, loading
from bench.scenario import Scenario, progress
from bench.servers import CannotStart
from bench.shared import hub_on, redis_kind, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.figures import Row
    from bench.scenario import Plan
    from bench.servers import Server

_HUBS, _SUBSCRIBERS = 3, 6
_TOPICS, _PUBLISHERS = 60, 24
_EVENTS = 8000
_RUN_SECONDS = 60


def _held_by(*holders: int) -> Callable[[Plan, ExitStack], Row]:
    """All requests come to the first hub; each topic has subscribers at these."""

    def run(plan: Plan, open_: ExitStack) -> Row:
        store, hubs = _hubs(_HUBS, open_)
        return _load(plan, store, hubs, sockets=[hubs[it] for it in holders], posts=hubs[:1])

    return run


def _spread_over(count: int, *, together: bool) -> Callable[[Plan, ExitStack], Row]:
    """Requests and subscribers come to any of so many hubs, or a topic's subscribers to one."""

    def run(plan: Plan, open_: ExitStack) -> Row:
        store, hubs = _hubs(count, open_)
        return _load(plan, store, hubs, sockets=hubs, posts=hubs, together=int(together))

    return run


def _hubs(count: int, open_: ExitStack) -> tuple[Server, list[Server]]:
    store = started(redis_kind(), open_)
    return store, [hub_on(store, open_) for _ in range(count)]


def _load(
    plan: Plan,
    store: Server,
    hubs: Sequence[Server],
    *,
    sockets: Sequence[Server],
    posts: Sequence[Server],
    together: int = 0,
) -> Row:
    """Return the CPU that an event costs each hub, in their order, and Redis."""
    events = plan.scaled(_EVENTS)
    options = {
        "topics": _TOPICS,
        "publishers": _PUBLISHERS,
        "subscribers": _SUBSCRIBERS,
        "sockets": _ports(sockets),
        "posts": _ports(posts),
        "together": together,
        "events": events,
        "warm": events // 10,
        "seconds": _RUN_SECONDS,
        "joiners": 16,
    }
    servers = [*hubs, store]
    with loading(hubs[0], tokens(_TOPICS), **options) as load:
        before = [it.cpu_seconds() for it in servers]
        load.go()
        figures = load.figures()
        used = [it.cpu_seconds() - was for it, was in zip(servers, before, strict=True)]
    each = [round(it * 1e6 / max(figures["events"], 1), 2) for it in used]
    return {
        "hubs_cpu_us": each[:-1],
        "sum_cpu_us": round(sum(each[:-1]), 2),
        "busiest_cpu_us": max(each[:-1]),
        "redis_cpu_us": each[-1],
        "events": figures["events"],
        "missing": figures["missing"],
    }


def _ports(servers: Sequence[Server]) -> str:
    return ",".join(str(it.port) for it in servers)


def _measure(plan: Plan) -> Iterator[Row]:
    if missing := redis_kind().missing:
        progress(f"nodes: {missing}")
        yield {"missing_tool": missing}
        return
    for number in range(1, plan.rounds + 1):
        for way, run in _WAYS.items():
            row: Row = {"server": way, "round": number}
            try:
                with ExitStack() as open_:
                    row |= run(plan, open_)
            except (CannotStart, LoadFailed) as error:
                row["failed"] = str(error)
            said = row.get("failed") or f"{row['hubs_cpu_us']}, Redis {row['redis_cpu_us']} µs"
            progress(f"nodes {number}/{plan.rounds} {way}: {said}")
            yield row


_WAYS = {
    "held by 1": _held_by(1),
    "held by 2": _held_by(1, 2),
    "held by 3": _held_by(0, 1, 2),
    "1 hub": _spread_over(1, together=True),
    "2 hubs, topics together": _spread_over(2, together=True),
    "3 hubs, topics together": _spread_over(3, together=True),
    "2 hubs, topics spread": _spread_over(2, together=False),
    "3 hubs, topics spread": _spread_over(3, together=False),
}

SCENARIOS = (Scenario("nodes", "60 topics x 6 at 1, 2 and 3 hubs on one Redis", _measure),)
