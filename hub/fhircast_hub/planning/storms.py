"""Many at once: a process is lost and its subscribers come back, or a shift logs in."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from fhircast_hub.planning.simulation import Storm, seeded, simulate_storm

if TYPE_CHECKING:
    from fhircast_hub.planning.costs import UnitCosts
    from fhircast_hub.planning.site import Rooms, Site
    from fhircast_hub.planning.sizing import Size

_STORM_UTILISATION = 0.85
"""Of a core, what a storm may use: beyond it queues grow faster than they go."""

_LEAST_JITTER_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Return:
    """The subscribers of a process that is lost come back to the others.

    Attributes:
        clients: That come back, of all.
        to_each: To each of the processes that are left (or to the one that is back).
        connect_seconds: Work for each of them, stretched by what else there is to do.
        drain_seconds: Until all are in if they come at the same moment and all wait.
        jitter_seconds: Over how many seconds clients should spread their first try.
        without_jitter: As simulated; None if the processes that are left have no room for it.
        with_jitter: The same with the jitter.
    """

    clients: float
    to_each: int
    connect_seconds: float
    drain_seconds: float
    jitter_seconds: int
    without_jitter: Storm | None
    with_jitter: Storm | None


def return_after_loss(site: Site, rooms: Rooms, unit: UnitCosts, size: Size, seed: int) -> Return:
    """Return how it goes when one process is lost."""
    clients = site.subscriptions / size.processes
    survivors = max(1, size.processes - 1)
    to_each = max(1, ceil(clients / survivors))
    # Sessions that were only in the lost process are gone: nobody publishes before all are back.
    ordinary = size.after_loss.utilisation if size.is_shared else size.after_loss.idle_utilisation
    work = (unit.connect_us + unit.read_us) / 1e6
    free = 1 - ordinary
    if free <= 1 - _STORM_UTILISATION:
        return Return(clients, to_each, work, float("inf"), 0, None, None)
    stretched = work / free
    jitter = ceil(to_each * work / (_STORM_UTILISATION - ordinary))
    jitter = max(_LEAST_JITTER_SECONDS, jitter)

    def storm(spread_seconds: float) -> Storm:
        return simulate_storm(
            seeded(seed),
            clients=to_each,
            connect_seconds=stretched,
            spread_seconds=spread_seconds,
            patience_seconds=rooms.patience_seconds,
        )

    return Return(
        clients=clients,
        to_each=to_each,
        connect_seconds=stretched,
        drain_seconds=to_each * stretched,
        jitter_seconds=jitter,
        without_jitter=storm(0),
        with_jitter=storm(jitter),
    )


@dataclass(frozen=True, slots=True)
class ShiftBegin:
    """A shift logs in.

    Attributes:
        clients: Subscribers that join, at all processes.
        joins_per_second: At each process.
        utilisation: Of the core of each, by joining alone.
    """

    clients: float
    joins_per_second: float
    utilisation: float


def shift_begin(site: Site, unit: UnitCosts, size: Size) -> ShiftBegin:
    """Return how it goes when a shift logs in."""
    clients = site.subscriptions * site.shift_share
    rate = clients / (60 * site.shift_minutes) / size.processes
    return ShiftBegin(clients, rate, rate * (unit.connect_us + unit.read_us) / 1e6)
