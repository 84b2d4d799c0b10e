"""Which demands hold, by figures made up for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bench.demands import verdicts

if TYPE_CHECKING:
    from bench.demands import Verdict
    from bench.figures import Row


def s2(**cpu: float) -> list[Row]:
    return [
        {"server": name, "round": 1, "cpu_us_per_delivery": value} for name, value in cpu.items()
    ]


def verdict(what: str, **rows_of: list[Row]) -> Verdict:
    (found,) = [it for it in verdicts(rows_of) if it.what.startswith(what)]
    return found


@pytest.mark.parametrize(("hub", "holds"), [(10.0, True), (20.0, True), (20.1, False)])
def test_the_hub_needs_half_of_what_the_baseline_needs(hub: float, *, holds: bool) -> None:
    """S2: at least twice as good as the baseline, round by round."""
    found = verdict("S2, CPU a delivery, times Starlette", S2=s2(hub=hub, starlette=40))
    assert found.holds is holds


def test_what_was_not_measured_neither_holds_nor_fails() -> None:
    found = verdict("S2, CPU a delivery, times Node", S2=s2(hub=10, starlette=40))
    assert (found.measured, found.holds) == ("not measured", None)
    assert all(it.holds is None for it in verdicts({}))


def test_a_failed_run_is_no_figure() -> None:
    rows = [{"server": "hub", "round": 1, "failed": "…"}, *s2(starlette=40)]
    assert verdict("S2, CPU a delivery, times Starlette", S2=rows).holds is None


def test_the_dearer_way_to_hold_tokens_counts() -> None:
    rows: list[Row] = [
        {"server": "hub", "round": 1, "tokens": "one token each", "pss_kib_each": 7.0},
        {"server": "hub", "round": 1, "tokens": "one token for all", "pss_kib_each": 5.0},
        {"server": "bare", "round": 1, "tokens": "", "pss_kib_each": 1.0},
    ]
    assert verdict("idle", idle=rows).holds is False


def stalled(**changed: Any) -> list[Row]:
    usual = {"round": 1, "p99_us": 10, "rss_kib_before": 100, "rss_kib_most": 200}
    ended = {"was_ended": True, "sync_errors": 4}
    return [
        {**usual, "server": "without", "sync_errors": 0},
        {**usual, "server": "with", **ended, **changed},
    ]


@pytest.mark.parametrize("changed", [{"sync_errors": 0}, {"was_ended": False}])
def test_a_stalled_reader_must_be_ended_and_told_of(changed: Row) -> None:
    what = "stalled reader: ended"
    assert verdict(what, stalled=stalled()).holds is True
    assert verdict(what, stalled=stalled(**changed)).holds is False


def test_a_stalled_reader_must_not_fill_the_memory() -> None:
    what = "stalled reader: memory"
    assert verdict(what, stalled=stalled()).holds is True
    assert verdict(what, stalled=stalled(rss_kib_most=200 + 9 * 1024)).holds is False


def soaked(**changed: Any) -> list[Row]:
    living = dict.fromkeys(("tasks", "_Topic", "Subscription", "Channel", "files"), 0)
    usual = {"before": living, "after": living, "at_work": {"rss_kib": 1000}, "topics_left": 0}
    return [{"server": "hub", "round": 1, "slope_kib_per_minute": 5.0, **usual, **changed}]


def test_a_task_or_a_topic_left_over_is_named() -> None:
    what = "soak: tasks"
    left = {"tasks": 2, "_Topic": 0, "Subscription": 0, "Channel": 0, "files": 0}
    assert verdict(what, soak=soaked()).holds is True
    found = verdict(what, soak=soaked(after=left, topics_left=3))
    assert (found.measured, found.holds) == ("2 tasks, 3 topics", False)


def test_memory_that_grows_is_not_flat() -> None:
    assert verdict("soak: memory", soak=soaked()).holds is True
    assert verdict("soak: memory", soak=soaked(slope_kib_per_minute=11.0)).holds is False


def test_what_redis_costs_beyond_memory_is_counted_round_by_round() -> None:
    ways = {"memory": 100.0, "redis": 130.0, "receives for 4": 60.0, "receives for 8": 100.0}
    rows = [
        {"server": way, "round": number, "cpu_us_per_event": value * number}
        for number in (1, 2, 3)
        for way, value in ways.items()
    ]
    found = verdict("Redis: CPU an event, over memory", shared=rows)
    assert (found.measured, found.holds) == ("60 µs", False)
    found = verdict("Redis: CPU an event where it is only received", shared=rows)
    assert (found.measured, found.holds) == ("40 µs", False)


def nodes(uninvolved: float) -> list[Row]:
    by_one = {"server": "held by 1", "round": 1, "hubs_cpu_us": [90.0, 200.0, uninvolved]}
    paces = {"1 hub": 300.0, "3 hubs, topics together": 150.0}
    more = [{"server": it, "round": 1, "busiest_cpu_us": us} for it, us in paces.items()]
    return [by_one, *more]


@pytest.mark.parametrize(("uninvolved", "holds"), [(4.0, True), (4.1, False)])
def test_a_hub_that_holds_no_subscriber_does_nothing_for_an_event(
    uninvolved: float, *, holds: bool
) -> None:
    assert verdict("an event at a hub without", nodes=nodes(uninvolved)).holds is holds


def test_three_hubs_do_more_than_one() -> None:
    found = verdict("3 hubs", nodes=nodes(1.0))
    assert (found.measured, found.holds) == ("2", True)
