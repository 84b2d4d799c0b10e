"""A plan as text for people."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from fhircast_hub.planning.costs import NAMES

if TYPE_CHECKING:
    from fhircast_hub.planning.plan import Plan
    from fhircast_hub.planning.storms import Return

_WIDTH = 26


def render(plan: Plan) -> str:
    """Return the plan, with what it assumed, as several lines."""
    parts = [
        _demand(plan),
        _size(plan),
        _peak(plan),
        _storms(plan),
        _settings(plan),
        _assumed(plan),
        _warnings(plan),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _row(name: str, value: str) -> str:
    return f"  {name:<{_WIDTH}}{value}"


def _demand(plan: Plan) -> list[str]:
    demand = plan.demand
    megabits_in = demand.peak_bytes_in_per_second * 8 / 1e6
    megabits_out = demand.peak_bytes_out_per_second * 8 / 1e6
    return [
        f"{plan.site.workstations:,} workstations with {plan.site.applications} applications each",
        _row("sessions (topics)", f"{demand.topics:,}"),
        _row("subscriptions", f"{demand.subscriptions:,}"),
        _row(
            "events/s",
            f"{demand.events_per_second:,.1f} in the busiest hour, "
            f"{demand.peak_events_per_second:,.1f} in its busiest minutes",
        ),
        _row("deliveries/s", f"{demand.peak_deliveries_per_second:,.1f} in those minutes"),
        _row("traffic", f"{megabits_in:,.2f} Mbit/s in, {megabits_out:,.2f} Mbit/s out"),
    ]


def _size(plan: Plan) -> list[str]:
    size, usual = plan.size, plan.size.usual
    enough = f"{size.least} would do for the peak"
    if size.is_one_enough:
        enough += ", without Redis"
    if size.processes > size.least:
        enough += "; one may fail"
    lines = [
        "the hub",
        _row("processes", f"{size.processes} ({enough})"),
        _row(
            "CPU", f"{usual.cores:.2g} cores in all, {_share(usual.utilisation)} of each process's"
        ),
        _row("memory of a process", f"{usual.memory_mib:,.0f} MiB"),
        _row("connections of a process", f"{usual.connections:,.0f}"),
        _row("open files of a process", f"ulimit -n {plan.open_files}"),
    ]
    if plan.redis is not None:
        redis = plan.redis
        lines += [
            _row("Redis servers", f"{redis.shards} ({_share(redis.utilisation)} of one core)"),
            _row("memory of Redis", f"{redis.memory_mib:,.0f} MiB"),
        ]
    return lines


def _peak(plan: Plan) -> list[str]:
    peak = plan.peak
    waits = "more comes than can be done"
    if peak.waits is not None:
        mean, p99 = 1e3 * peak.waits.mean, 1e3 * peak.waits.p99
        waits = f"{mean:.2f} ms on average, p99 {p99:.2f} ms"
    return [
        "the busiest minutes, simulated",
        _row("busiest second", f"{peak.events_in_busiest_second:,.0f} events"),
        _row("an event waits", f"{waits}; its work takes {1e3 * peak.work_seconds:.2f} ms"),
    ]


def _storms(plan: Plan) -> list[str]:
    back, shift, after = plan.back, plan.shift, plan.size.after_loss
    lost = "a process is lost" if plan.size.processes > 1 else "the process is started again"
    return [
        lost,
        _row("come back", f"{back.clients:,.0f} subscribers, {back.to_each:,} to each process"),
        _row("CPU of each that is left", f"{_share(after.utilisation)} when all are back"),
        *_return_lines(back),
        "",
        "a shift logs in",
        _row(
            "joins",
            f"{shift.clients:,.0f} in {plan.site.shift_minutes:g} minutes, "
            f"{shift.joins_per_second:.1f}/s at each process ({_share(shift.utilisation)} of it)",
        ),
    ]


def _return_lines(back: Return) -> list[str]:
    if back.with_jitter is None or back.without_jitter is None:
        return [_row("all are back", "never: there is no room for them")]
    at_once = back.without_jitter
    tries = (
        f", {at_once.tries / back.to_each:.1f} tries each" if at_once.tries > back.to_each else ""
    )
    return [
        _row("all at the same moment", f"all back after {at_once.seconds:.1f} s{tries}"),
        _row(
            f"jitter of {back.jitter_seconds} s (advised)",
            f"all back after {back.with_jitter.seconds:.1f} s",
        ),
    ]


def _settings(plan: Plan) -> list[str]:
    if not plan.changes:
        return ["settings of the hub: the defaults let the site through"]
    return [
        "settings of the hub, at each process",
        *(f"  {it.variable}={it.value}  (default {it.default}: {it.why})" for it in plan.changes),
    ]


def _warnings(plan: Plan) -> list[str]:
    if not plan.warnings:
        return []
    lines = [
        line
        for it in plan.warnings
        for line in wrap(it, 100, initial_indent="  - ", subsequent_indent="    ")
    ]
    return ["heed", *lines]


def _assumed(plan: Plan) -> list[str]:
    site, rooms = plan.site, plan.rooms
    kinds = ", ".join(
        f"{getattr(site, it):g} {it}" for it in ("opens", "updates", "selects", "closes")
    )
    bounds = [
        f"{rooms.utilisation:.0%} of a core",
        f"{rooms.connections:,} connections",
        f"{rooms.memory_mib:,g} MiB",
    ]
    assumed = {
        "readings": f"{site.readings_per_hour:g} an hour where somebody reads",
        "where somebody reads": f"{site.busy_share:.0%} of the workstations; peak x "
        f"{site.peak_factor:g}",
        "events of a reading": f"{site.events_per_reading:g}: {kinds}; {site.event_bytes:,} bytes",
        "a session": f"{site.contexts:g} open contexts with {site.resources:g} resources of "
        f"{site.resource_bytes:,} bytes",
        "network addresses": f"{site.addresses:,}",
        "a process, at most": f"{', '.join(bounds)}; ping every {rooms.ping_seconds:g} s",
        "unit costs": ", ".join(f"{it} {getattr(plan.costs.unit, it):g}" for it in NAMES),
        "they are from": plan.costs.source,
    }
    lines = ["assumed (each has a flag)"]
    for name, value in assumed.items():
        lines += wrap(
            value,
            100,
            initial_indent=f"  {name:<{_WIDTH}}",
            subsequent_indent=" " * (_WIDTH + 2),
            break_on_hyphens=False,
        )
    return lines


def _share(value: float) -> str:
    return f"{value:.0%}" if value >= 0.1 or not value else f"{100 * value:.2g}%"
