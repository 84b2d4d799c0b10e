"""Unit costs: the file of the package, files of others, and measurements."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fhircast_hub.planning.costs import (
    NAMES,
    BadCosts,
    as_file,
    read_costs,
    shipped_costs,
    unit_costs_from,
)


def rows(*of_hub: dict[str, Any]) -> dict[str, Any]:
    """A scenario, in which another server was measured, too."""
    other = {"server": "starlette", "events": 1, "deliveries": 1, "cpu_us_per_event": 1e9}
    return {"rows": [other, *({"server": "hub", **it} for it in of_hub)], "machine": "two cores"}


def measured() -> dict[str, Any]:
    """Figures of a hub that takes 100 us for an event and 20 us for a delivery."""
    return {
        "S2": rows({"events": 10, "deliveries": 40, "cpu_us_per_event": 180.0}),
        "S3": rows({"events": 10, "deliveries": 10_000, "cpu_us_per_event": 20_100.0}),
        "idle": rows(
            {"tokens": "one token each", "pss_kib_each": 5.0, "pss_kib_before": 51_200},
            {"tokens": "one token for all", "pss_kib_each": 4.0, "pss_kib_before": 51_200},
        ),
        "storm": rows({"cpu_ms_each": 0.7}, {"cpu_ms_each": 0.9}, {"cpu_ms_each": 0.8}),
    }


def test_the_package_has_every_unit_cost_with_its_source() -> None:
    costs = shipped_costs()
    assert set(costs.sources) == set(NAMES)
    assert all(costs.sources.values())
    assert costs.source


def test_a_file_is_read_as_it_was_written() -> None:
    assert read_costs(as_file(shipped_costs())) == shipped_costs()


def test_the_fixed_part_and_the_part_of_each_subscriber_come_apart() -> None:
    unit = unit_costs_from(measured(), shipped_costs()).unit
    assert unit.event_us == pytest.approx(100)
    assert unit.delivery_us == pytest.approx(20)
    assert (unit.connect_us, unit.subscription_kib, unit.process_mib) == (800, 5, 50)


def test_what_was_not_measured_stays_and_says_where_it_is_from() -> None:
    shipped = shipped_costs()
    costs = unit_costs_from(measured(), shipped)
    assert costs.unit.receive_us == shipped.unit.receive_us
    assert costs.sources["receive_us"] == shipped.sources["receive_us"]
    assert "performance.json" in costs.sources["delivery_us"]
    assert "two cores" in costs.source


def nodes(*by_one: float, by_three: tuple[float, ...]) -> dict[str, Any]:
    """Figures of an event at each hub: with the subscribers at one of them, and at all three."""
    return rows(
        *[
            {
                "server": server,
                "hubs_cpu_us": list(each),
                "sum_cpu_us": sum(each),
                "redis_cpu_us": 20.0,
            }
            for server, each in (("held by 1", by_one), ("held by 3", by_three))
        ]
    )


def test_what_sharing_costs_comes_from_hubs_that_share() -> None:
    """An event in memory is 100; two more hubs with subscribers cost 60 more."""
    figures = measured() | {"nodes": nodes(150, 200, 0, by_three=(190, 110, 110))}
    costs = unit_costs_from(figures, shipped_costs())
    unit = costs.unit
    assert (unit.publish_us, unit.receive_us, unit.redis_us) == (50, 30, 20)
    assert "nodes" in costs.sources["receive_us"]


def test_hubs_that_cost_less_the_more_there_are_were_measured_badly() -> None:
    figures = measured() | {"nodes": nodes(150, 200, 0, by_three=(140, 90, 90))}
    with pytest.raises(BadCosts, match="nodes"):
        unit_costs_from(figures, shipped_costs())


@pytest.mark.parametrize("missing", ["S2", "S3", "idle", "storm"])
def test_a_scenario_that_was_not_measured_is_named(missing: str) -> None:
    figures = measured()
    del figures[missing]
    with pytest.raises(BadCosts, match=missing):
        unit_costs_from(figures, shipped_costs())


def test_figures_that_contradict_each_other_are_refused() -> None:
    figures = measured()
    figures["S3"]["rows"][1]["cpu_us_per_event"] = 10.0
    with pytest.raises(BadCosts, match="do not fit together"):
        unit_costs_from(figures, shipped_costs())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file["costs"].pop("event_us"), "event_us missing"),
        (
            lambda file: file["costs"].update(magic_us={"value": 1, "source": ""}),
            "magic_us unknown",
        ),
        (lambda file: file["costs"]["event_us"].update(value=-1), "event_us"),
        (lambda file: file["costs"]["event_us"].update(value="dear"), "no unit costs"),
        (lambda file: file.clear(), "no unit costs"),
    ],
    ids=["missing", "unknown", "negative", "no number", "empty"],
)
def test_a_file_that_is_none_is_refused_with_the_reason(change: Any, said: str) -> None:
    file = json.loads(as_file(shipped_costs()))
    change(file)
    with pytest.raises(BadCosts, match=said):
        read_costs(json.dumps(file).encode())


def test_what_the_caller_gives_wins_and_is_told() -> None:
    costs = shipped_costs().overridden({"event_us": 99})
    assert costs.unit.event_us == 99
    assert costs.sources["event_us"] == "given"
    assert "given by the caller: event_us" in costs.source
