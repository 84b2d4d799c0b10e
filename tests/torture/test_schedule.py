"""The schedule of faults comes from its seed and nothing else."""

from __future__ import annotations

from collections import Counter

from torture.schedule import REDIS, Kind, Mix, schedule


def test_kills_come_often_if_they_are_preferred() -> None:
    faults = Counter(it.kind for it in schedule(1, 600, 5, Mix.KILLS))
    assert faults[Kind.KILL_NODE] > 200
    assert faults[Kind.KILL_REDIS] > 50
    assert set(faults) == set(Kind)


def test_the_same_seed_makes_the_same_schedule() -> None:
    assert schedule(7, 60, 3) == schedule(7, 60, 3)
    assert schedule(7, 60, 3) != schedule(8, 60, 3)


def test_every_kind_happens() -> None:
    assert {it.kind for it in schedule(1, 120, 3)} == set(Kind)


def test_nothing_is_hit_twice_at_once() -> None:
    """A hub that is stopped is not killed as well: the one would end the other."""
    free_at = dict.fromkeys([REDIS, 0, 1, 2], 0.0)
    for it in schedule(3, 600, 3):
        if it.kind is not Kind.DROP_SOCKETS:
            assert it.at >= free_at[it.node]
            free_at[it.node] = it.at + it.seconds
