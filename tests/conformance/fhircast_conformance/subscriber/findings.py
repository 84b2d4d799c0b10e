"""What was seen of each row, occasion by occasion, and the verdicts that follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from fhircast_conformance.results import CheckResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_conformance.results import Exchange

Finding: TypeAlias = tuple[str, str]
"""A row and what is wrong; "" when it was seen to hold."""


@dataclass(slots=True)
class Findings:
    """Findings of one scenario.

    Attributes:
        wanted: Ids of the rows that are judged in this run.
        seen: Verdict and reasons of each row that had an occasion.
    """

    wanted: frozenset[str]
    seen: dict[str, tuple[Verdict, list[str]]] = field(default_factory=dict)

    def judge(self, row: str, problem: str = "") -> None:
        """Note that a row was seen to hold, or what is wrong."""
        self._note(row, Verdict.FAILED if problem else Verdict.PASSED, problem)

    def judge_all(self, findings: Iterable[Finding]) -> None:
        """Note several."""
        for row, problem in findings:
            self.judge(row, problem)

    def undecided(self, row: str, reason: str) -> None:
        """Note that a row could not be judged though it should have been."""
        self._note(row, Verdict.INCONCLUSIVE, reason)

    def not_applicable(self, row: str, reason: str) -> None:
        """Note why a row is not judged."""
        self._note(row, Verdict.NOT_APPLICABLE, reason)

    def _note(self, row: str, verdict: Verdict, reason: str) -> None:
        if row not in self.wanted:
            return
        known = self.seen.get(row)
        if known is None or _RANK[verdict] < _RANK[known[0]]:
            self.seen[row] = (verdict, [reason] if reason else [])
        elif verdict is known[0] and reason and reason not in known[1] and len(known[1]) < 3:
            known[1].append(reason)

    def results(
        self, name: str, title: str, exchanges: tuple[Exchange, ...], seconds: float
    ) -> list[CheckResult]:
        """Return a result for what passed together, and one for each thing that did not."""
        groups: dict[tuple[Verdict, str], list[str]] = {}
        for row, (verdict, reasons) in self.seen.items():
            groups.setdefault((verdict, "; ".join(reasons)), []).append(row)
        return [
            CheckResult(
                name=name if verdict is Verdict.PASSED else f"{name}.{rows[0]}",
                title=title,
                rows=tuple(rows),
                verdict=verdict,
                reason=reason,
                exchanges=exchanges if verdict is not Verdict.NOT_APPLICABLE else (),
                seconds=round(seconds, 3),
            )
            for (verdict, reason), rows in groups.items()
        ]


_RANK = {
    Verdict.FAILED: 0,
    Verdict.INCONCLUSIVE: 1,
    Verdict.PASSED: 2,
    Verdict.NOT_APPLICABLE: 3,
}
