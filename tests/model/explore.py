"""Every state that can be reached, each looked at once, the nearest first."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhircast_hub.agenda import Agenda
from fhircast_hub.backends.base import Published, SubscriptionMoved
from fhircast_hub.backends.redis.place import Place
from fhircast_hub.fanout import Fanout, Link
from fhircast_hub.protocol.channel import Channel
from fhircast_hub.protocol.session import Session
from fhircast_hub.protocol.subscription import Subscription
from fhircast_hub.protocol.unanswered import Kept, Unanswered

from model.steps import steps
from model.subscriber import follow_what_came
from model.world import Greeting, Join, Node, Sink, World, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

_CHANGES = (Agenda, Fanout, Link, Channel, Unanswered, Place)
_CHANGES += (Greeting, Join, Node, Sink, World, Writer)  # type: ignore[assignment]  # more of them
_SLOTS = {
    kind: [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
    for kind in _CHANGES
}
"""What changes in place, with the names of its parts; none stands for those of its `__dict__`."""


@dataclass
class Found:
    """What came of a search.

    Attributes:
        states: How many were looked at.
        problem: What is wrong with the last one, "" if nothing.
        trace: Names of the steps that lead there.
        is_whole: Whether there are no others.
    """

    states: int
    problem: str = ""
    trace: tuple[str, ...] = ()
    is_whole: bool = True


def explore(first: World, check: Callable[[World], str], *, most: int = 1_000_000) -> Found:
    """Look at every state, until there is a problem or there are too many.

    Args:
        first: Where to begin.
        check: Returns what is wrong with a state, "" if nothing.
        most: States at which to stop.
    """
    start = _key(first)
    came: dict[Any, tuple[Any, str]] = {start: (None, "")}
    todo = deque([(first, start)])
    while todo:
        world, key = todo.popleft()
        if problem := check(world):
            return Found(len(came), problem, _trace(came, key))
        if len(came) > most:
            return Found(len(came), is_whole=False)
        for name, step in steps(world):
            after: World = _copied(world, {})
            step(after)
            follow_what_came(after)
            reached = _key(after)
            if reached not in came:
                came[reached] = (key, name)
                todo.append((after, reached))
    return Found(len(came))


def _trace(came: dict[Any, tuple[Any, str]], key: Any) -> tuple[str, ...]:
    names: list[str] = []
    while True:
        key, name = came[key]
        if not name:
            return tuple(reversed(names))
        names.append(name)


def _parts(it: Any) -> list[tuple[str, Any]]:
    names = _SLOTS[type(it)] or list(vars(it))
    return [(name, getattr(it, name)) for name in names]


def _copied(it: Any, memo: dict[int, Any]) -> Any:
    """Copy what changes in place, and share all values."""
    kind = type(it)
    if kind in _SLOTS:
        known = memo.get(id(it))
        if known is None:
            known = memo[id(it)] = kind.__new__(kind)
            for name, value in _parts(it):
                setattr(known, name, _copied(value, memo))
        return known
    if kind is dict:
        return {key: _copied(value, memo) for key, value in it.items()}
    if kind in (list, tuple, set):
        return kind([_copied(value, memo) for value in it])
    return it


def _key(world: World) -> Any:
    """Return what is equal for states that are alike: numbers count from the newest one."""
    return _frozen(world, {}, world.number)


def _frozen(it: Any, seen: dict[int, int], now: int) -> Any:
    kind = type(it)
    if kind in _SLOTS:
        if id(it) in seen:
            return seen[id(it)]
        seen[id(it)] = len(seen)
        if isinstance(it, Agenda):
            return None  # no time passes here
        return tuple([_part(*named, seen, now) for named in _parts(it)])
    if kind is dict:
        return tuple([(key, _part("number", value, seen, now)) for key, value in it.items()])
    if kind in (list, tuple, set):
        return tuple([_part("number", value, seen, now) for value in it])
    if kind in (Session, Published):
        return it.revision
    if kind in (SubscriptionMoved, Subscription):
        return it.endpoint_id
    if kind is Kept:
        return it.delivery.id, it.revision, it.deadline
    return it


def _part(name: str, value: Any, seen: dict[int, int], now: int) -> Any:
    if name in ("number", "before", "record") and type(value) is int:
        return now - value if value > 0 else None
    return _frozen(value, seen, now)
