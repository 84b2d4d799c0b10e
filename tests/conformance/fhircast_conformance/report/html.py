"""The report for people: one HTML file with summary, table, and a diagram for each failed row."""

from __future__ import annotations

import re
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from fhircast_conformance.report.sequence import render_sequence
from fhircast_conformance.report.style import STYLE
from fhircast_conformance.report.text import summary
from fhircast_conformance.results import CheckResult, RowResult, Run, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNS = {
    Verdict.PASSED: ("passed", "✓"),
    Verdict.FAILED: ("failed", "✗"),
    Verdict.NOT_APPLICABLE: ("na", "·"),
    Verdict.INCONCLUSIVE: ("open", "?"),
}


_SOURCES = (
    "Source: 2-4 is a page of FHIRcast 3.0.0, fsh a profile of it, #n an issue of its repository; "
    "V1 and RAD-nnn are IHE Integrated Reporting Applications; D-nn is a decision of the catalogue "
    "where the texts are silent or disagree, shown but not counted."
)
_COLUMNS = (
    '<colgroup><col style="width:36px"><col style="width:112px"><col style="width:104px">'
    '<col><col style="width:150px"></colgroup>'
)


def render_html(run: Run, *, what: str = "hub") -> str:
    """Return the report as a page that needs nothing else.

    Args:
        run: What was found.
        what: What was judged: "hub" or "subscriber".
    """
    title = f"FHIRcast 3.0.0 conformance of a {what}, profile {run.profile}"
    return "\n".join(
        (
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{STYLE}</style></head><body><main>",
            *_head(run, title),
            *_findings(run),
            *_table(run),
            "</main></body></html>",
            "",
        )
    )


def _head(run: Run, title: str) -> Iterator[str]:
    yield f"<h1>{escape(title)}</h1>"
    facts = {"Judged": run.subject, "Begun": run.started_at, "Took": f"{run.seconds:.0f} s"}
    yield '<dl class="facts">'
    for name, value in (facts | run.facts).items():
        yield f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
    yield "</dl>"
    state = "passed" if run.is_conformant else "failed"
    yield f'<p class="verdict {state}">{escape(summary(run))}</p>'
    total = max(1, sum(run.counts.values()))
    yield '<div class="bar" role="img" aria-label="Rows by verdict">'
    for verdict, (kind, _) in _SIGNS.items():
        if count := run.counts[verdict]:
            share = f"flex-grow:{count / total:.4f}"
            yield f'<span class="{kind}" style="{share}" title="{count} {verdict}">{count}</span>'
    yield "</div>"
    yield '<p class="legend">'
    for verdict, (kind, sign) in _SIGNS.items():
        yield f'<span class="{kind}">{sign} {run.counts[verdict]} {verdict}</span>'
    yield "</p>"


def _findings(run: Run) -> Iterator[str]:
    found = [it for it in run.rows if it.verdict is Verdict.FAILED]
    if not found:
        return
    yield "<h2>What failed</h2>"
    for row in found:
        yield f'<section class="finding" id="{row.row.id}">'
        yield f"<h3>{row.row.id} <small>{escape(row.row.strength)}</small></h3>"
        yield f"<p>{_prose(row.row.requirement)}</p>"
        yield f'<p class="source">{escape(row.row.source)}</p>'
        for check in row.checks:
            if check.verdict is Verdict.FAILED:
                yield from _failed_check(check)
        yield "</section>"


def _failed_check(check: CheckResult) -> Iterator[str]:
    yield f'<p class="seen"><b>{escape(check.title)}.</b> Seen: {escape(check.reason)}</p>'
    if not check.exchanges:
        return
    yield f'<div class="scroll">{render_sequence(check.exchanges, reason=check.reason)}</div>'
    yield f"<details><summary>{len(check.exchanges)} messages in full</summary><ol>"
    for it in check.exchanges:
        head = f"{it.at_seconds:.3f} s &nbsp; {escape(it.sender)} → {escape(it.receiver)}"
        yield f"<li>{head} &nbsp; <b>{escape(it.label)}</b>"
        if it.text:
            yield f"<pre>{escape(it.text)}</pre>"
        yield "</li>"
    yield "</ol></details>"


def _table(run: Run) -> Iterator[str]:
    yield "<h2>Every row</h2>"
    yield f'<p class="source">{escape(_SOURCES)}</p>'
    for family, found in groupby(run.rows, key=lambda it: it.row.family):
        rows = list(found)
        passed = sum(it.verdict is Verdict.PASSED for it in rows)
        about = f"{escape(rows[0].row.section)}, {passed} of {len(rows)}"
        yield f"<h3>{family} <small>{about}</small></h3>"
        yield '<div class="scroll"><table>'
        yield f"{_COLUMNS}<thead><tr><th></th><th>Row</th><th>Strength</th>"
        yield "<th>Requirement</th><th>Source</th></tr></thead><tbody>"
        for row in rows:
            yield _line(row)
        yield "</tbody></table></div>"


def _line(found: RowResult) -> str:
    kind, sign = _SIGNS[found.verdict]
    row = found.row
    name = f'<a href="#{row.id}">{row.id}</a>' if found.verdict is Verdict.FAILED else row.id
    checked = "".join(f"<li>{_prose(it.title)}</li>" for it in found.checks)
    said = ""
    if found.verdict is not Verdict.PASSED and found.reason:
        said = f'<p class="why">{escape(found.reason)}</p>'
    return (
        f'<tr class="{kind}"><td class="sign" title="{found.verdict}">{sign}</td><td>{name}</td>'
        f"<td>{escape(row.strength)}</td><td>{_prose(row.requirement)}"
        f"<ul>{checked}</ul>{said}</td><td>{escape(row.source)}</td></tr>"
    )


def _prose(text: str) -> str:
    """Return text of the catalogue as HTML: what stands in backquotes is code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
