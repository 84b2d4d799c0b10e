"""What a run found: exchanges, the verdict of each check, and from them the verdict of each row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from fhircast_conformance.rows import demand_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_conformance.rows import Row


class Verdict(StrEnum):
    """The judgement of a check or of a row."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One message between two parties.

    Attributes:
        at_seconds: Since the check began.
        sender: Lane of the sender: "hub" or the client's name.
        receiver: Lane of the receiver.
        label: One line: "POST form", "202", "DiagnosticReport-open".
        text: The message itself, cut where it is long; never an Authorization header.
    """

    at_seconds: float
    sender: str
    receiver: str
    label: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: The check's function.
        title: What it checks, in words.
        rows: Ids of the rows that it judges.
        verdict: The judgement.
        reason: Why, when it is not passed.
        exchanges: What went over the wire.
        seconds: How long it took.
    """

    name: str
    title: str
    rows: tuple[str, ...]
    verdict: Verdict
    reason: str = ""
    exchanges: tuple[Exchange, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RowResult:
    """The verdict of one row over all its checks: the worst that was seen."""

    row: Row
    verdict: Verdict
    checks: tuple[CheckResult, ...]

    @property
    def reason(self) -> str:
        """The reasons of the checks that decided the verdict."""
        return "; ".join(
            dict.fromkeys(it.reason for it in self.checks if it.verdict is self.verdict)
        ).strip("; ")

    @property
    def is_fault(self) -> bool:
        """Whether the party under test breaks a SHALL or SHOULD."""
        return self.verdict is Verdict.FAILED and self.row.is_demand


_WORST_FIRST = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED, Verdict.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that one run of a kit found.

    Attributes:
        subject: What was judged: the hub's URL, or the application.
        profile: "base" or "ira".
        started_at: ISO 8601, UTC.
        seconds: Of the whole run.
        checks: In the order of their rows.
        facts: What was found out about the subject, to show at the top of a report.
    """

    subject: str
    profile: str
    started_at: str
    seconds: float
    checks: tuple[CheckResult, ...]
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> list[RowResult]:
        """The verdict of each row, in the catalogue's order as the checks name them."""
        by_row: dict[str, list[CheckResult]] = {}
        for check in self.checks:
            for row_id in check.rows:
                by_row.setdefault(row_id, []).append(check)
        return [
            RowResult(demand_of(row_id), _worst(it.verdict for it in found), tuple(found))
            for row_id, found in sorted(by_row.items(), key=lambda it: _place(it[0]))
        ]

    @property
    def counts(self) -> Counter[Verdict]:
        """Rows by verdict."""
        return Counter(row.verdict for row in self.rows)

    @property
    def faults(self) -> list[RowResult]:
        """Rows of SHALL and SHOULD that failed."""
        return [row for row in self.rows if row.is_fault]

    @property
    def is_conformant(self) -> bool:
        """Whether no SHALL or SHOULD failed and none was left undecided."""
        return not any(
            row.is_fault or (row.verdict is Verdict.INCONCLUSIVE and row.row.is_demand)
            for row in self.rows
        )


def _worst(verdicts: Iterable[Verdict]) -> Verdict:
    return min(verdicts, key=_WORST_FIRST.index)


def _place(row_id: str) -> tuple[int, str]:
    from fhircast_conformance.rows import decisions, rows

    order = [*rows(), *decisions()]
    return order.index(row_id), row_id
