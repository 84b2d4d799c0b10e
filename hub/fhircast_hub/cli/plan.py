"""`fhircast plan`: how large a hub a site needs."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from fhircast_hub.planning.costs import BadCosts, UnitCosts, read_costs, shipped_costs
from fhircast_hub.planning.plan import plan_for
from fhircast_hub.planning.site import PRESETS, Rooms, Site
from fhircast_hub.planning.sizing import NoSize
from fhircast_hub.planning.table import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_hub.planning.costs import Costs

    _Decorator = Callable[[Callable[..., None]], Callable[..., None]]

_COUNT = click.IntRange(min=1, max=10_000_000)
_ANY = click.FloatRange(min=0, max=1e9)
_SOME = click.FloatRange(min=0, min_open=True, max=1e9)
_SHARE = click.FloatRange(min=0, max=1)

_SITE: dict[str, tuple[Any, str]] = {
    "workstations": (_COUNT, "Reading places; each has one session."),
    "applications": (_COUNT, "Subscribers at each: worklist, viewer, dictation, AI."),
    "readings_per_hour": (_ANY, "Reports begun in an hour by somebody who reads."),
    "opens": (_ANY, "Opens in a reading."),
    "updates": (_ANY, "Updates in a reading."),
    "selects": (_ANY, "Selections in a reading."),
    "closes": (_ANY, "Closes in a reading."),
    "burst": (click.IntRange(1, 1000), "Events that come at the same moment."),
    "event_bytes": (_COUNT, "Size of an event."),
    "contexts": (_ANY, "Open contexts of a session."),
    "resources": (_ANY, "Resources shared in each of them."),
    "resource_bytes": (_COUNT, "Size of each."),
    "busy_share": (_SHARE, "Of the workstations, where somebody reads in the busiest hour."),
    "peak_factor": (click.FloatRange(min=1, max=1000), "Busiest minutes over the busiest hour."),
    "addresses": (_COUNT, "Network addresses from which the site comes."),
    "shift_minutes": (_SOME, "Time in which a shift logs in."),
    "shift_share": (_SHARE, "Of the workstations, those that log in then."),
}
_ROOMS: dict[str, tuple[Any, str]] = {
    "processes": (_COUNT, "Hub processes; by default as many as are needed, and one more."),
    "utilisation": (
        click.FloatRange(min=0, min_open=True, max=0.95),
        "Of a core, what the peak may use.",
    ),
    "connections": (_COUNT, "That one process holds, at most."),
    "memory_mib": (_SOME, "That one process has."),
    "ping_seconds": (_SOME, "Interval of pings."),
    "patience_seconds": (_SOME, "How long a client waits for a connection."),
}


def _flags(of: type[Site | Rooms], table: dict[str, tuple[Any, str]]) -> _Decorator:
    """Give a command a flag for each field of the table."""
    defaults = {it.name: it.default for it in fields(of)}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for name, (kind, told) in reversed(table.items()):
            default = defaults[name]
            shown = "" if default in (None, MISSING) else f"  [default: {default:g}]"
            flag = f"--{name.replace('_', '-')}"
            command = click.option(flag, name, type=kind, help=told + shown)(command)
        return command

    return decorate


def _cost_flags(command: Callable[..., None]) -> Callable[..., None]:
    for it in reversed(fields(UnitCosts)):
        flag = f"--{it.name.replace('_', '-')}"
        command = click.option(flag, it.name, type=_ANY, help="A unit cost; see below.")(command)
    return command


@click.command(
    epilog="Unit costs end in -us (microseconds of one core), -kib or -mib; docs/scaling.md has "
    "them all. Example: fhircast plan --preset region --readings-per-hour 20"
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="site",
    show_default=True,
    help="What flags leave open.",
)
@_flags(Site, _SITE)
@_flags(Rooms, _ROOMS)
@_cost_flags
@click.option("--unit-costs", type=click.File("rb"), help="File of unit costs measured elsewhere.")
@click.option("--seed", type=click.IntRange(min=0), default=1, help="Of what is simulated.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(
    preset: str, unit_costs: BinaryIO | None, seed: int, *, as_json: bool, **given: Any
) -> None:
    """Size a hub for a site: load, processes, memory, connections, settings.

    The busiest minutes of the busiest hour are computed from unit costs and from how people read,
    queues and the return of everybody after a loss are simulated. The result is as good as what was
    assumed, which is printed with it.

    Exit codes: 0 a plan, 1 no number of processes is enough, 2 wrong use.
    """
    said = {name: value for name, value in given.items() if value is not None}
    site = Site(**{**PRESETS[preset], **_part(said, _SITE)})
    rooms = Rooms(**_part(said, _ROOMS))
    try:
        costs = _costs(unit_costs).overridden(_part(said, {it.name: 0 for it in fields(UnitCosts)}))
        made = plan_for(site, rooms, costs, seed=seed)
    except BadCosts as error:
        raise click.UsageError(f"--unit-costs: {error}") from None
    except NoSize as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(made.as_json()) if as_json else render(made))


def _part(said: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name in names}


def _costs(file: BinaryIO | None) -> Costs:
    return shipped_costs() if file is None else read_costs(file.read())
