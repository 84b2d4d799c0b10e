"""Who is to be looked at when: one sweep over what is due, instead of a timer for everybody."""

from __future__ import annotations

from math import ceil, inf
from typing import Generic, Protocol, TypeVar

_SLOT_SECONDS = 0.1
_LATEST_SECONDS = 60.0
"""Nobody is put off for longer: so the slots stay few, and nobody is forgotten for good."""


class Listed(Protocol):
    """Who can be on an agenda.

    Attributes:
        due_at: For the agenda: monotonic seconds of the place it has there, inf for none.
    """

    due_at: float


T = TypeVar("T", bound=Listed)


class Agenda(Generic[T]):
    """Places in time, at most one for everybody."""

    def __init__(self) -> None:
        self._slots: dict[int, set[T]] = {}

    def put(self, it: T, at: float, now: float) -> None:
        """Have somebody looked at then, unless that happens earlier anyway.

        Args:
            it: Who.
            at: Monotonic seconds; somewhat earlier if it is far away.
            now: Monotonic seconds.
        """
        at = min(at, now + _LATEST_SECONDS)
        if at < it.due_at:
            self.drop(it)
            it.due_at = at
            self._slots.setdefault(_slot(at), set()).add(it)

    def drop(self, it: T) -> None:
        """Take somebody off."""
        if it.due_at == inf:
            return
        slot = _slot(it.due_at)
        it.due_at = inf
        others = self._slots.get(slot, set())
        others.discard(it)
        if not others:
            self._slots.pop(slot, None)

    def take(self, now: float) -> list[T]:
        """Return who is due, and take them off."""
        due = [slot for slot in self._slots if slot * _SLOT_SECONDS <= now]
        taken = [it for slot in sorted(due) for it in self._slots.pop(slot)]
        for it in taken:
            it.due_at = inf
        return taken


def _slot(at: float) -> int:
    return ceil(at / _SLOT_SECONDS)
