"""What one of everything costs: unit costs, where they come from, and how they are measured."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from importlib.resources import files
from statistics import median
from typing import TYPE_CHECKING, Any, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class BadCosts(ValueError):
    """A file is none of unit costs, or its measurements do not fit together."""


@dataclass(frozen=True, slots=True)
class UnitCosts:
    """CPU time in microseconds of one core, memory in KiB (MiB for a process).

    Attributes:
        event_us: A context change request of 2 KiB: HTTP, token, rules, answer.
        event_us_per_kib: Each further KiB of it, deliveries included.
        delivery_us: One event to one subscriber, and its acknowledgement.
        connect_us: A subscribe, the connection, the confirmation.
        read_us: A GET of the current context.
        ping_us: A ping and its pong.
        subscription_kib: An idle subscriber, in the process.
        socket_kib: Its connection, in the kernel.
        topic_kib: A session without content.
        process_mib: A process without sessions.
        publish_us: With several processes: an event, on top, where it was requested.
        receive_us: The same event in each process that has a subscriber of its topic.
        redis_us: The same event in Redis.
    """

    event_us: float
    event_us_per_kib: float
    delivery_us: float
    connect_us: float
    read_us: float
    ping_us: float
    subscription_kib: float
    socket_kib: float
    topic_kib: float
    process_mib: float
    publish_us: float
    receive_us: float
    redis_us: float

    def overridden(self, given: Mapping[str, float]) -> Self:
        """Return the costs with some of them replaced."""
        return replace(self, **given)


@dataclass(frozen=True, slots=True)
class Costs:
    """Unit costs and where they come from.

    Attributes:
        unit: The costs.
        source: Of most of them, in words.
        sources: Of each.
    """

    unit: UnitCosts
    source: str
    sources: Mapping[str, str]

    def overridden(self, given: Mapping[str, float]) -> Costs:
        """Return the costs with some of them replaced by what the caller gives."""
        if not given:
            return self
        sources = {**self.sources, **dict.fromkeys(given, "given")}
        source = f"{self.source}; given by the caller: {', '.join(given)}"
        return Costs(self.unit.overridden(given), source, sources)


NAMES = tuple(it.name for it in fields(UnitCosts))


class _Cost(msgspec.Struct, forbid_unknown_fields=True):
    value: float
    source: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    costs: dict[str, _Cost]


def read_costs(text: bytes) -> Costs:
    """Return the unit costs of a file like the one that comes with the package.

    Raises:
        BadCosts: It is none.
    """
    try:
        file = msgspec.json.decode(text, type=_File)
    except msgspec.MsgspecError as error:
        raise BadCosts(f"no unit costs: {error}") from None
    if missing := set(NAMES) - set(file.costs):
        raise BadCosts(f"no unit costs: {', '.join(sorted(missing))} missing")
    if unknown := set(file.costs) - set(NAMES):
        raise BadCosts(f"no unit costs: {', '.join(sorted(unknown))} unknown")
    if wrong := [name for name, it in file.costs.items() if not 0 <= it.value < float("inf")]:
        raise BadCosts(f"unit costs must not be negative: {', '.join(wrong)}")
    values = {name: it.value for name, it in file.costs.items()}
    sources = {name: it.source for name, it in file.costs.items()}
    return Costs(UnitCosts(**values), file.source, sources)


def shipped_costs() -> Costs:
    """Return the unit costs that come with the package."""
    return read_costs(files(__package__).joinpath("unit_costs.json").read_bytes())


def as_file(costs: Costs) -> bytes:
    """Return costs as a file that `read_costs` reads."""
    held = {name: _Cost(getattr(costs.unit, name), costs.sources[name]) for name in NAMES}
    return msgspec.json.format(msgspec.json.encode(_File(costs.source, held)), indent=2) + b"\n"


def unit_costs_from(performance: Mapping[str, Any], others: Costs) -> Costs:
    """Return the costs that the developers' benchmark (docs/performance.json) measured of the hub.

    An event costs a fixed part and a part for each subscriber. `S2` (few subscribers in each
    topic) and `S3` (many in one) are two equations for the two; `storm` has the cost of joining,
    `idle` the memory of a subscriber. `nodes`, if it was measured, has what sharing costs: the same
    subscribers at one hub and at three, so that the difference is two more that receive.

    Args:
        performance: Scenarios with `rows`; those of our hub have `"server": "hub"`.
        others: For what was not measured.

    Raises:
        BadCosts: A scenario is missing, or more subscribers cost less.
    """
    few, many = _per_event(performance, "S2"), _per_event(performance, "S3")
    delivery = (many.cpu_us - few.cpu_us) / (many.deliveries - few.deliveries)
    event = few.cpu_us - few.deliveries * delivery
    if delivery <= 0 or event <= 0:
        raise BadCosts("S2 and S3 do not fit together: measure them again, in one run")
    idle = [it for it in _rows(performance, "idle") if it.get("tokens") != "one token for all"]
    measured = {
        "event_us": (event, "S2 less its deliveries"),
        "delivery_us": (delivery, "S3 and S2: what more subscribers add"),
        "connect_us": (1e3 * _median(_rows(performance, "storm"), "cpu_ms_each"), "storm"),
        "subscription_kib": (_median(idle, "pss_kib_each"), "idle, a token each, PSS"),
        "process_mib": (_median(idle, "pss_kib_before") / 1024, "idle, before it"),
    }
    measured |= _shared_costs(performance, event)
    values = {name: round(value, 2) for name, (value, _) in measured.items()}
    about = performance["S2"]
    where = ", ".join(str(about[key]) for key in ("machine", "at", "commit") if key in about)
    sources = {name: f"docs/performance.json: {source}" for name, (_, source) in measured.items()}
    return Costs(
        others.unit.overridden(values),
        f"this hub, measured ({where}); what stands beside it says so",
        {**others.sources, **sources},
    )


def _shared_costs(performance: Mapping[str, Any], event_us: float) -> dict[str, tuple[float, str]]:
    """Return what an event costs on top with several processes, nothing if it was not measured.

    Raises:
        BadCosts: More processes that receive cost less.
    """
    rows = [it for it in performance.get("nodes", {}).get("rows", ()) if "hubs_cpu_us" in it]
    one, three = ([it for it in rows if it["server"] == f"held by {held}"] for held in (1, 3))
    if not one or not three:
        return {}
    receive = (_median(three, "sum_cpu_us") - _median(one, "sum_cpu_us")) / 2
    publish = median(float(it["hubs_cpu_us"][0]) for it in one) - event_us
    if receive < 0 or publish < 0:
        raise BadCosts("nodes and S2 do not fit together: measure them again, in one run")
    return {
        "publish_us": (publish, "nodes: where it is requested, less an event in memory"),
        "receive_us": (receive, "nodes: what more hubs with subscribers add"),
        "redis_us": (_median(one, "redis_cpu_us"), "nodes: CPU of Redis"),
    }


@dataclass(frozen=True, slots=True)
class _PerEvent:
    cpu_us: float
    deliveries: float


def _per_event(performance: Mapping[str, Any], name: str) -> _PerEvent:
    rows = _rows(performance, name)
    deliveries = median(it["deliveries"] / it["events"] for it in rows)
    return _PerEvent(_median(rows, "cpu_us_per_event"), deliveries)


def _rows(performance: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = list(_of_hub(performance.get(name, {}).get("rows", ())))
    if not found:
        raise BadCosts(f"no scenario {name!r} of the hub in the measurements")
    return found


def _of_hub(rows: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    return (it for it in rows if it.get("server") == "hub" and "failed" not in it)


def _median(rows: list[Mapping[str, Any]], name: str) -> float:
    return median(float(it[name]) for it in rows)
