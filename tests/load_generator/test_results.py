"""Figures from books that are known."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from fhircast_bench.events import Script, marked_id
from fhircast_bench.histogram import bars, buckets_of
from fhircast_bench.http_lane import Answer
from fhircast_bench.ledger import Ledger, Sent
from fhircast_bench.limits import advice, told
from fhircast_bench.load import LEAST_EVENT_BYTES, Load
from fhircast_bench.record import Record
from fhircast_bench.results import quantile, results_of
from fhircast_bench.rows import COLUMNS, write_rows
from fhircast_bench.table import render
from hypothesis import given
from hypothesis import strategies as st

LATENCIES = st.lists(st.floats(0.0005, 1e6), min_size=1, max_size=200).map(sorted)


def record(*, events: int = 4, seconds_each: float = 0.5) -> Record:
    """Events due one after the other, answered after 1 ms, with everybody after 2 and 3 ms."""
    ledger = Ledger(topics=1, subscribers=2)
    for number in range(events):
        due_at = 100.0 + number * seconds_each
        event = Sent(0, number, "Patient-open", due_at=due_at, counts=number > 0)
        ledger.send(f"e{number}", event)
        ledger.answer(event, 202, due_at + 0.001)
        ledger.deliver(0, 0, event, due_at + 0.002)
        ledger.deliver(0, 1, event, due_at + 0.003)
    load = Load(topics=1, subscribers=2, events=events - 1, warm_up=1)
    return Record(load, "http://127.0.0.1/hub", ledger, started_at=100.0 + seconds_each)


def test_rates_and_latencies_leave_the_warm_up_out() -> None:
    results = results_of(record(events=4, seconds_each=0.5))
    assert (results.events, results.account.delivered) == (3, 8)
    assert results.seconds == pytest.approx(1.003)
    assert results.events_per_second == pytest.approx(3 / 1.003)
    assert results.deliveries_per_second == pytest.approx(6 / 1.003)
    assert results.answer is not None
    assert results.last is not None
    assert results.answer.p50 == pytest.approx(1)
    assert results.last.p99 == pytest.approx(3)


def test_nothing_sent_gives_no_figures_and_no_fault() -> None:
    results = results_of(Record(Load(), "http://127.0.0.1/hub", Ledger(1, 1)))
    assert (results.events_per_second, results.last, results.problems) == (0.0, None, ())
    assert "0 events/s" in render(results)


def shape(value: Any) -> Any:
    """Names and kinds of what a JSON value holds."""
    if isinstance(value, dict):
        return {key: shape(it) for key, it in value.items()}
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else value


def test_the_json_keeps_its_shape() -> None:
    """Programs read it: whoever changes it raises "schema"."""
    seen = record()
    seen.join_seconds = [0.01]
    seen.hub_cpu_seconds, seen.hub_join_cpu_seconds, seen.hub_memory_bytes = 1.0, 1.0, 4096
    seen.cpu_share = 0.9
    printed = json.loads(json.dumps(results_of(seen).as_json()))
    assert printed["schema"] == 1
    spread = dict.fromkeys(("p50", "p90", "p99", "max"), "number")
    assert shape(printed) == {
        "schema": "number",
        "hub": "http://127.0.0.1/hub",
        "load": {
            "topics": "number",
            "subscribers": "number",
            "in_flight": "number",
            "events": "number",
            "seconds": None,
            "event_bytes": "number",
            "rate": None,
            "acknowledges": True,
            "warm_up": "number",
            "patience_seconds": "number",
        },
        "is_interrupted": False,
        "problems": [],
        "joined": "number",
        "joining_seconds": "number",
        "seconds": "number",
        "events": "number",
        "events_not_sent": "number",
        "events_per_second": "number",
        "deliveries_per_second": "number",
        "latency_ms": dict.fromkeys(("join", "answer", "first_delivery", "last_delivery"), spread),
        "deliveries": dict.fromkeys(
            (
                *("expected", "delivered", "missing", "doubled", "out_of_order"),
                *("unexpected", "strange", "undecided"),
            ),
            "number",
        ),
        "answers": {"202": "number"},
        "other_frames": {},
        "lost_subscribers": {},
        "generator": {"cpu_share": "number", "is_bottleneck": True},
        "hub_process": dict.fromkeys(
            ("cpu_us_per_event", "cpu_us_per_delivery", "cpu_us_per_join", "kib_per_join"), "number"
        ),
    }


def test_a_generator_without_time_left_says_so() -> None:
    seen = record()
    seen.cpu_share = 0.97
    assert "the generator is the bottleneck" in render(results_of(seen))


@given(LATENCIES, st.floats(0.01, 1))
def test_a_quantile_is_a_value_that_so_many_do_not_exceed(
    values: list[float], share: float
) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(it <= found for it in values) >= share * len(values)


@given(LATENCIES)
def test_a_histogram_counts_everything_once_where_it_belongs(values: list[float]) -> None:
    buckets = buckets_of(values)
    assert sum(count for _, _, count in buckets) == len(values)
    for low, high, count in buckets:
        assert count == sum(low < it <= high for it in values)
    assert len(bars(values, "ms")) == len(buckets) <= 40


def test_rows_hold_every_event() -> None:
    file = io.StringIO()
    write_rows(record(events=3), file)
    head, *rows = csv.reader(io.StringIO(file.getvalue()))
    assert tuple(head) == COLUMNS
    named = [dict(zip(head, row, strict=True)) for row in rows]
    assert [it["is_warm_up"] for it in named] == ["1", "0", "0"]
    assert named[1]["last_delivery_ms"] == "3.000"


@pytest.mark.parametrize("size", [LEAST_EVENT_BYTES, 2048, 8192])
def test_events_are_as_large_as_asked_for(size: int) -> None:
    script = Script("abcd1234", "0b0a9f4e-3c0f-4c0e-9a0e-5f6a7b8c9d0e", 12_345, size)
    event_id, name, body = script.event(123_457)
    notification = json.loads(body)
    assert (len(body), name) == (size, "Patient-close")
    assert (notification["id"], marked_id(body)) == (event_id, event_id)
    assert "made up" in notification["event"]["context"][0]["resource"]["text"]["div"]


@pytest.mark.parametrize(
    ("said", "setting"),
    [
        ("too many publishes from this address FHIRCAST_MAX_PUBLISHES_PER_MINUTE", "_PER_MINUTE "),
        ("too many publishes, FHIRCAST_MAX_PUBLISHES_PER_MINUTE_AND_TOKEN", "_AND_TOKEN "),
        ("as many topics as it may D-40, FHIRCAST_MAX_TOPICS", "FHIRCAST_MAX_TOPICS "),
        ("503 too many connections; try again later", "FHIRCAST_MAX_CONNECTIONS "),
        ("slow down", "that limit"),
    ],
)
def test_a_limit_is_named_with_its_setting(said: str, setting: str) -> None:
    assert setting in advice(said)


def test_an_answer_is_told_on_one_line_that_no_terminal_obeys() -> None:
    answer = Answer(429, b"too\nmany \x1b[31m", retry_after="3")
    assert told(answer) == "429 too many [31m (Retry-After: 3)"
