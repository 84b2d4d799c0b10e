"""How many processes a site needs, so that one may fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fhircast_hub.planning.model import load_of

if TYPE_CHECKING:
    from fhircast_hub.planning.costs import UnitCosts
    from fhircast_hub.planning.model import Load
    from fhircast_hub.planning.site import Rooms, Site

_MOST = 100_000


class NoSize(ValueError):
    """No number of processes is enough."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many processes run, and how they fare.

    Attributes:
        least: Processes that carry the peak.
        processes: That run: one more, unless the caller wants another number.
        is_shared: Whether sessions must be in Redis.
        usual: What each has to do.
        after_loss: The same when one of them is gone; of one process, when it is back.
        alone: What a single process without Redis would have to do.
        is_one_enough: Whether a single process could do it.
    """

    least: int
    processes: int
    is_shared: bool
    usual: Load
    after_loss: Load
    alone: Load
    is_one_enough: bool


def size_of(site: Site, rooms: Rooms, unit: UnitCosts) -> Size:
    """Return how many processes a site needs.

    Raises:
        NoSize: None is enough: the bounds of a single process are too tight.
    """
    alone = load_of(site, rooms, unit, 1, is_shared=False)
    is_one_enough = fits(alone, rooms)
    least = _least(site, rooms, unit, is_one_enough=is_one_enough)
    processes = rooms.processes or least + 1
    is_shared = processes > 1
    survivors = max(1, processes - 1)
    return Size(
        least=least,
        processes=processes,
        is_shared=is_shared,
        usual=load_of(site, rooms, unit, processes, is_shared=is_shared),
        after_loss=load_of(site, rooms, unit, survivors, is_shared=is_shared),
        alone=alone,
        is_one_enough=is_one_enough,
    )


def fits(load: Load, rooms: Rooms) -> bool:
    """Whether a process with this load stays within its bounds."""
    return (
        load.utilisation <= rooms.utilisation
        and load.connections <= rooms.connections
        and load.memory_mib <= rooms.memory_mib
    )


def _least(site: Site, rooms: Rooms, unit: UnitCosts, *, is_one_enough: bool) -> int:
    if is_one_enough:
        return 1
    if unit.process_mib >= rooms.memory_mib:
        raise NoSize(f"a process needs {unit.process_mib:g} MiB before anybody has subscribed")
    for processes in range(1, _MOST):
        if fits(load_of(site, rooms, unit, processes, is_shared=True), rooms):
            return processes
    raise NoSize(f"{_MOST} processes are not enough")
