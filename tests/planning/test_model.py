"""What a site costs: the formulas of docs/scaling.md, and that more never costs less."""

from __future__ import annotations

from dataclasses import fields, replace
from math import inf

import pytest
from fhircast_hub.planning.costs import UnitCosts, shipped_costs
from fhircast_hub.planning.model import demand_of, load_of, processes_per_event, redis_of
from fhircast_hub.planning.site import PRESETS, Rooms, Site
from fhircast_hub.planning.sizing import NoSize, size_of
from hypothesis import given
from hypothesis import strategies as st

UNIT = shipped_costs().unit
ROOMS = Rooms()

SITES = st.builds(
    Site,
    workstations=st.integers(1, 50_000),
    applications=st.integers(1, 12),
    readings_per_hour=st.floats(0, 60),
    updates=st.floats(0, 50),
    event_bytes=st.integers(500, 50_000),
    busy_share=st.floats(0, 1),
    peak_factor=st.floats(1, 10),
)
UNITS = st.builds(
    UnitCosts,
    **{it.name: st.floats(0, 1000) for it in fields(UnitCosts)},
).map(lambda it: replace(it, process_mib=min(it.process_mib, 100.0)))
PROCESSES = st.integers(1, 60)


def test_a_hospital_by_hand() -> None:
    """40 workstations, 28 busy, 15 readings an hour of 16 events; the peak is twice that."""
    demand = demand_of(Site())
    assert demand.events_per_second == pytest.approx(28 * 15 * 16 / 3600)
    assert demand.peak_events_per_second == pytest.approx(2 * 28 * 15 * 16 / 3600)
    assert demand.peak_deliveries_per_second == pytest.approx(4 * demand.peak_events_per_second)
    assert (demand.topics, demand.subscriptions) == (40, 160)


def test_the_cpu_of_one_process_by_hand() -> None:
    """Events, deliveries and pings, and nothing for Redis."""
    site = Site()
    load = load_of(site, ROOMS, UNIT, 1, is_shared=False)
    events = demand_of(site).peak_events_per_second * (UNIT.event_us + 4 * UNIT.delivery_us)
    pings = 160 / 15 * UNIT.ping_us
    assert load.cores == pytest.approx((events + pings) / 1e6)


def test_the_cpu_of_several_processes_by_hand() -> None:
    """On top: publishing, and receiving wherever the topic has a subscriber."""
    site = Site()
    alone = load_of(site, ROOMS, UNIT, 1, is_shared=False)
    shared = load_of(site, ROOMS, UNIT, 3, is_shared=True)
    hops = 3 * (1 - (2 / 3) ** 4)
    more = demand_of(site).peak_events_per_second * (UNIT.publish_us + hops * UNIT.receive_us)
    assert shared.cores - alone.cores == pytest.approx(more / 1e6)


@given(st.integers(1, 20), st.integers(1, 1000))
def test_an_event_goes_to_no_more_processes_than_there_are_or_subscribers(a: int, n: int) -> None:
    hops = processes_per_event(a, n)
    assert 1 - 1e-9 <= hops <= min(a, n) + 1e-9


@given(SITES, UNITS, PROCESSES, st.integers(1, 1000))
def test_more_workstations_never_cost_less(
    site: Site, unit: UnitCosts, processes: int, more: int
) -> None:
    larger = replace(site, workstations=site.workstations + more)
    small = load_of(site, ROOMS, unit, processes, is_shared=True)
    large = load_of(larger, ROOMS, unit, processes, is_shared=True)
    for name in ("cores", "connections", "memory_mib"):
        assert getattr(large, name) >= getattr(small, name) * (1 - 1e-9)


@given(SITES, UNITS, PROCESSES)
def test_more_processes_never_need_more_of_each(
    site: Site, unit: UnitCosts, processes: int
) -> None:
    few = load_of(site, ROOMS, unit, processes, is_shared=True)
    many = load_of(site, ROOMS, unit, processes + 1, is_shared=True)
    for name in ("utilisation", "connections", "memory_mib"):
        assert getattr(many, name) <= getattr(few, name) * (1 + 1e-9)


@given(SITES, UNITS, PROCESSES, st.sampled_from([it.name for it in fields(UnitCosts)]))
def test_a_dearer_unit_never_makes_it_cheaper(
    site: Site, unit: UnitCosts, processes: int, name: str
) -> None:
    dearer = unit.overridden({name: getattr(unit, name) + 10})
    before = load_of(site, ROOMS, unit, processes, is_shared=True)
    after = load_of(site, ROOMS, dearer, processes, is_shared=True)
    assert after.cores >= before.cores
    assert after.memory_mib >= before.memory_mib


@given(SITES, UNITS, st.integers(1, 2000))
def test_a_larger_site_never_needs_fewer_processes(site: Site, unit: UnitCosts, more: int) -> None:
    larger = replace(site, workstations=site.workstations + more)
    assert size_of(larger, ROOMS, unit).least >= size_of(site, ROOMS, unit).least


@given(SITES, UNITS)
def test_what_is_planned_carries_the_peak_with_one_process_lost(
    site: Site, unit: UnitCosts
) -> None:
    size = size_of(site, ROOMS, unit)
    assert size.processes == size.least + 1
    if not size.is_one_enough:
        assert size.after_loss.utilisation <= ROOMS.utilisation
        assert size.after_loss.connections <= ROOMS.connections
        assert size.after_loss.memory_mib <= ROOMS.memory_mib
        assert size.after_loss.processes == size.least


@given(SITES, UNITS)
def test_redis_servers_stay_within_what_may_be_used(site: Site, unit: UnitCosts) -> None:
    redis = redis_of(site, ROOMS, unit, 4)
    assert redis.utilisation / redis.shards <= ROOMS.utilisation * (1 + 1e-9)


def test_no_number_of_processes_gives_a_process_more_memory() -> None:
    with pytest.raises(NoSize, match="MiB"):
        size_of(Site(), replace(ROOMS, memory_mib=10), UNIT)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_sites_that_fit(preset: str) -> None:
    size = size_of(Site(**PRESETS[preset]), ROOMS, UNIT)
    assert size.after_loss.utilisation < inf
    assert size.least >= 1
