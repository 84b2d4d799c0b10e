"""What a run says: verdicts of rows from those of checks, and the four reports."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from fhircast_conformance.report.data import render_json, render_junit
from fhircast_conformance.report.html import render_html
from fhircast_conformance.report.sequence import render_sequence
from fhircast_conformance.report.text import render_text
from fhircast_conformance.results import CheckResult, Exchange, Run, Verdict

EXCHANGES = (
    Exchange(0.01, "requester", "hub", "POST Patient-open", '{"id":"1"}'),
    Exchange(0.02, "hub", "requester", "202"),
    Exchange(0.03, "hub", "A <viewer>", "Patient-open", '{"id":"2"}'),
)


def found(row: str, verdict: Verdict, reason: str = "") -> CheckResult:
    exchanges = EXCHANGES if verdict is Verdict.FAILED else ()
    name = f"check_of_{row}_{verdict}"
    return CheckResult(name, f"{row} holds", (row,), verdict, reason, exchanges)


def run_of(*checks: CheckResult) -> Run:
    return Run("http://hub.test", "base", "2026-01-02T03:04:05Z", 1.5, checks)


MIXED = run_of(
    found("SUB-06", Verdict.PASSED),
    found("EVT-05", Verdict.FAILED, "the id is <another>"),
    found("CTX-01", Verdict.NOT_APPLICABLE, "not declared"),
    found("CONF-03", Verdict.INCONCLUSIVE, "joining failed"),
)


def test_the_worst_check_of_a_row_decides() -> None:
    run = run_of(found("SUB-06", Verdict.PASSED), found("SUB-06", Verdict.FAILED, "twice"))
    (row,) = run.rows
    assert (row.verdict, row.reason) == (Verdict.FAILED, "twice")


def test_a_row_with_one_passed_check_is_not_called_not_applicable() -> None:
    run = run_of(found("SUB-06", Verdict.NOT_APPLICABLE), found("SUB-06", Verdict.PASSED))
    assert run.rows[0].verdict is Verdict.PASSED


def test_a_broken_shall_or_an_undecided_one_is_not_conformant() -> None:
    assert run_of(found("SUB-06", Verdict.PASSED)).is_conformant
    assert not run_of(found("SUB-06", Verdict.FAILED)).is_conformant
    assert not run_of(found("SUB-06", Verdict.INCONCLUSIVE)).is_conformant


def test_a_decision_of_the_catalogue_or_a_may_is_shown_but_binds_nobody() -> None:
    run = run_of(found("D-42", Verdict.FAILED), found("SYNC-06", Verdict.FAILED))
    assert run.counts[Verdict.FAILED] == 2
    assert run.is_conformant


def test_the_text_names_row_clause_and_frames_of_a_failure() -> None:
    text = render_text(MIXED)
    assert "FAILED EVT-05" in text
    assert "hub → A <viewer>  Patient-open" in text
    assert "1 SHALL or SHOULD broken, 1 undecided" in text


def test_the_text_ends_with_what_left_rows_undecided() -> None:
    rows = ("SUB-06", "CONF-03", "EVT-05")
    run = run_of(*(found(it, Verdict.INCONCLUSIVE, "joining failed") for it in rows))
    assert render_text(run).endswith("undecided, 3 rows: joining failed")


def test_the_json_holds_every_row_with_its_verdict() -> None:
    value = json.loads(render_json(MIXED))
    assert {row["id"]: row["verdict"] for row in value["rows"]} == {
        "SUB-06": "passed",
        "EVT-05": "failed",
        "CTX-01": "not applicable",
        "CONF-03": "inconclusive",
    }
    assert value["checks"][1]["exchanges"][0]["label"] == "POST Patient-open"


def test_junit_counts_failures_errors_and_skips() -> None:
    suite = ET.fromstring(render_junit(MIXED))
    assert [suite.get(it) for it in ("tests", "failures", "errors", "skipped")] == list("4111")
    (failure,) = suite.iter("failure")
    assert "Patient-open" in (failure.text or "")


def test_junit_survives_characters_that_xml_does_not_have() -> None:
    run = run_of(found("SUB-06", Verdict.FAILED, "a \x00 byte"))
    assert ET.fromstring(render_junit(run)).get("failures") == "1"


def test_the_page_draws_the_messages_of_a_failed_row_and_escapes_what_came() -> None:
    page = render_html(MIXED)
    assert page.count("<svg") == 1
    assert "A &lt;viewer&gt;" in page
    assert "<another>" not in page


def test_the_diagram_ends_with_the_reason_in_lines_that_fit() -> None:
    drawing = ET.fromstring(render_sequence(EXCHANGES, reason="A must get it; nothing <came> " * 9))
    said = [it.text or "" for it in drawing.iter("text") if it.get("class") == "reason"]
    assert said[0].startswith("✗ A must get it; nothing <came>")
    assert len(said) > 1
    assert all(len(it) * 7 < int(drawing.get("width", "0")) for it in said)


def test_the_page_says_in_the_diagram_why_the_row_failed() -> None:
    assert "✗ the id is &lt;another&gt;</text>" in render_html(MIXED)
