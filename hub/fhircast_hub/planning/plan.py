"""A plan: what was assumed, what it costs, how many processes, what to set, and what to heed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fhircast_hub.planning.advice import Change, changes, open_files
from fhircast_hub.planning.model import (
    Demand,
    Redis,
    demand_of,
    event_us_of,
    processes_per_event,
    redis_of,
)
from fhircast_hub.planning.simulation import Waits, busiest_second, seeded, simulate_queue
from fhircast_hub.planning.sizing import Size, size_of
from fhircast_hub.planning.storms import Return, ShiftBegin, return_after_loss, shift_begin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhircast_hub.planning.costs import Costs
    from fhircast_hub.planning.site import Rooms, Site

SCHEMA = 1
_JOBS = 40_000
_HOUR_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Peak:
    """The busiest minutes, as simulated.

    Attributes:
        events_in_busiest_second: Of an hour of such minutes, at all processes.
        waits: Of an event, in front of a process, in seconds; None if that cannot keep up.
        work_seconds: That an event takes there, with its deliveries.
    """

    events_in_busiest_second: float
    waits: Waits | None
    work_seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a site needs.

    Attributes:
        site: As assumed.
        rooms: As assumed.
        costs: As assumed.
        demand: What comes.
        size: How many processes.
        redis: None if there is one process.
        peak: The busiest minutes.
        back: The subscribers of a lost process come back.
        shift: A shift logs in.
        changes: Settings to raise, at each process.
        open_files: `ulimit -n` of each process.
        warnings: What to heed, in words.
    """

    site: Site
    rooms: Rooms
    costs: Costs
    demand: Demand
    size: Size
    redis: Redis | None
    peak: Peak
    back: Return
    shift: ShiftBegin
    changes: tuple[Change, ...]
    open_files: int
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the plan as it is printed for programs. Times are seconds."""
        held = asdict(self)
        costs = held.pop("costs")
        return {
            "schema": SCHEMA,
            "assumed": {"site": held.pop("site"), "rooms": held.pop("rooms"), "unit_costs": costs},
            **held,
        }


def plan_for(site: Site, rooms: Rooms, costs: Costs, *, seed: int = 1) -> Plan:
    """Plan a hub for a site.

    Args:
        site: Who uses it, and how.
        rooms: Where it runs.
        costs: What one of everything costs.
        seed: Of what is simulated.

    Raises:
        NoSize: No number of processes is enough.
    """
    unit = costs.unit
    demand, size = demand_of(site), size_of(site, rooms, unit)
    redis = redis_of(site, rooms, unit, size.processes) if size.is_shared else None
    back = return_after_loss(site, rooms, unit, size, seed)
    shift = shift_begin(site, unit, size)
    raised = changes(site, demand, size, back, shift)
    return Plan(
        site=site,
        rooms=rooms,
        costs=costs,
        demand=demand,
        size=size,
        redis=redis,
        peak=_peak(site, costs, demand, size, seed),
        back=back,
        shift=shift,
        changes=raised,
        open_files=open_files(size),
        warnings=tuple(_warnings(rooms, size, redis, back, shift)),
    )


def _peak(site: Site, costs: Costs, demand: Demand, size: Size, seed: int) -> Peak:
    """Simulate the busiest minutes of one process, and of all of them the busiest second."""
    unit, n = costs.unit, size.processes
    busiest = busiest_second(
        seeded(seed),
        per_second=demand.peak_events_per_second,
        burst=site.burst,
        seconds=_HOUR_SECONDS,
    )
    # A process does its share of an event: it is requested at one of n, and delivered where
    # subscribers are. As one job of average size this waits as long, and keeps the load as it is.
    work = event_us_of(site, unit) + site.applications * unit.delivery_us
    hops = processes_per_event(site.applications, n)
    if size.is_shared:
        work += unit.publish_us + hops * unit.receive_us
    work_seconds = work / hops / 1e6
    if size.usual.utilisation >= 1 or not demand.peak_events_per_second:
        return Peak(busiest, None, work_seconds)
    # Pings take their share of the core evenly: what is left works as a slower core would.
    slowed = work_seconds / (1 - size.usual.idle_utilisation)
    waits = simulate_queue(
        seeded(seed),
        bursts_per_second=demand.peak_events_per_second * hops / n / site.burst,
        burst=[slowed] * site.burst,
        jobs=_JOBS,
    )
    return Peak(busiest, waits, work_seconds)


def _warnings(
    rooms: Rooms, size: Size, redis: Redis | None, back: Return, shift: ShiftBegin
) -> Iterator[str]:
    if redis is not None:
        yield (
            "several processes share sessions in Redis (FHIRCAST_BACKEND): figures for more than "
            "one process are projections, not measurements"
        )
    if size.processes == 1:
        yield (
            "a single process: if it ends, all sessions are gone, and everybody has to subscribe "
            "again"
        )
    if size.processes < size.least:
        yield f"{size.processes} processes are too few: {size.least} carry the peak"
    elif 1 < size.processes == size.least:
        yield "if one process fails, the others are used beyond what was allowed"
    if size.usual.utilisation >= 1:
        yield "the busiest minutes bring more than the processes can do: queues grow, and break"
    elif size.after_loss.utilisation >= 1:
        yield "after the loss of a process the others cannot keep up"
    if back.with_jitter is None:
        yield "after the loss of a process the others have no room for those who come back"
    elif back.with_jitter.given_up:
        yield f"{back.with_jitter.given_up} clients do not get back in after many tries"
    if shift.utilisation > rooms.utilisation:
        yield f"logging in takes {shift.utilisation:.0%} of each process: spread it over more time"
