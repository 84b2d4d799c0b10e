"""How often one caller may do a thing."""

from __future__ import annotations

import pytest
from fhircast_hub.web.peers import _MAX_CALLERS, RateLimit, peer_key


def allowed(limit: RateLimit, caller: str, *times: float) -> list[bool]:
    return [not limit.wait_seconds(caller, now) for now in times]


def test_attempts_come_back_with_time() -> None:
    """D-43: evenly over a minute, never more than a minute's worth, each for itself."""
    limit = RateLimit(per_minute=2)
    assert allowed(limit, "a", 0, 0, 0) == [True, True, False]
    assert allowed(limit, "b", 0) == [True]
    assert allowed(limit, "a", 29, 31, 1000, 1000, 1000) == [False, True, True, True, False]


def test_who_has_to_wait_is_told_how_long() -> None:
    """D-43: until one attempt has come back; waiting costs none."""
    limit = RateLimit(per_minute=6)
    assert [limit.wait_seconds("a", 0) for _ in range(6)] == [0] * 6
    assert limit.wait_seconds("a", 0) == pytest.approx(10)
    assert limit.wait_seconds("a", 4) == pytest.approx(6)
    assert limit.wait_seconds("a", 10) == pytest.approx(0)


def test_a_look_counts_nothing() -> None:
    """SUB-10: whether the next attempt would be too many."""
    limit = RateLimit(per_minute=1)
    assert [limit.peek("a", 0) for _ in range(3)] == [0, 0, 0]
    assert allowed(limit, "a", 0) == [True]
    assert limit.peek("a", 0) == 60


def test_no_limit() -> None:
    """0 is no limit, and nothing is kept."""
    limit = RateLimit(per_minute=0)
    assert allowed(limit, "a", *[0] * 1000) == [True] * 1000
    assert not limit._spent_until


def test_the_count_is_bounded_in_memory() -> None:
    """D-43: the caller that came longest ago is forgotten first."""
    limit = RateLimit(per_minute=1)
    limit.wait_seconds("first", 0)
    for number in range(_MAX_CALLERS - 1):
        limit.wait_seconds(str(number), 0)
    assert allowed(limit, "first", 0) == [False]
    limit.wait_seconds("one more", 0)
    assert len(limit._spent_until) == _MAX_CALLERS
    assert allowed(limit, "first", 0) == [False]
    assert allowed(limit, "0", 0) == [True]


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("a unix socket", "a unix socket"),
    ],
)
def test_a_machine_has_one_count(address: str, key: str) -> None:
    """D-43: however many addresses of IPv6 it has."""
    assert peer_key(address) == key
