"""The checker finds what it is there to find: made-up logs, each with one thing wrong."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from torture.checks import violations
from torture.log import Again, Connection, Frame, Log, Request, Span, View

_WITHIN = 3.0
_TOPIC = "t"


def frame(number: int, name: str = "DiagnosticReport-update", at: float = 0.0) -> Frame:
    """Event e1 opens with version v1, and each one after it makes the next version."""
    prior = f"v{number - 1}" if number > 1 else ""
    kind = "DiagnosticReport-open" if number == 1 else name
    return Frame(
        at or 10.0 + number,
        f"e{number}",
        _TOPIC,
        kind,
        "DiagnosticReport/dr-1",
        f"v{number}",
        prior,
    )


def good() -> Log:
    """Two subscribers that saw five events, and a context that all agree on."""
    log = Log()
    for number in range(1, 6):
        it = frame(number)
        request = Request(it.event_id, _TOPIC, it.name, it.prior, [it.at - 0.2])
        request.status, request.version, request.answered_at = 202, it.version, it.at - 0.1
        log.requests[it.event_id] = request
    for name in ("one", "other"):
        frames = [frame(number) for number in range(1, 6)]
        log.connections.append(Connection(name, _TOPIC, 0, 1.0, 1.1, frames))
    last = View("hub 0", _TOPIC, "DiagnosticReport/dr-1", "v5", {"Observation/o": {"id": "o"}})
    log.at_nodes = [last, replace(last, of="hub 1")]
    log.at_subscribers = [replace(last, of="one"), replace(last, of="other")]
    log.agains = [Again("e5", 202, "v5")]
    return log


def rules(log: Log) -> set[str]:
    """The rules that a log breaks."""
    return {it.rule for it in violations(log, _WITHIN)}


def test_nothing_is_wrong_with_a_good_log() -> None:
    assert violations(good(), _WITHIN) == []


def test_a_gap_between_two_events() -> None:
    """Rule 1: within a connection the log may not jump."""
    log = good()
    del log.connections[1].frames[2]
    assert {"order", "versions", "announced"} <= rules(log)


def test_a_gap_before_a_close_in_time() -> None:
    """Rule 1: nor may it if the connection ends soon after."""
    log = good()
    del log.connections[1].frames[2]
    log.connections[1].closed_at = 15.5
    assert "order" in rules(log)


def test_another_order() -> None:
    """Rule 1: all see the same one."""
    log = good()
    frames = log.connections[1].frames
    frames[2], frames[3] = frames[3], frames[2]
    assert "order" in rules(log)


def test_a_circle() -> None:
    """Rule 1: two who saw parts only may disagree no less."""
    log = good()
    one, other = log.connections
    one.frames, one.closed_at = [frame(2), frame(3)], 13.5
    other.frames, other.closed_at = [replace(frame(3), at=12), replace(frame(2), at=13)], 13.5
    assert "order" in rules(log)


def test_a_doubled_event() -> None:
    """Rule 1: nothing comes twice that was sent once."""
    log = good()
    log.connections[0].frames.append(frame(5))
    assert "doubled" in rules(log)


def test_a_repeated_id_may_come_twice() -> None:
    """D-28: who sends an event again may cause it to be told again."""
    log = good()
    log.requests["e5"].sent_at.append(16.0)
    for it in log.connections:
        it.frames.append(replace(frame(5), at=16.5))
    assert rules(log) == set()


def test_a_version_with_two_successors() -> None:
    """Rule 2: versions are one chain."""
    log = good()
    for it in log.connections:
        it.frames[4] = replace(it.frames[4], prior="v3")
    assert "versions" in rules(log)


def test_an_accepted_update_that_another_one_took_the_place_of() -> None:
    """Rules 1 and 2: a 202 for something lost, though nobody was there to see it."""
    log = good()
    log.requests["x"] = Request("x", _TOPIC, "DiagnosticReport-update", "v3", [5.0], 202, "vx", 5.1)
    for it in log.connections:
        it.confirmed_at = 5.5
    assert rules(log) == {"versions"}


def test_an_answer_with_another_version() -> None:
    """Rule 2: the publisher builds on the version it is told."""
    log = good()
    log.requests["e4"].version = "other"
    assert "versions" in rules(log)


def test_a_subscriber_that_shows_something_else() -> None:
    """Rule 3: in the end all show the same; content counts."""
    log = good()
    log.at_subscribers[1] = replace(log.at_subscribers[1], content={})
    assert rules(log) == {"settled"}


def test_a_hub_that_tells_something_else() -> None:
    log = good()
    log.at_nodes[1] = replace(log.at_nodes[1], version="v4")
    assert rules(log) == {"settled"}


def test_nobody_who_tells() -> None:
    """A run that ended early proves nothing."""
    log = good()
    log.at_subscribers = []
    assert rules(log) == {"settled"}


def test_a_loss_that_is_never_told() -> None:
    """Rule 4: who is connected gets the newest event or is told."""
    log = good()
    del log.connections[1].frames[4]
    assert rules(log) == {"announced"}


@pytest.mark.parametrize(("closed_at", "broken"), [(15.5, set()), (25.0, {"announced"})])
def test_a_loss_that_is_told(closed_at: float, broken: set[str]) -> None:
    """Rule 4: by the end of the connection, in time."""
    log = good()
    del log.connections[1].frames[4]
    log.connections[1].closed_at = closed_at
    assert rules(log) == broken


def test_an_event_that_comes_late() -> None:
    """Rule 4: a screen that is stale for long is no better than one that is told nothing."""
    log = good()
    log.connections[1].frames[4] = frame(5, at=30.0)
    assert rules(log) == {"announced"}


@pytest.mark.parametrize(("node", "broken"), [(0, set()), (1, {"announced"})])
def test_a_stopped_hub_is_forgiven_for_as_long(node: int, broken: set[str]) -> None:
    """Rule 4: it can say nothing; another one's stop is no excuse."""
    log = good()
    log.connections[1].frames[4] = frame(5, at=22.0)
    log.faults.append(Span(14.5, 21.5, "STOP_NODE", node))
    assert rules(log) == broken


def test_an_event_of_another_topic() -> None:
    """Rule 5."""
    log = good()
    log.connections[0].frames.append(replace(frame(6), topic="other"))
    assert "strangers" in rules(log)


def test_an_event_that_nobody_published() -> None:
    """Rule 5: only the hub's own SyncErrors are nobody's."""
    log = good()
    for it in log.connections:
        it.frames.append(Frame(16.0, "s", _TOPIC, "SyncError"))
    assert rules(log) == set()
    for it in log.connections:
        it.frames.append(Frame(17.0, "x", _TOPIC, "Patient-open"))
    assert rules(log) == {"strangers"}


def test_an_event_that_was_refused() -> None:
    """Rule 5: a 409 changes nothing."""
    log = good()
    log.requests["e5"].status = 409
    assert "strangers" in rules(log)


def test_something_is_left_in_redis() -> None:
    """Rule 6."""
    log = good()
    log.left_over = ["fhircast:topics"]
    assert rules(log) == {"left over"}


def test_an_accepted_event_that_is_not_known_any_more() -> None:
    """Rule 1: sent again, it gets the same answer."""
    log = good()
    log.agains = [Again("e5", 202, "v9")]
    assert rules(log) == {"lost"}


def test_what_was_told_again_at_the_start_is_no_part_of_the_order() -> None:
    """D-45: open contexts come first, and may be old; what is live begins behind them."""
    log = good()
    told = [replace(frame(1), at=13.6), replace(frame(4), at=14.0), replace(frame(5), at=15.0)]
    log.connections.append(Connection("third", _TOPIC, 1, 13.4, 13.5, told, closed_at=inf))
    assert rules(log) == set()
