"""Who is to be looked at when."""

from __future__ import annotations

from math import inf

from fhircast_hub.agenda import Agenda


class Somebody:
    def __init__(self) -> None:
        self.due_at = inf


def test_who_is_due_is_taken_once_and_in_time() -> None:
    """CONF-03, SYNC-08: never before, and at the next look after it."""
    agenda: Agenda[Somebody] = Agenda()
    first, second = Somebody(), Somebody()
    agenda.put(second, 10.31, 0)
    agenda.put(first, 10.0, 0)
    assert agenda.take(9.9) == []
    assert agenda.take(10.0) == [first]
    assert agenda.take(10.3) == []
    assert agenda.take(11) == [second]
    assert agenda.take(1000) == []


def test_the_earliest_place_counts() -> None:
    agenda: Agenda[Somebody] = Agenda()
    it = Somebody()
    for at in (20.0, 5.0, 30.0):
        agenda.put(it, at, 0)
    assert agenda.take(5) == [it]
    assert agenda.take(100) == []


def test_who_left_is_not_looked_at() -> None:
    agenda: Agenda[Somebody] = Agenda()
    it = Somebody()
    agenda.put(it, 5, 0)
    agenda.drop(it)
    agenda.drop(it)
    assert agenda.take(100) == []
    assert not agenda._slots


def test_what_is_far_away_is_looked_at_once_a_minute() -> None:
    """The slots stay few, however many leases end at as many times."""
    agenda: Agenda[Somebody] = Agenda()
    crowd = [Somebody() for _ in range(5000)]
    for number, it in enumerate(crowd):
        agenda.put(it, 3600 + number, now=0)
    assert len(agenda._slots) == 1
    assert len(agenda.take(60)) == 5000
