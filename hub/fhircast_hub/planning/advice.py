"""Which settings of the hub a site needs, where the defaults would put it off."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log10
from typing import TYPE_CHECKING

from fhircast_hub.config import Settings, variable_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhircast_hub.planning.model import Demand
    from fhircast_hub.planning.site import Site
    from fhircast_hub.planning.sizing import Size
    from fhircast_hub.planning.storms import Return, ShiftBegin

_ROOM = 1.25
"""Settings are bounds: what is expected has to be well within them."""

OTHER_FILES = 64
"""Open files of a process that are no connections of clients."""

_DEFAULTS = Settings()


@dataclass(frozen=True, slots=True)
class Change:
    """A setting whose default is too low.

    Attributes:
        variable: Its name.
        default: As it is.
        value: As it has to be, at each process.
        why: What is expected.
    """

    variable: str
    default: int
    value: int
    why: str


def changes(
    site: Site, demand: Demand, size: Size, back: Return, shift: ShiftBegin
) -> tuple[Change, ...]:
    """Return the settings that have to be raised; all others may stay."""
    found = (
        _raised(name, expected, why)
        for name, expected, why in _expected(site, demand, size, back, shift)
    )
    return tuple(it for it in found if it is not None)


def open_files(size: Size) -> int:
    """Return the `ulimit -n` that a process needs after the loss of another one."""
    connections = max(_DEFAULTS.max_connections, _rounded(size.after_loss.connections * _ROOM))
    return connections + OTHER_FILES


def _expected(
    site: Site, demand: Demand, size: Size, back: Return, shift: ShiftBegin
) -> Iterator[tuple[str, float, str]]:
    """Return the name of a setting, what is expected of what it bounds, and the reason."""
    survivors = max(1, size.processes - 1)
    connections = size.after_loss.connections
    from_one = 1 / (survivors * site.addresses)
    joins = max(_within_a_minute(back, site), 60 * shift.joins_per_second / site.addresses)
    yield "max_topics", demand.topics, f"{demand.topics:,} sessions"
    yield "max_connections", connections, f"{connections:,.0f} connections of a process"
    yield (
        "max_connections_per_peer",
        (demand.subscriptions + demand.http_connections) * from_one,
        f"connections of one of {site.addresses} addresses",
    )
    for name in ("max_upgrades_per_minute", "max_subscribes_per_minute"):
        yield name, joins, f"{joins:,.0f} join from one address within a minute"
    publishes = 60 * demand.peak_events_per_second * from_one
    yield "max_publishes_per_minute", publishes, f"{publishes:,.0f} events from one address"
    yield "max_reads_per_minute", joins, f"{joins:,.0f} read the context when they are back"
    yield "max_cached_tokens", connections, "each subscriber has a token of its own"
    yield "max_subscribers_per_topic", site.applications, f"{site.applications} in a session"
    yield "max_event_bytes", site.event_bytes, f"events of {site.event_bytes:,} bytes"
    yield "max_open_contexts", site.contexts, f"{site.contexts:g} open contexts of a session"
    yield "max_content_resources", site.resources, f"{site.resources:g} resources of a context"


def _within_a_minute(back: Return, site: Site) -> float:
    """Return how many of one address a process meets in the worst minute."""
    return back.to_each * 60 / max(back.jitter_seconds, 60) / site.addresses


def _raised(name: str, expected: float, why: str) -> Change | None:
    default: int = getattr(_DEFAULTS, name)
    needed = expected * _ROOM
    if needed <= default:
        return None
    return Change(variable_of(name), default, _rounded(needed), why)


def _rounded(value: float) -> int:
    """Return the next value with two digits that count: 23 412 becomes 24 000."""
    if value < 100:
        return ceil(value)
    step: int = 10 ** (int(log10(value)) - 1)
    return ceil(value / step) * step
