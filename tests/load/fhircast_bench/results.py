"""Figures of a run, made from what was seen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from fhircast_bench.limits import advice, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fhircast_bench.ledger import Account, Sent
    from fhircast_bench.record import Record

SCHEMA = 1
_BOTTLENECK_SHARE = 0.85
"""Share of one CPU beyond which the generator itself makes latencies worse."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took, in milliseconds: half of it at most p50, and so on."""

    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class HubCost:
    """What the hub's process used.

    Attributes:
        cpu_us_per_event: CPU time for an event with all its deliveries, in microseconds.
        cpu_us_per_delivery: The same time, divided by the deliveries.
        cpu_us_per_join: CPU time for a subscribe, the connection and its confirmation.
        kib_per_join: Memory that a subscriber added; coarse if there are few.
    """

    cpu_us_per_event: float
    cpu_us_per_delivery: float
    cpu_us_per_join: float
    kib_per_join: float


@dataclass(frozen=True, slots=True)
class Results:
    """The figures of a run. Rates and latencies are of the events that count, after the warm-up.

    Attributes:
        record: What they are made from.
        account: Of all events.
        problems: What was not as it has to be, in words; empty if all was.
        seconds: From the first event that counts to the last thing that came of one.
        events: Accepted ones that count.
        events_per_second: Of these.
        deliveries_per_second: Of these.
        join: From subscribe to confirmation; None if nobody joined.
        answer: Until the answer to the request.
        first: Until the first subscriber had it.
        last: Until the last one had it.
        latencies: Until the last one had it, of each event, in milliseconds, in order of size.
        hub: None if its process was not watched.
    """

    record: Record
    account: Account
    problems: tuple[str, ...]
    seconds: float
    events: int
    events_per_second: float
    deliveries_per_second: float
    join: Spread | None
    answer: Spread | None
    first: Spread | None
    last: Spread | None
    latencies: tuple[float, ...]
    hub: HubCost | None

    @property
    def is_bottleneck(self) -> bool:
        """Whether the generator had so little time left that latencies are its own, too."""
        share = self.record.cpu_share
        return share is not None and share >= _BOTTLENECK_SHARE

    def as_json(self) -> dict[str, Any]:
        """Return the figures as they are printed for programs."""
        record = self.record
        return {
            "schema": SCHEMA,
            "hub": record.url,
            "load": asdict(record.load),
            "is_interrupted": record.is_interrupted,
            "problems": list(self.problems),
            "joined": len(record.join_seconds),
            "joining_seconds": record.joining_seconds,
            "seconds": self.seconds,
            "events": self.events,
            "events_not_sent": record.not_sent,
            "events_per_second": self.events_per_second,
            "deliveries_per_second": self.deliveries_per_second,
            "latency_ms": {
                name: None if spread is None else asdict(spread)
                for name, spread in (
                    ("join", self.join),
                    ("answer", self.answer),
                    ("first_delivery", self.first),
                    ("last_delivery", self.last),
                )
            },
            "deliveries": asdict(self.account),
            "answers": {str(key): it for key, it in sorted(record.ledger.statuses.items())},
            "other_frames": dict(record.ledger.others),
            "lost_subscribers": dict(record.losses),
            "generator": {"cpu_share": record.cpu_share, "is_bottleneck": self.is_bottleneck},
            "hub_process": None if self.hub is None else asdict(self.hub),
        }


def results_of(record: Record) -> Results:
    """Make the figures of a run."""
    counted = [it for it in record.ledger.sent if it.counts and it.is_accepted]
    complete = [it for it in counted if record.ledger.is_complete(it)]
    ended_at = max((max(it.answered_at, it.last_at) for it in counted), default=0.0)
    seconds = max(0.0, ended_at - record.started_at)
    account = record.ledger.account()

    def rate(count: int) -> float:
        return count / seconds if seconds else 0.0

    last = _milliseconds(complete, lambda it: it.last_at)
    return Results(
        record=record,
        account=account,
        problems=tuple(_problems(record, account)),
        seconds=seconds,
        events=len(counted),
        events_per_second=rate(len(counted)),
        deliveries_per_second=rate(sum(it.deliveries for it in counted)),
        join=spread_of(sorted(1000 * it for it in record.join_seconds)),
        answer=spread_of(_milliseconds(counted, lambda it: it.answered_at)),
        first=spread_of(_milliseconds([it for it in counted if it.deliveries], _first_at)),
        last=spread_of(last),
        latencies=tuple(last),
        hub=_cost_of(record, account),
    )


def quantile(ordered: list[float], share: float) -> float:
    """Return the smallest value that is not less than a share of them (nearest rank)."""
    return ordered[max(1, ceil(share * len(ordered))) - 1]


def spread_of(ordered: list[float]) -> Spread | None:
    """Return the spread of values in order of size, None if there are none."""
    if not ordered:
        return None
    return Spread(*(quantile(ordered, share) for share in (0.5, 0.9, 0.99, 1.0)))


def _first_at(event: Sent) -> float:
    return event.first_at


def _milliseconds(events: list[Sent], end: Callable[[Sent], float]) -> list[float]:
    return sorted(1000 * (end(it) - it.due_at) for it in events)


def _problems(record: Record, account: Account) -> Iterable[str]:
    if record.stopped_by is not None:
        yield f"the hub put the run off: {told(record.stopped_by)}"
        yield f"to do: {advice(record.stopped_by.said)}"
    elif record.first_error is not None:
        refused = sum(
            it for status, it in record.ledger.statuses.items() if not 200 <= status < 300
        )
        yield f"{refused} events not accepted; the first: {told(record.first_error)}"
    for count, words in (
        (account.missing, "deliveries are missing"),
        (account.doubled, "deliveries came a second time"),
        (account.out_of_order, "deliveries came after a later event"),
        (account.unexpected, "deliveries are of events that the hub refused"),
        (account.strange, "deliveries are of events that nobody sent to that topic"),
    ):
        if count:
            yield f"{count} {words}"
    for what, count in record.ledger.others.items():
        yield f"{count} x {what}"
    for why, count in record.losses.items():
        yield f"{count} subscribers lost: {why}"
    if record.not_sent:
        yield f"{record.not_sent} events were due and not sent: the hub answers too slowly"


def _cost_of(record: Record, account: Account) -> HubCost | None:
    cpu, join_cpu, memory = (
        record.hub_cpu_seconds,
        record.hub_join_cpu_seconds,
        record.hub_memory_bytes,
    )
    if cpu is None or join_cpu is None or memory is None:
        return None
    events, joined = max(1, len(record.ledger.sent)), max(1, len(record.join_seconds))
    return HubCost(
        cpu_us_per_event=1e6 * cpu / events,
        cpu_us_per_delivery=1e6 * cpu / max(1, account.delivered),
        cpu_us_per_join=1e6 * join_cpu / joined,
        kib_per_join=memory / 1024 / joined,
    )
