"""The catalogue of requirements: what is demanded, how strongly, of whom, by which text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec


@dataclass(frozen=True, slots=True)
class Row:
    """One testable requirement.

    Attributes:
        id: Such as "SUB-06".
        section: The catalogue's section.
        strength: The text's own word; "(d)" is a decision where the text is silent.
        actor: Who is bound: hub, sub (any subscriber), req (who requests a change), AS, a role.
        requirement: What is demanded, in our words.
        test: How it is seen on the wire.
        source: The governing text: a page of FHIRcast 3.0.0 ("2-4"), a profile ("fsh X"), a
            section or transaction of IHE IRA ("V1 1.1.8", "RAD-150"), a decision ("D-08").
    """

    id: str
    section: str
    strength: str
    actor: str
    requirement: str
    test: str
    source: str

    @property
    def family(self) -> str:
        """Rows of one family are shown together: "SUB", "IRA-HUB"."""
        return self.id.rpartition("-")[0]

    @property
    def is_ira(self) -> bool:
        """Whether the row binds in the IRA profile only."""
        return self.id.startswith("IRA-")

    @property
    def binds_hub(self) -> bool:
        """Whether a hub is bound by it."""
        return "hub" in self.actor.split(", ")

    @property
    def is_demand(self) -> bool:
        """Whether a failure is a fault: any SHALL and SHOULD; not a MAY, not a decision."""
        return (
            self.strength.removeprefix("IRA ")
            .upper()
            .startswith(("SHALL", "SHOULD", "CONDITIONAL", "REQUIRED", "GRAMMAR", "MAY / SHOULD"))
        )


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """A place where the texts are silent or contradict each other, and what was decided.

    Attributes:
        id: Such as "D-41".
        question: Where the texts leave it open.
        decision: What this catalogue takes as right.
        why: The reason.
        source: The texts.
    """

    id: str
    question: str
    decision: str
    why: str
    source: str


class _Catalogue(msgspec.Struct, frozen=True):
    about: str
    rows: list[Row]
    decisions: list[Ambiguity]


@cache
def _catalogue() -> _Catalogue:
    data = files(__package__).joinpath("requirements.json").read_bytes()
    return msgspec.json.decode(data, type=_Catalogue)


@cache
def rows() -> dict[str, Row]:
    """Return every row by its id, in the catalogue's order."""
    return {row.id: row for row in _catalogue().rows}


@cache
def decisions() -> dict[str, Ambiguity]:
    """Return every decision by its id."""
    return {it.id: it for it in _catalogue().decisions}


def demand_of(row_id: str) -> Row:
    """Return a row; a decision is shown as a row of strength "(d)".

    Raises:
        KeyError: There is no such row.
    """
    if row_id in rows():
        return rows()[row_id]
    it = decisions()[row_id]
    return Row(row_id, "Decisions", "(d)", "hub", it.decision, it.question, it.source)
