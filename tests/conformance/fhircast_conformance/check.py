"""Checks: functions that judge rows; how they say what they found.

A check speaks through exceptions. `Failed` is said only by a judging call (`expect`), so that a
hub that breaks one row is not red in all the others: whatever else goes wrong in a check (a set-up
that the hub refuses, a frame that does not come) leaves its rows undecided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn

from fhircast_conformance.rows import demand_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fhircast_conformance.bench import Bench

    Body = Callable[[Bench], Awaitable[None]]

Profile = Literal["base", "ira"]


class Failed(Exception):
    """The hub was seen to break the rows of the check."""


class NotApplicable(Exception):
    """The rows do not bind this hub, or cannot be judged with what the kit was given."""


class Blocked(Exception):
    """A step that the check needs did not work, so its rows cannot be judged."""


@dataclass(frozen=True, slots=True)
class Check:
    """A registered check.

    Attributes:
        rows: Ids of the rows that it judges.
        title: What must be seen, in words.
        profiles: Where it is run.
        body: The check itself.
        patience: Longest time it may take beyond the usual, as a function of the bench; seconds.
    """

    rows: tuple[str, ...]
    title: str
    profiles: frozenset[Profile]
    body: Body
    patience: Callable[[Bench], float] | None = None

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.body.__name__


_REGISTRY: dict[str, Check] = {}


def check(
    *rows: str,
    title: str,
    only: Profile | None = None,
    patience: Callable[[Bench], float] | None = None,
) -> Callable[[Body], Body]:
    """Register a check.

    Args:
        rows: The rows that a failure turns red; the fewer the better.
        title: What must be seen, in words: shown in reports.
        only: The one profile in which it is run; rows of IRA are run in that profile by themselves.
        patience: Seconds that it may take beyond the usual, computed from the timers.

    Raises:
        KeyError: There is no such row.
        ValueError: Two checks have one name.
    """
    if only is None and any(demand_of(row).is_ira for row in rows):
        only = "ira"

    def register(body: Body) -> Body:
        if body.__name__ in _REGISTRY:
            raise ValueError(f"two checks are called {body.__name__}")
        both: frozenset[Profile] = frozenset({"base", "ira"})
        profiles: frozenset[Profile] = both if only is None else frozenset({only})
        _REGISTRY[body.__name__] = Check(rows, title, profiles, body, patience)
        return body

    return register


def registered() -> tuple[Check, ...]:
    """Return every check that was registered."""
    return tuple(_REGISTRY.values())


def expect(condition: object, otherwise: str) -> None:
    """Judge.

    Args:
        condition: What must hold.
        otherwise: What is said when it does not: what was seen, and what should have been.

    Raises:
        Failed: It does not hold.
    """
    if not condition:
        raise Failed(otherwise)


def fail(reason: str) -> NoReturn:
    """Say that the hub was seen to break the rows.

    Raises:
        Failed: Always.
    """
    raise Failed(reason)
