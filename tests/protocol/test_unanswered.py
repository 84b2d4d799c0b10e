"""What a subscriber has not answered yet, within its bounds (D-45)."""

from __future__ import annotations

from math import inf

from fhircast_hub.protocol.delivery import Delivery
from fhircast_hub.protocol.events import parse_event_name
from fhircast_hub.protocol.unanswered import Kept, Unanswered
from msgspec.structs import replace

NAME = parse_event_name("Patient-open")


def kept(revision: int, frame: bytes = b"frame", *, id: str = "") -> Kept:
    return Kept(Delivery(id or f"e{revision}", NAME, frame), revision)


def ids(unanswered: Unanswered) -> list[str]:
    return [it.delivery.id for it in unanswered]


def test_it_keeps_the_order_and_counts_the_bytes() -> None:
    """D-45: in order."""
    unanswered = Unanswered(max_frames=9, max_bytes=99)
    assert all(unanswered.keep(kept(it)) for it in (2, 1, 3))
    assert (ids(unanswered), len(unanswered), unanswered.size) == (["e2", "e1", "e3"], 3, 15)


def test_an_id_that_comes_again_counts_once() -> None:
    """D-28: it moves to its new place."""
    unanswered = Unanswered(max_frames=9, max_bytes=99)
    for it in (kept(1), kept(2), kept(3, id="e1")):
        unanswered.keep(it)
    assert (ids(unanswered), unanswered.size) == (["e2", "e1"], 10)


def test_beyond_its_bounds_the_oldest_goes_and_that_is_told() -> None:
    """D-45: never in silence."""
    frames = Unanswered(max_frames=2, max_bytes=99)
    assert [frames.keep(kept(it)) for it in (1, 2, 3)] == [True, True, False]
    assert (ids(frames), frames.lost_revision) == (["e2", "e3"], 1)
    size = Unanswered(max_frames=9, max_bytes=7)
    assert [size.keep(kept(it)) for it in (1, 2)] == [True, False]
    assert (ids(size), size.lost_revision) == (["e2"], 1)


def test_taking_all_forgets_all() -> None:
    """D-45: the loss as well."""
    unanswered = Unanswered(max_frames=1, max_bytes=99)
    unanswered.keep(kept(1))
    unanswered.keep(kept(2))
    assert [it.revision for it in unanswered.take_all()] == [2]
    assert (len(unanswered), unanswered.size, unanswered.lost_revision) == (0, 0, -1)
    assert unanswered.drop("e2") is None


def test_it_knows_until_when_no_response_is_missing() -> None:
    """D-18: only then they are looked at."""
    unanswered = Unanswered(max_frames=9, max_bytes=99)
    assert unanswered.quiet_until == inf
    for it in (kept(1), replace(kept(2), deadline=10.0), replace(kept(3), deadline=12.0)):
        unanswered.keep(it)
    assert unanswered.quiet_until == 10
    assert [it.id for it in unanswered.take_overdue(10)] == ["e2"]
    assert (ids(unanswered), unanswered.quiet_until) == (["e1", "e3"], 12)
    unanswered.take_all()
    assert unanswered.quiet_until == inf


def test_an_answered_open_takes_along_what_it_replaced_unless_its_answer_is_awaited() -> None:
    """D-45, D-18: an open with a deadline is still missed when that is over."""
    unanswered = Unanswered(max_frames=9, max_bytes=99)
    for it in (kept(1), replace(kept(2), deadline=10.0), kept(3), kept(4)):
        unanswered.keep(it)
    answered = unanswered.answered("e3")
    assert answered is not None
    assert (answered.revision, ids(unanswered)) == (3, ["e2", "e4"])
    assert unanswered.answered("e3") is None
