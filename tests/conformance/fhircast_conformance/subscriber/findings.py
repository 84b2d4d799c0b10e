"""What was seen of each row, occasion by occasion, and the verdicts that follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from fhircast_conformance.results import CheckResult, Verdict
from fhircast_conformance.rows import demand_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_conformance.results import Exchange
    from fhircast_conformance.subscriber.stage import Scenario

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
        self, scenario: Scenario, exchanges: tuple[Exchange, ...], seconds: float
    ) -> list[CheckResult]:
        """Return a result for each row; what went over the wire comes with what did not pass."""
        return [
            CheckResult(
                name=f"{scenario.name}.{row}",
                title=scenario.title if row in scenario.rows else demand_of(row).requirement,
                rows=(row,),
                verdict=verdict,
                reason="; ".join(reasons),
                exchanges=exchanges if verdict in _SHOWN else (),
                seconds=round(seconds, 3),
            )
            for row, (verdict, reasons) in self.seen.items()
        ]


_SHOWN = (Verdict.FAILED, Verdict.INCONCLUSIVE)
_RANK = {
    Verdict.FAILED: 0,
    Verdict.INCONCLUSIVE: 1,
    Verdict.PASSED: 2,
    Verdict.NOT_APPLICABLE: 3,
}
