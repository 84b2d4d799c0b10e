"""What a site is like: how many people read, how, and where the hub may run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Site:
    """A site, or several that share a hub.

    Attributes:
        workstations: Reading places; each has one session, and all are logged in.
        applications: Subscribers at each of them: worklist, viewer, dictation, AI.
        readings_per_hour: Reports begun in an hour by somebody who reads.
        opens: Events of that kind in a reading, and so on; what comes of them is multiplied.
        updates: As said.
        selects: As said.
        closes: As said.
        burst: Events that come at the same moment when a report is opened.
        event_bytes: Size of an event, on average.
        contexts: Open contexts of a session.
        resources: Shared in each of them.
        resource_bytes: Size of each.
        busy_share: Of the workstations, where somebody reads in the busiest hour.
        peak_factor: Busiest minutes of that hour, compared with all of it.
        addresses: Network addresses from which the hub sees the site (NAT, or its proxies unless
            they are trusted).
        shift_minutes: Time within which a shift logs in.
        shift_share: Of the workstations, those that log in with it.
    """

    workstations: int = 40
    applications: int = 4
    readings_per_hour: float = 15
    opens: float = 1
    updates: float = 8
    selects: float = 6
    closes: float = 1
    burst: int = 2
    event_bytes: int = 2048
    contexts: float = 2
    resources: float = 20
    resource_bytes: int = 1000
    busy_share: float = 0.7
    peak_factor: float = 2
    addresses: int = 1
    shift_minutes: float = 15
    shift_share: float = 0.8

    @property
    def events_per_reading(self) -> float:
        """Events of all kinds."""
        return self.opens + self.updates + self.selects + self.closes

    @property
    def subscriptions(self) -> int:
        """Of the whole site."""
        return self.workstations * self.applications


@dataclass(frozen=True, slots=True)
class Rooms:
    """Where the hub runs, and how much of it may be used.

    Attributes:
        processes: Hub processes, one core each; None for as many as are needed.
        utilisation: Of a core, what the peak may use: the rest is for what no average shows.
        connections: That one process holds: what is lost at once if it dies.
        memory_mib: For each process.
        ping_seconds: Interval of WebSocket pings.
        patience_seconds: How long a client waits for a connection before it tries again.
    """

    processes: int | None = None
    utilisation: float = 0.6
    connections: int = 18_000
    memory_mib: float = 2048
    ping_seconds: float = 15
    patience_seconds: float = 10


PRESETS: dict[str, dict[str, Any]] = {
    "site": {},
    "region": {"workstations": 1500, "addresses": 20},
    "country": {"workstations": 20_000, "addresses": 200},
}
"""A hospital; the hospitals of a region; a country. What they do not name is as in `Site`."""
