"""When the latest open happened, and when the hub has to be asked about it."""

from __future__ import annotations

import pytest
from builders import after, case, item, message
from fhircast_subscribers.latest import LatestOpen
from fhircast_subscribers.wire import Notification, encode, read_frame


def opening(seconds: float = 0, name: str = "DiagnosticReport-open") -> Notification:
    event = read_frame(encode(message(name, [item(it) for it in case(1)], at=after(seconds))))
    assert isinstance(event, Notification)
    return event


@pytest.fixture
def latest() -> LatestOpen:
    """Read after a connect, with an open of second 5 as the latest."""
    known = LatestOpen()
    known.connected()
    known.opens(opening(5), moves=True)
    known.follow(opening(5))
    known.confirm(after(5))
    return known


def test_an_older_open_is_late_and_the_hub_is_asked(latest: LatestOpen) -> None:
    """EVT-10, D-26, D-27."""
    assert latest.is_late(opening(4))
    assert latest.is_unsure


def test_an_open_of_the_same_moment_is_not_late(latest: LatestOpen) -> None:
    """D-27: only if it is older."""
    assert not latest.is_late(opening(5))
    assert not latest.is_unsure


def test_no_open_is_late_after_the_close(latest: LatestOpen) -> None:
    """D-26: nothing is current that it could be older than."""
    latest.end(is_sure=True)
    assert not latest.is_late(opening(0))


def test_a_close_in_doubt_leaves_the_moment_and_asks(latest: LatestOpen) -> None:
    """D-26: the hub may show the context still, and pass older opens over."""
    latest.end(is_sure=False)
    assert latest.is_unsure
    assert latest.is_late(opening(4))


def test_the_moment_outlives_a_connection(latest: LatestOpen) -> None:
    """D-45: nothing of before is told again on a resumed connection."""
    latest.connected()
    assert latest.is_unsure
    assert latest.is_late(opening(4))


def test_an_answer_moves_the_moment_forward_only(latest: LatestOpen) -> None:
    """EVT-10, D-27: too late costs a GET, too early shows another patient."""
    latest.confirm(after(3))
    assert latest.opened_at == after(5)
    latest.confirm(after(7))
    assert latest.opened_at == after(7)
    latest.confirm(None)
    assert latest.opened_at == after(7)


def test_the_first_open_of_each_type_is_doubted_if_it_moves_the_context(
    latest: LatestOpen,
) -> None:
    """REP-01: it may be the replay of a context that is not current."""
    latest.opens(opening(6), moves=True)
    latest.opens(opening(6, "Encounter-open"), moves=False)
    assert not latest.is_unsure
    latest.opens(opening(6, "Patient-open"), moves=True)
    assert latest.is_unsure


def test_an_answer_from_before_an_open_or_close_is_told_by_the_turns(latest: LatestOpen) -> None:
    """IRA-SUB-07: it may be the older truth."""
    seen = [latest.turns]
    latest.opens(opening(6), moves=False)
    seen.append(latest.turns)
    latest.closes()
    seen.append(latest.turns)
    latest.connected()
    assert len({*seen, latest.turns}) == 4
