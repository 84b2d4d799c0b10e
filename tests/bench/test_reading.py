"""Readings that are made up are ones that the hub takes."""

from __future__ import annotations

from itertools import islice
from random import Random

from bench.reading import EVENTS, readings
from builders import event, judge, new_session


def test_the_hub_takes_every_step_of_a_reading() -> None:
    """As in a room: an update is given the newest version."""
    session, newest = new_session(), ""
    for number, (name, items) in enumerate(islice(readings(Random(1), 0), 200), 1):
        version = newest if name.endswith("-update") else ""
        decision = judge(session, event(name, *items, version_id=version), f"v{number}")
        session, newest = decision.session, decision.answer.version_id or newest
        assert name in EVENTS.split(",")
    assert len(session.contexts) <= 1


def test_the_same_dice_make_the_same_day() -> None:
    first, second = (list(islice(readings(Random(7), 3), 50)) for _ in range(2))
    assert first == second
