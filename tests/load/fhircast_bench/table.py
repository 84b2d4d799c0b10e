"""The figures of a run as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_bench.histogram import bars

if TYPE_CHECKING:
    from fhircast_bench.load import Load
    from fhircast_bench.results import Results, Spread


def render(results: Results) -> str:
    """Return everything that is worth a look, several lines."""
    record = results.record
    lines = [
        f"hub         {record.url}",
        f"load        {described(record.load)}",
        f"joined      {len(record.join_seconds)} subscribers in {record.joining_seconds:.2f} s",
        f"measured    {results.events} events in {results.seconds:.2f} s"
        + ("  (interrupted)" if record.is_interrupted else ""),
        "",
        _rates(results),
        "",
        *_latencies(results),
        "",
        *_books(results),
    ]
    if results.latencies:
        lines += ["", "last delivery, events by latency", *bars(results.latencies, "ms")]
    if results.problems:
        lines += ["", *results.problems]
    return "\n".join(lines)


def _rates(results: Results) -> str:
    events, deliveries = results.events_per_second, results.deliveries_per_second
    return f"            {events:,.0f} events/s   {deliveries:,.0f} deliveries/s"


def described(load: Load) -> str:
    """Return a load in words."""
    pace = f"{load.rate:g} events/s" if load.rate is not None else f"{load.lanes} in flight"
    return ", ".join(
        [
            f"{load.topics} topics x {load.subscribers} subscribers",
            f"events of {load.event_bytes} bytes",
            pace,
            "acknowledged" if load.acknowledges else "not acknowledged",
            *([f"warm-up {load.warm_up}"] if load.warm_up else []),
        ]
    )


def _latencies(results: Results) -> list[str]:
    since = "when it was due" if results.record.load.rate is not None else "the request"
    return [
        f"ms since {since:<15}     p50       p90       p99       max",
        _line("answer", results.answer),
        _line("first delivery", results.first),
        _line("last delivery", results.last),
        _line("join", results.join),
    ]


def _line(name: str, spread: Spread | None) -> str:
    if spread is None:
        return f"  {name:<22}         -         -         -         -"
    figures = (spread.p50, spread.p90, spread.p99, spread.max)
    return f"  {name:<22}" + "".join(f"{it:>10.2f}" for it in figures)


def _books(results: Results) -> list[str]:
    account, record = results.account, results.record
    answers = ", ".join(
        f"{it} x {status or 'none'}" for status, it in sorted(record.ledger.statuses.items())
    )
    wrong = (
        f"{account.missing} missing, {account.doubled} doubled, {account.out_of_order} out of order"
    )
    lines = [
        f"deliveries  {account.delivered} of {account.expected}: {wrong}",
        f"answers     {answers or 'none'}",
    ]
    if record.cpu_share is not None:
        warning = ""
        if results.is_bottleneck:
            warning = ": the generator is the bottleneck; its own delays are in the figures"
        lines.append(f"generator   {record.cpu_share:.0%} of one CPU{warning}")
    if (hub := results.hub) is not None:
        lines.append(
            f"hub         CPU {hub.cpu_us_per_event:.0f} us an event with its deliveries"
            f" ({hub.cpu_us_per_delivery:.0f} us a delivery), {hub.cpu_us_per_join:.0f} us a join;"
            f" {hub.kib_per_join:.0f} KiB a subscriber"
        )
    return lines
