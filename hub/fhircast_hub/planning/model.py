"""The cost of a site, in closed form: averages of the busiest minutes.

Letters as in docs/scaling.md: W workstations, A applications, L events per second, n processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhircast_hub.planning.costs import UnitCosts
    from fhircast_hub.planning.site import Rooms, Site

_MEASURED_BYTES = 2048
"""Size of the events whose cost is `event_us`."""

_REQUEST_BYTES, _ANSWER_BYTES, _ACK_BYTES, _FRAME_BYTES = 350, 260, 90, 4
"""HTTP head of a request; whole answer; whole acknowledgement; head of a frame."""

_KEEP_ALIVE_SECONDS = 75
"""How long an idle HTTP connection lives (FHIRCAST_IDLE_TIMEOUT_SECONDS)."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What comes to the hub, and what it sends.

    Attributes:
        topics: Sessions.
        subscriptions: Of all sessions.
        http_connections: Kept by those who publish, on average.
        events_per_second: In the busiest hour.
        peak_events_per_second: In its busiest minutes.
        peak_deliveries_per_second: The same.
        peak_bytes_in_per_second: Requests and acknowledgements.
        peak_bytes_out_per_second: Answers and deliveries.
    """

    topics: int
    subscriptions: int
    http_connections: float
    events_per_second: float
    peak_events_per_second: float
    peak_deliveries_per_second: float
    peak_bytes_in_per_second: float
    peak_bytes_out_per_second: float


def demand_of(site: Site) -> Demand:
    """Return what a site asks of its hub."""
    each = site.readings_per_hour * site.events_per_reading / 3600
    busy = site.workstations * site.busy_share
    peak = busy * each * site.peak_factor
    deliveries = peak * site.applications
    idle_for = _KEEP_ALIVE_SECONDS * each / site.applications if site.applications else 0.0
    return Demand(
        topics=site.workstations,
        subscriptions=site.subscriptions,
        http_connections=busy * site.applications * (1 - exp(-idle_for)),
        events_per_second=busy * each,
        peak_events_per_second=peak,
        peak_deliveries_per_second=deliveries,
        peak_bytes_in_per_second=peak * (site.event_bytes + _REQUEST_BYTES)
        + deliveries * _ACK_BYTES,
        peak_bytes_out_per_second=peak * _ANSWER_BYTES
        + deliveries * (site.event_bytes + _FRAME_BYTES),
    )


def processes_per_event(applications: int, processes: int) -> float:
    """Return how many processes have a subscriber of a topic, on average: n (1 - (1 - 1/n)^A)."""
    return processes * (1 - (1 - 1 / processes) ** applications)


def event_us_of(site: Site, unit: UnitCosts) -> float:
    """Return the CPU time of a request of the site's size, without deliveries, in microseconds."""
    beyond_kib = max(0, site.event_bytes - _MEASURED_BYTES) / 1024
    return unit.event_us + beyond_kib * unit.event_us_per_kib


@dataclass(frozen=True, slots=True)
class Load:
    """What each of n processes has to do and to hold.

    Attributes:
        processes: n.
        cores: CPU of all of them, in cores.
        utilisation: Of the core of each.
        idle_utilisation: The same, of pings alone.
        connections: Of each, WebSocket and HTTP.
        memory_mib: Of each, the kernel's sockets included.
    """

    processes: int
    cores: float
    utilisation: float
    idle_utilisation: float
    connections: float
    memory_mib: float


def load_of(site: Site, rooms: Rooms, unit: UnitCosts, processes: int, *, is_shared: bool) -> Load:
    """Return what each process has to do in the busiest minutes.

    Args:
        site: Who uses it.
        rooms: Where it runs.
        unit: What one of everything costs.
        processes: How many share the work.
        is_shared: Whether sessions are kept in Redis, for any process.
    """
    demand = demand_of(site)
    event_us = event_us_of(site, unit) + site.applications * unit.delivery_us
    if is_shared:
        hops = processes_per_event(site.applications, processes)
        event_us += unit.publish_us + hops * unit.receive_us
    pings = demand.subscriptions / rooms.ping_seconds * unit.ping_us / 1e6
    cores = demand.peak_events_per_second * event_us / 1e6 + pings
    held_kib = demand.subscriptions * (unit.subscription_kib + unit.socket_kib)
    held_kib += demand.http_connections * unit.socket_kib
    if not is_shared:
        held_kib += sessions_mib(site, unit) * 1024
    return Load(
        processes=processes,
        cores=cores,
        utilisation=cores / processes,
        idle_utilisation=pings / processes,
        connections=(demand.subscriptions + demand.http_connections) / processes,
        memory_mib=unit.process_mib + held_kib / 1024 / processes,
    )


def sessions_mib(site: Site, unit: UnitCosts) -> float:
    """Return the memory of all sessions with their content, in the process or in Redis."""
    content_kib = site.contexts * site.resources * site.resource_bytes / 1024
    return site.workstations * (unit.topic_kib + content_kib) / 1024


@dataclass(frozen=True, slots=True)
class Redis:
    """What several processes ask of Redis.

    Attributes:
        utilisation: Of one core, by one server for all.
        shards: Servers, so that none is used beyond what may be used.
        memory_mib: Of all sessions.
        bytes_per_second: To and from the processes.
    """

    utilisation: float
    shards: int
    memory_mib: float
    bytes_per_second: float


def redis_of(site: Site, rooms: Rooms, unit: UnitCosts, processes: int) -> Redis:
    """Return what the processes ask of Redis in the busiest minutes."""
    peak = demand_of(site).peak_events_per_second
    used = peak * unit.redis_us / 1e6
    hops = processes_per_event(site.applications, processes)
    return Redis(
        utilisation=used,
        shards=max(1, -int(-used // rooms.utilisation)),
        memory_mib=sessions_mib(site, unit),
        bytes_per_second=peak * site.event_bytes * (1 + hops),
    )
