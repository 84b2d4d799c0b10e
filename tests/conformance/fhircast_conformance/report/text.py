"""The table for the terminal, by family of rows."""

from __future__ import annotations

import textwrap
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from fhircast_conformance.results import RowResult, Run, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNS = {
    Verdict.PASSED: "ok",
    Verdict.FAILED: "FAILED",
    Verdict.NOT_APPLICABLE: "n/a",
    Verdict.INCONCLUSIVE: "?",
}
_SHOWN_EXCHANGES = 12
_SHOWN_REASONS = 3
_WIDTH = 200


def render_text(run: Run, *, verbose: bool = False) -> str:
    """Return the whole report as text.

    Args:
        run: What was found.
        verbose: Show the reasons of rows that are not applicable too.
    """
    lines = [f"{run.subject}   profile {run.profile}   {run.seconds:.0f} s", ""]
    for family, found in groupby(run.rows, key=lambda it: it.row.family):
        rows = list(found)
        lines.append(f"{family:<9} {rows[0].row.section}")
        lines += [line for row in rows for line in _row(row, verbose=verbose)]
        lines.append("")
    lines += [line for row in run.rows if row.verdict is Verdict.FAILED for line in _failure(row)]
    lines += [summary(run), *_advice(run)]
    return "\n".join(lines)


def summary(run: Run) -> str:
    """Return the last line: the counts, and whether it conforms."""
    counts = ", ".join(f"{run.counts[verdict]} {verdict}" for verdict in Verdict)
    if run.is_conformant:
        return f"{counts}. Every SHALL and SHOULD that applies was seen to hold."
    open_ = [it for it in run.rows if it.verdict is Verdict.INCONCLUSIVE and it.row.is_demand]
    return f"{counts}. {len(run.faults)} SHALL or SHOULD broken, {len(open_)} undecided."


def _advice(run: Run) -> Iterator[str]:
    """Say what to look at first, where rows were left undecided."""
    undecided = Counter(
        row.reason for row in run.rows if row.verdict is Verdict.INCONCLUSIVE and row.reason
    )
    for reason, count in undecided.most_common(_SHOWN_REASONS):
        shown = textwrap.shorten(reason, 100, placeholder=" …")
        yield f"  undecided, {count} row{'s' if count > 1 else ''}: {shown}"


def _row(found: RowResult, *, verbose: bool) -> Iterator[str]:
    row = found.row
    title = found.checks[0].title if len(found.checks) == 1 else row.requirement
    shown = textwrap.shorten(title, 72, placeholder=" …")
    yield f"  {SIGNS[found.verdict]:<7}{row.id:<12}{row.strength:<10} {shown}"
    if found.verdict is Verdict.PASSED or not found.reason:
        return
    if found.verdict is not Verdict.NOT_APPLICABLE or verbose:
        yield f"         {'':<12}→ {textwrap.shorten(found.reason, 160, placeholder=' …')}"


def _failure(found: RowResult) -> Iterator[str]:
    row = found.row
    yield f"{row.id} ({row.strength}, {row.source}): {row.requirement}"
    for check in found.checks:
        if check.verdict is not Verdict.FAILED:
            continue
        yield f"  {check.title}"
        yield f"  seen: {check.reason}"
        cut = len(check.exchanges) - _SHOWN_EXCHANGES
        if cut > 0:
            yield f"    … {cut} earlier messages"
        for it in check.exchanges[-_SHOWN_EXCHANGES:]:
            body = " ".join(it.text.split())
            line = f"    {it.at_seconds:7.3f} s  {it.sender} → {it.receiver}  {it.label}  {body}"
            yield line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
    yield ""
