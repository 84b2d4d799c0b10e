"""`fhircast plan` and what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from fhircast_hub.cli.plan import plan
from fhircast_hub.config import load_settings, variable_of
from fhircast_hub.planning.costs import as_file, shipped_costs
from fhircast_hub.planning.plan import Plan, plan_for
from fhircast_hub.planning.site import PRESETS, Rooms, Site
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

COSTS = shipped_costs()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(plan, arguments)


def planned(rooms: Rooms | None = None, **site: Any) -> Plan:
    return plan_for(Site(**site), rooms or Rooms(), COSTS)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_planned_with_what_was_assumed(preset: str) -> None:
    done = run("--preset", preset)
    assert done.exit_code == 0, done.output
    assert "assumed (each has a flag)" in done.output
    assert COSTS.source.split(",")[0] in " ".join(done.output.split())


def test_a_country_is_told_that_several_processes_are_a_projection() -> None:
    assert "are projections" in run("--workstations", "20000").output


def test_one_process_is_planned_if_asked_for_and_its_risk_told() -> None:
    made = planned(Rooms(processes=1))
    assert made.redis is None
    assert made.warnings == (
        "a single process: if it ends, all sessions are gone, and everybody has to subscribe again",
    )


def test_too_few_processes_are_told() -> None:
    made = planned(Rooms(processes=2), workstations=20_000)
    assert any("2 processes are too few" in it for it in made.warnings)


def test_more_than_can_be_done_is_told_and_never_simulated() -> None:
    made = planned(Rooms(processes=1), workstations=5_000_000)
    assert made.peak.waits is None
    assert made.back.with_jitter is None
    assert any("queues grow" in it for it in made.warnings)


def test_a_small_site_needs_no_settings() -> None:
    assert planned().changes == ()


def test_a_large_site_is_told_every_limit_that_it_meets() -> None:
    made = planned(Rooms(processes=4), workstations=20_000, addresses=1, event_bytes=2_000_000)
    raised = {it.variable for it in made.changes}
    assert raised >= {
        "FHIRCAST_MAX_TOPICS",
        "FHIRCAST_MAX_CONNECTIONS",
        "FHIRCAST_MAX_CONNECTIONS_PER_PEER",
        "FHIRCAST_MAX_CACHED_TOKENS",
        "FHIRCAST_MAX_EVENT_BYTES",
    }


@given(st.integers(1, 60_000), st.integers(1, 2000), st.integers(1, 50), st.integers(1, 3_000_000))
@settings(deadline=None, max_examples=25)
def test_the_settings_that_are_advised_are_taken_by_the_hub_and_large_enough(
    workstations: int, applications: int, addresses: int, event_bytes: int
) -> None:
    made = planned(
        workstations=workstations,
        applications=min(applications, 20_000_000 // workstations),
        addresses=addresses,
        event_bytes=event_bytes,
        readings_per_hour=1,
    )
    text = {
        name: str(it.value)
        for it in made.changes
        for name in (it.variable.removeprefix("FHIRCAST_").lower(),)
    }
    checked = load_settings({}, text)
    assert checked.max_topics >= workstations
    assert checked.max_connections >= made.size.after_loss.connections
    assert checked.max_event_bytes >= event_bytes
    assert all(it.value > it.default for it in made.changes)
    assert all(variable_of(name) in {it.variable for it in made.changes} for name in text)


def test_jitter_lets_everybody_back_without_a_second_try() -> None:
    """10 000 subscribers to each process, as slow to connect as a second for 200."""
    costs = COSTS.overridden({"connect_us": 5000})
    back = plan_for(Site(workstations=5000), Rooms(processes=2), costs).back
    assert back.without_jitter is not None
    assert back.with_jitter is not None
    assert back.without_jitter.tries > back.to_each
    assert back.with_jitter.tries == back.to_each


def shape(value: Any) -> Any:
    """Names of what a JSON value holds."""
    if isinstance(value, dict):
        return {key: shape(it) for key, it in value.items()}
    return None


def test_the_json_keeps_its_shape() -> None:
    """Programs read it: whoever changes it raises "schema"."""
    printed = json.loads(run("--json", "--preset", "country").output)
    assert printed["schema"] == 1
    assert list(printed) == [
        *("schema", "assumed", "demand", "size", "redis", "peak", "back", "shift"),
        *("changes", "open_files", "warnings"),
    ]
    assert set(printed["assumed"]) == {"site", "rooms", "unit_costs"}
    load = dict.fromkeys(
        (
            *("processes", "cores", "utilisation", "idle_utilisation"),
            *("connections", "memory_mib"),
        )
    )
    assert shape(printed["size"]) == {
        **dict.fromkeys(("least", "processes", "is_shared", "is_one_enough")),
        **dict.fromkeys(("usual", "after_loss", "alone"), load),
    }
    assert set(printed["demand"]) == {
        *("topics", "subscriptions", "http_connections", "events_per_second"),
        *("peak_events_per_second", "peak_deliveries_per_second"),
        *("peak_bytes_in_per_second", "peak_bytes_out_per_second"),
    }


def test_unit_costs_come_from_a_file_and_single_ones_from_flags(tmp_path: Path) -> None:
    dear = replace(COSTS, source="measured here").overridden({"event_us": 500})
    (tmp_path / "costs.json").write_bytes(as_file(dear))
    done = run("--unit-costs", str(tmp_path / "costs.json"), "--delivery-us", "70", "--json")
    assert done.exit_code == 0, done.output
    held = json.loads(done.output)["assumed"]["unit_costs"]
    assert (held["unit"]["event_us"], held["unit"]["delivery_us"]) == (500, 70)
    assert held["source"].startswith("measured here")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--workstations", "0"), "--workstations"),
        (("--busy-share", "2"), "--busy-share"),
        (("--preset", "planet"), "--preset"),
        (("--event-us", "-1"), "--event-us"),
        (("--utilisation", "1.5"), "--utilisation"),
        (("--unit-costs", "no-such-file.json"), "--unit-costs"),
    ],
)
def test_wrong_use_is_exit_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.output


def test_a_file_that_holds_no_costs_is_exit_2(tmp_path: Path) -> None:
    (tmp_path / "costs.json").write_text("{}")
    done = run("--unit-costs", str(tmp_path / "costs.json"))
    assert done.exit_code == 2
    assert "no unit costs" in done.output


def test_no_size_is_exit_1() -> None:
    done = run("--memory-mib", "1")
    assert done.exit_code == 1
    assert "a process needs" in done.output
