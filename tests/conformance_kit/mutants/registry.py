"""The register of broken hubs, and how a rule is replaced by a fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhircast_hub import hub
from fhircast_hub.protocol import judging

if TYPE_CHECKING:
    import pytest
    from fhircast_conformance.check import Profile
    from fhircast_hub.protocol.events import EventKind

Breaking = Callable[["pytest.MonkeyPatch"], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One broken hub.

    Attributes:
        fault: What it does wrong, in words.
        red: The rows that the kit must turn red, and only those.
        break_it: Puts the fault in place.
        profile: In which it is judged.
    """

    fault: str
    red: frozenset[str]
    break_it: Breaking
    profile: Profile = "base"

    @property
    def name(self) -> str:
        return self.break_it.__name__


MUTANTS: list[Mutant] = []


def mutant(fault: str, *, red: str, profile: Profile = "base") -> Callable[[Breaking], Breaking]:
    """Register a broken hub."""

    def register(break_it: Breaking) -> Breaking:
        MUTANTS.append(Mutant(fault, frozenset(red.split()), break_it, profile))
        return break_it

    return register


def around(patch: pytest.MonkeyPatch, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replace a function by what `make` makes of the original."""
    patch.setattr(owner, name, make(getattr(owner, name)))


def replace_judge(patch: pytest.MonkeyPatch, kind: EventKind, make: Callable[[Any], Any]) -> None:
    patch.setitem(judging._JUDGES, kind, make(judging._JUDGES[kind]))


def alter_get(patch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None]) -> None:
    def altered(original: Any) -> Any:
        def encode(*args: Any, **kwargs: Any) -> bytes:
            view = json.loads(original(*args, **kwargs))
            change(view)
            return json.dumps(view).encode()

        return encode

    around(patch, hub, "encode_current_context", altered)
