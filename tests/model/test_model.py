"""Commit, delivery and resumption over a shared store, in every order that they may happen in.

Guarantees 1 to 3: whoever has an open socket shows what was committed last, or that is still on its
way to it, or its process knows that it does not hear. The searches here are small; `python -m
model.search` goes further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fhircast_hub.backends.redis.place import Place, Verdict
from fhircast_hub.protocol.channel import Channel

from model import subscriber
from model.checks import what_is_wrong
from model.explore import explore
from model.world import first_world

if TYPE_CHECKING:
    from model.world import Join, Node, World

SMALL: dict[str, dict[str, Any]] = {
    "two writers race": {"todo": [["e1"], ["e2"]]},
    "a line breaks": {"todo": [["e1"]], "breaks": 1},
    "a process dies": {"todo": [["e1"], ["e2"]], "crashes": 1},
    "a socket is lost": {"todo": [["e1"]], "drops": 1},
}


def world_of(todo: list[list[str]], **budget: Any) -> World:
    return first_world(*[list(it) for it in todo], **budget)


@pytest.mark.parametrize(
    ("name", "answers"), [(it, True) for it in SMALL] + [("a socket is lost", False)]
)
def test_nobody_is_left_behind_in_silence(name: str, answers: bool) -> None:
    """CTX-01, REP-01, D-44, D-45: in no order of steps."""
    found = explore(world_of(**SMALL[name], answers=answers), what_is_wrong)
    assert not found.problem, "\n".join(found.trace)
    assert found.is_whole
    assert found.states > 500


@pytest.mark.parametrize(
    ("of", "name", "broken", "world"),
    [
        (Place, "start", lambda *_: None, SMALL["two writers race"]),
        (Place, "compare", lambda *_a, **_k: Verdict.SKIP, SMALL["a line breaks"]),
        (Channel, "needs_replay", False, SMALL["two writers race"]),
    ],
    ids=["never begun", "no look", "no replay"],
)
def test_the_search_finds_what_is_broken_on_purpose(
    monkeypatch: pytest.MonkeyPatch, of: type, name: str, broken: Any, world: dict[str, Any]
) -> None:
    """A search that finds nothing says something only if it can find."""
    monkeypatch.setattr(of, name, broken)
    found = explore(world_of(**world), what_is_wrong, most=60_000)
    assert found.problem
    assert found.trace


def test_following_once_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """D-45: a process may give up while a socket is opened, and would hear of the topic no more."""
    monkeypatch.setitem(subscriber._NEXT, "admitted", _attach_and_follow_no_more)
    found = explore(world_of(**SMALL["a line breaks"]), what_is_wrong)
    assert found.problem
    assert any("give_up" in it for it in found.trace)


def _attach_and_follow_no_more(world: World, join: Join, node: Node) -> None:
    subscriber._attach(world, join, node)
    join.done = "following"
