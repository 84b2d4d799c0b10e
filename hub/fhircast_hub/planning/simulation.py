"""What averages hide: queues in the busiest minutes, and everybody coming back at once.

A process is a queue with one server, since it has one core and one thread. Chance is seeded: the
same site gives the same figures.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from math import exp, sqrt
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NORMAL_FROM = 50
"""Mean from which a Poisson variable is drawn as a normal one."""

_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 1.0, 30.0
"""Range of a client's back-off; the wait is drawn evenly from 0 to it."""

_MOST_TRIES = 20


@dataclass(frozen=True, slots=True)
class Waits:
    """How long things took, in seconds.

    Attributes:
        mean: On average.
        p50: Half of them at most.
        p99: All but one in a hundred at most.
        max: The longest.
    """

    mean: float
    p50: float
    p99: float
    max: float


def seeded(seed: int) -> Random:
    """Return chance that repeats itself."""
    return Random(seed)  # noqa: S311 - nobody's secret comes of it


def waits_of(values: Sequence[float]) -> Waits:
    """Return the spread of values, of which there must be one."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return Waits(
        mean=sum(ordered) / len(ordered),
        p50=ordered[int(0.5 * last)],
        p99=ordered[int(0.99 * last)],
        max=ordered[-1],
    )


def simulate_queue(
    random: Random,
    *,
    bursts_per_second: float,
    burst: Sequence[float],
    jobs: int,
) -> Waits:
    """Return how long jobs wait in front of a process (not how long they are worked on).

    Args:
        random: Seeded.
        bursts_per_second: Arrivals; they come independently of each other (Poisson).
        burst: Work of the jobs that come with one arrival, in seconds of the core.
        jobs: How many to look at.
    """
    now = free_at = 0.0
    waits: list[float] = []
    while len(waits) < jobs:
        now += random.expovariate(bursts_per_second)
        for work in burst:
            begins_at = max(now, free_at)
            waits.append(begins_at - now)
            free_at = begins_at + work
    return waits_of(waits)


def busiest_second(random: Random, *, per_second: float, burst: int, seconds: int) -> float:
    """Return the most events of one second out of so many."""
    return max(burst * _poisson(random, per_second / burst) for _ in range(seconds))


@dataclass(frozen=True, slots=True)
class Storm:
    """How it goes when many connect at once.

    Attributes:
        seconds: Until the last one is in.
        waits: Of each, from losing its connection to having one again.
        tries: Connections asked for, repeated ones included.
        given_up: Clients that were not in after many tries.
    """

    seconds: float
    waits: Waits
    tries: int
    given_up: int


def simulate_storm(
    random: Random,
    *,
    clients: int,
    connect_seconds: float,
    spread_seconds: float,
    patience_seconds: float,
) -> Storm:
    """Return how it goes when clients come to one process.

    Each comes at a moment drawn from the spread, waits for its turn, gives up after its patience
    while its work is done in vain, and comes again after a growing, random pause.

    Args:
        random: Seeded.
        clients: How many, one at least.
        connect_seconds: Work for each, stretched by what else the process has to do.
        spread_seconds: Jitter of their first try; 0 if all come at the same moment.
        patience_seconds: How long a client waits.
    """
    coming = [(random.uniform(0, spread_seconds), 0) for _ in range(clients)]
    heapq.heapify(coming)
    free_at, tries, given_up = 0.0, 0, 0
    done: list[float] = []
    while coming:
        came_at, tried = heapq.heappop(coming)
        tries += 1
        free_at = max(came_at, free_at) + connect_seconds
        if free_at - came_at <= patience_seconds:
            done.append(free_at)
        elif tried + 1 >= _MOST_TRIES:
            given_up += 1
        else:
            most = min(_LAST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2**tried)
            again_at = came_at + patience_seconds + random.uniform(0, most)
            heapq.heappush(coming, (again_at, tried + 1))
    return Storm(max(done, default=0.0), waits_of(done or [0.0]), tries, given_up)


def _poisson(random: Random, mean: float) -> int:
    """Draw how many of independent things happen, if `mean` do on average."""
    if mean >= _NORMAL_FROM:
        return max(0, round(random.gauss(mean, sqrt(mean))))
    limit, product, count = exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count
