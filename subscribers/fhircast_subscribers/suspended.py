"""An application's own state of each report, kept while another one is shown (IRA-SUB-10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

State = TypeVar("State")

MAX_SUSPENDED = 256
"""Reports whose state is kept; beyond, the one untouched for longest goes."""


class Suspended(Generic[State]):
    """State by anchor, bounded; what is not there is made anew, which marks it as used.

    Nothing that must not be lost belongs here: a dictated text is refused room, never dropped.
    """

    def __init__(self, new: Callable[[], State], *, at_most: int = MAX_SUSPENDED) -> None:
        self._new = new
        self._at_most = at_most
        self._states: dict[str, State] = {}

    def __getitem__(self, anchor: str) -> State:
        state = self._states.pop(anchor) if anchor in self._states else self._new()
        self[anchor] = state
        return state

    def __setitem__(self, anchor: str, state: State) -> None:
        self._states.pop(anchor, None)
        self._states[anchor] = state
        while len(self._states) > self._at_most:
            del self._states[next(iter(self._states))]

    def __len__(self) -> int:
        return len(self._states)

    def forget(self, anchor: str) -> None:
        """Drop the state of an anchor."""
        self._states.pop(anchor, None)
