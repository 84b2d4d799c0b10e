"""Where a process is in what a topic publishes; plain values, no server."""

from __future__ import annotations

import pytest
from fhircast_hub.backends.redis.place import Place, Verdict


def at(number: int, life: bytes = b"a") -> Place:
    place = Place()
    place.start(life, number)
    return place


@pytest.mark.parametrize(
    ("life", "number", "verdict"),
    [
        (b"a", 6, Verdict.TAKE),
        (b"a", 5, Verdict.SKIP),
        (b"a", 1, Verdict.SKIP),
        (b"a", 7, Verdict.LOST),
        (b"b", 1, Verdict.GONE),
        (b"b", 6, Verdict.GONE),
    ],
)
def test_what_is_published_is_judged_by_its_number(
    life: bytes, number: int, verdict: Verdict
) -> None:
    """Guarantee 3: the next one is taken; a missing one is noticed; another session is no next."""
    assert at(5).hear(life, number) is verdict


def test_it_goes_on_after_a_loss() -> None:
    """Guarantee 3: a loss is told once."""
    place = at(5)
    assert place.hear(b"a", 9) is Verdict.LOST
    assert place.hear(b"a", 10) is Verdict.TAKE


def test_a_topic_that_is_followed_before_it_is_made() -> None:
    """D-40: its first event is the next one."""
    assert at(0, b"").hear(b"a", 1) is Verdict.TAKE
    assert at(0, b"").hear(b"a", 2) is Verdict.GONE


def test_what_comes_before_the_first_look_is_in_it() -> None:
    """REP-01: who joins loads a session that has it."""
    place = Place()
    assert place.hear(b"a", 7) is Verdict.SKIP
    place.start(b"a", 6)
    assert place.hear(b"a", 8) is Verdict.TAKE


def test_a_second_look_moves_nothing() -> None:
    """Guarantee 2: what is on its way is for channels that are here already."""
    place = at(5)
    place.start(b"a", 7)
    assert place.hear(b"a", 6) is Verdict.TAKE
    place.start(b"b", 0)
    assert place.hear(b"b", 1) is Verdict.TAKE


@pytest.mark.parametrize(
    ("life", "number", "heard", "verdict"),
    [
        (b"a", 5, 5, Verdict.SKIP),
        (b"a", 6, 7, Verdict.SKIP),
        (b"a", 6, 5, Verdict.LOST),
        (b"a", 4, 5, Verdict.LOST),
        (b"b", 5, 5, Verdict.GONE),
        (b"", 0, 5, Verdict.GONE),
    ],
)
def test_a_look_after_a_break(life: bytes, number: int, heard: int, verdict: Verdict) -> None:
    """Guarantee 3: more than was heard, or less than before it: either is a loss."""
    place = at(5)
    for it in range(6, heard + 1):
        place.hear(b"a", it)
    assert place.compare(life, number, before=5) is verdict
    assert Place().compare(life, number, before=0) is Verdict.SKIP


def test_an_endpoint_belongs_to_the_process_that_was_joined_last() -> None:
    """D-44: in the order in which the store has it, whichever is heard of first."""
    place = at(5)
    place.note_join("endpoint", 8)
    place.hear(b"a", 6)
    assert not place.is_moved("endpoint", 6, is_own=False), "joined here after that"
    place.hear(b"a", 7)
    place.hear(b"a", 8)
    assert not place.is_moved("endpoint", 8, is_own=True)
    place.hear(b"a", 9)
    assert place.is_moved("endpoint", 9, is_own=False)
    place.note_join("endpoint", 9)
    assert place.joins == {}
