"""What is simulated, beside what is known in closed form."""

from __future__ import annotations

from math import sqrt

import pytest
from fhircast_hub.planning.simulation import (
    busiest_second,
    seeded,
    simulate_queue,
    simulate_storm,
    waits_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

JOBS = 200_000


@pytest.mark.parametrize("busy", [0.2, 0.5, 0.8])
def test_equal_jobs_wait_as_long_as_an_m_d_1_queue_says(busy: float) -> None:
    """Mean wait: busy * work / (2 (1 - busy))."""
    waits = simulate_queue(seeded(1), bursts_per_second=busy * 1000, burst=[0.001], jobs=JOBS)
    assert waits.mean == pytest.approx(busy * 0.001 / (2 * (1 - busy)), rel=0.1)


@pytest.mark.parametrize("size", [2, 5])
def test_bursts_wait_as_long_as_pollaczek_and_khinchine_say(size: int) -> None:
    """A burst is one job of all its work; within it, the k-th waits for those before it."""
    busy, work = 0.5, 0.001
    whole = size * work
    waits = simulate_queue(
        seeded(2), bursts_per_second=busy / whole, burst=[work] * size, jobs=JOBS
    )
    before_the_burst = busy * whole / (2 * (1 - busy))
    within_it = work * (size - 1) / 2
    assert waits.mean == pytest.approx(before_the_burst + within_it, rel=0.1)


def test_nobody_waits_where_nothing_is_to_be_done() -> None:
    assert simulate_queue(seeded(1), bursts_per_second=100, burst=[0.0], jobs=1000).max == 0


@pytest.mark.parametrize("mean", [0.5, 20, 2000])
def test_the_busiest_second_is_a_few_deviations_above_the_mean(mean: float) -> None:
    """Of 3600 seconds, about 3.5; bursts of 4 make deviations twice as large."""
    for burst in (1, 4):
        most = busiest_second(seeded(3), per_second=mean, burst=burst, seconds=3600)
        deviation = sqrt(mean * burst)
        assert mean + 2 * deviation < most < mean + 7 * deviation + burst


def test_all_at_the_same_moment_are_in_when_their_work_is_done() -> None:
    storm = simulate_storm(
        seeded(1), clients=1000, connect_seconds=0.002, spread_seconds=0, patience_seconds=60
    )
    assert storm.seconds == pytest.approx(1000 * 0.002)
    assert storm.waits.mean == pytest.approx(1000 * 0.002 / 2, rel=0.01)
    assert (storm.tries, storm.given_up) == (1000, 0)


def test_spread_thinly_nobody_waits_for_others() -> None:
    storm = simulate_storm(
        seeded(1), clients=1000, connect_seconds=0.001, spread_seconds=100, patience_seconds=10
    )
    assert 99 < storm.seconds < 100.1
    assert storm.waits.mean == pytest.approx(50, rel=0.05)


def test_impatient_clients_come_again_and_their_first_try_was_in_vain() -> None:
    """10 s of work for those who wait 2 s: most come twice or more, and all get in."""
    storm = simulate_storm(
        seeded(1), clients=1000, connect_seconds=0.01, spread_seconds=0, patience_seconds=2
    )
    assert storm.tries > 1500
    assert storm.given_up == 0
    assert storm.seconds > 10


@given(st.integers(1, 300), st.floats(1e-5, 0.05), st.floats(0, 20), st.floats(0.1, 20))
@settings(deadline=None)
def test_everybody_gets_in_or_is_counted(
    clients: int, connect: float, spread: float, patience: float
) -> None:
    storm = simulate_storm(
        seeded(5),
        clients=clients,
        connect_seconds=connect,
        spread_seconds=spread,
        patience_seconds=patience,
    )
    assert storm.tries >= clients
    assert 0 <= storm.given_up <= clients
    if storm.given_up == 0:
        assert storm.seconds >= clients * connect * (1 - 1e-9)


def test_chance_repeats_itself() -> None:
    one, other = (
        simulate_queue(seeded(7), bursts_per_second=10, burst=[0.05], jobs=100) for _ in range(2)
    )
    assert one == other


def test_a_spread_of_one_value_is_that_value() -> None:
    waits = waits_of([3.0])
    assert (waits.mean, waits.p50, waits.p99, waits.max) == (3.0, 3.0, 3.0, 3.0)
