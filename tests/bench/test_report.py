"""The page says what the figures say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import plots, results
from bench.catalogue import LABELS
from bench.report import page

if TYPE_CHECKING:
    from bench.figures import Results, Row

FACTS = {
    "at": "2026-03-02T12:00+00:00",
    "command": "python run.py",
    "commit": "abc",
    "machine": "a machine",
    "versions": {"python": "3.12"},
    "rounds": 1,
    "scale": 1.0,
    "settings": {},
    "missing": {"node": "node is not installed"},
}


def run(server: str, **figures: Any) -> Row:
    usual = {
        "last_p50_us": 90,
        "last_p99_us": 200,
        "rss_kib": 2048,
        "generator_cpu_share": 0.5,
    }
    cpu = {"cpu_us_per_delivery": 10.0, "cpu_us_per_event": 40.0}
    rates = {"events_per_second": 1000, "deliveries_per_second": 4000}
    return {"server": server, "round": 1, **usual, **cpu, **rates, **figures}


def measured(*rows: Row) -> Results:
    return {"S2": {**FACTS, "rows": list(rows)}}


def test_a_server_has_a_line_with_its_ratio_to_the_baseline() -> None:
    runs = run("hub", missing=1, refused=2), run("starlette", cpu_us_per_delivery=25.0)
    text = page(measured(*runs), LABELS)
    assert "| 10 | 2.5 | - | 40 | 1,000 | 4,000 | 90, 200 | 2 | 50% | 3 |" in text
    assert "| S2, CPU a delivery, times Starlette baseline | ≥ 2 | 2.5 | yes |" in text


def test_what_failed_or_was_missing_is_said() -> None:
    text = page(measured(run("hub"), {"server": "bare", "round": 1, "failed": "…"}), LABELS)
    assert "1 of 2 runs failed." in text
    assert "not measured: node (node is not installed)" in text


def test_each_hub_that_shares_sessions_has_a_figure() -> None:
    common = {"round": 1, "redis_cpu_us": 20.0, "missing": 0}
    one = {"server": "1 hub", "hubs_cpu_us": [400.0], "sum_cpu_us": 400, "busiest_cpu_us": 400}
    two = {"server": "2 hubs", "hubs_cpu_us": [250, 200], "sum_cpu_us": 450, "busiest_cpu_us": 250}
    text = page({"nodes": {**FACTS, "rows": [common | one, common | two]}}, LABELS)
    assert "| 1 hub | 400 |  | 400 | 20 | 2,500 | 1 | 0 |" in text
    assert "| 2 hubs | 250 | 200 | 450 | 20 | 4,000 | 1.6 | 0 |" in text


def test_only_plots_that_are_there_are_shown() -> None:
    assert "latency-S2.svg" not in page(measured(run("hub")), LABELS)
    assert "latency-S2.svg" in page(measured(run("hub")), LABELS, {"latency-S2"})


def test_the_page_is_that_of_the_figures() -> None:
    """Whoever edits it by hand, or forgets to write it anew, is told: --report-only does it."""
    drawn = {it.stem for it in plots.FOLDER.glob("*.svg")}
    assert results.FILE.with_suffix(".md").read_text() == page(results.load(), LABELS, drawn)
