"""Events are recognised by their ids for as long as promised (D-28)."""

from __future__ import annotations

import pytest
from fhircast_hub.protocol.remembered import Accepted, RecentEvents, Remembered
from hypothesis import given
from hypothesis import strategies as st


def event(id: str) -> Remembered:
    return Remembered(id.encode(), Accepted(id))


def after(count: int, limit: int) -> RecentEvents:
    events = RecentEvents()
    for number in range(count):
        events = events.added(f"e{number}", event(f"e{number}"), limit)
    return events


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 8, 20, 128])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 9, 130, 200])
def test_the_newest_are_remembered_and_no_more_than_an_eighth_beyond(
    count: int, limit: int
) -> None:
    """D-28: everything that can grow has a bound."""
    events = after(count, limit)
    kept = list(events)
    assert kept == [f"e{it}" for it in range(count - len(kept), count)]
    assert min(count, limit) <= len(events) <= limit + limit // 8
    for id in kept:
        assert events.find(id) == events[id] == event(id)
    assert events.find("another") is None


@given(limit=st.integers(1, 40), at=st.integers(0, 60))
def test_a_version_stays_as_it_is(limit: int, at: int) -> None:
    """2.6: who lost a race decides again, from a state that nobody has touched."""
    before = after(at, limit)
    shown = dict(before)
    one, other = (before.added("x", event(it), limit) for it in ("x", "y"))
    assert (one["x"], other["x"]) == (event("x"), event("y"))
    assert dict(before) == shown


def test_one_of_them_can_be_changed_in_its_place() -> None:
    """D-28: an event of which a SyncError tells."""
    events = after(41, 40)
    unsure = Remembered(b"", Accepted("e"), out_of_sync=True)
    for id in ("e3", "e40"):
        changed = events.changed(id, unsure)
        assert list(changed) == list(events)
        assert (changed[id], changed["e5"]) == (unsure, event("e5"))


@given(limit=st.integers(2, 40), at=st.integers(0, 60), more=st.integers(0, 60))
def test_what_lies_between_makes_the_one_the_other(limit: int, at: int, more: int) -> None:
    """2.6: what is kept elsewhere is brought up to date by what changed, whatever that is."""
    before = after(at, limit)
    later = before
    for number in range(at, at + more):
        later = later.added(f"e{number}", event(f"e{number}"), limit)
    if len(later):
        first = next(iter(later))
        later = later.changed(first, Remembered(b"", Accepted(first), out_of_sync=True))
    put, gone = later.changed_since(before)
    assert {**{id: it for id, it in before.items() if id not in gone}, **put} == dict(later)
    assert len(put) <= more + 1


def test_the_next_ones_follow_and_others_do_not() -> None:
    """2.6: a decision about another session that had the same topic is recognised."""
    before = after(20, 20)
    assert before.added("new", event("new"), 20).follows(before)
    assert after(1, 20).follows(RecentEvents())
    assert not RecentEvents().added("new", event("new"), 20).follows(before)
