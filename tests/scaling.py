"""docs/scaling.md: its tables of unit costs and of the presets.

    python tests/scaling.py                             write them
    python tests/scaling.py --check                     fail if the page is not current
    python tests/scaling.py --costs FILE                take the unit costs from measurements first

FILE is docs/performance.json, as the developers' benchmark writes it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fhircast_hub.planning.costs import (
    NAMES,
    BadCosts,
    Costs,
    as_file,
    shipped_costs,
    unit_costs_from,
)
from fhircast_hub.planning.plan import Plan, plan_for
from fhircast_hub.planning.site import PRESETS, Rooms, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "scaling.md"
COSTS = ROOT / "hub" / "fhircast_hub" / "planning" / "unit_costs.json"

_ROWS: dict[str, Callable[[Plan], str]] = {
    "workstations": lambda it: f"{it.site.workstations:,}",
    "subscriptions": lambda it: f"{it.demand.subscriptions:,}",
    "events/s, busiest hour": lambda it: f"{it.demand.events_per_second:,.1f}",
    "events/s, busiest minutes": lambda it: f"{it.demand.peak_events_per_second:,.1f}",
    "deliveries/s, the same": lambda it: f"{it.demand.peak_deliveries_per_second:,.1f}",
    "Mbit/s out, the same": lambda it: f"{it.demand.peak_bytes_out_per_second * 8 / 1e6:,.2f}",
    "busiest second, events": lambda it: f"{it.peak.events_in_busiest_second:,.0f}",
    "processes for the peak": lambda it: f"{it.size.least}",
    "processes, one may fail": lambda it: f"{it.size.processes}",
    "CPU in all, cores": lambda it: f"{it.size.usual.cores:.2g}",
    "CPU of each process's core": lambda it: f"{100 * it.size.usual.utilisation:.2g} %",
    "memory of each, MiB": lambda it: f"{it.size.usual.memory_mib:,.0f}",
    "connections of each": lambda it: f"{it.size.usual.connections:,.0f}",
    "an event waits, mean / p99, ms": lambda it: (
        f"{1e3 * it.peak.waits.mean:.2f} / {1e3 * it.peak.waits.p99:.2f}" if it.peak.waits else "-"
    ),
    "Redis, of one core": lambda it: f"{100 * it.redis.utilisation:.2g} %" if it.redis else "-",
    "a process is lost: come back": lambda it: f"{it.back.clients:,.0f}",
    "all back, at the same moment, s": lambda it: (
        f"{it.back.without_jitter.seconds:.1f}" if it.back.without_jitter else "never"
    ),
    "advised jitter, s": lambda it: f"{it.back.jitter_seconds}",
    "settings to raise": lambda it: (
        "<br>".join(f"`{change.variable}={change.value}`" for change in it.changes) or "none"
    ),
}


def page(text: str, costs: Costs) -> str:
    """Return the page with its tables written anew."""
    for name, lines in (("costs", _costs_table(costs)), ("presets", _presets_table(costs))):
        pattern = rf"(<!-- {name}: written by .* -->\n).*?(<!-- end -->)"
        place = re.search(pattern, text, flags=re.S)
        if place is None:
            raise SystemExit(f"{PAGE.name}: no place for the table {name!r}")
        table = "\n".join(lines)
        text = f"{text[: place.end(1)]}{table}\n{text[place.start(2) :]}"
    return text


def _costs_table(costs: Costs) -> Iterator[str]:
    yield f"They are from: {costs.source}."
    yield ""
    yield "| cost | value | from |"
    yield "| --- | --- | --- |"
    for name in NAMES:
        yield f"| `{name}` | {getattr(costs.unit, name):g} | {costs.sources[name]} |"


def _presets_table(costs: Costs) -> Iterator[str]:
    plans = [plan_for(Site(**PRESETS[name]), Rooms(), costs) for name in PRESETS]
    yield f"| | {' | '.join(PRESETS)} |"
    yield f"| --- |{' --- |' * len(plans)}"
    for name, shown in _ROWS.items():
        yield f"| {name} | {' | '.join(shown(it) for it in plans)} |"


def main() -> int:
    """Write or check the page; 1 if it is not current, or the measurements are not enough."""
    parser = argparse.ArgumentParser(description="Write docs/scaling.md.")
    parser.add_argument("--check", action="store_true", help="fail if the page is not current")
    parser.add_argument("--costs", type=Path, help="measurements: docs/performance.json")
    asked = parser.parse_args()
    if asked.costs is not None:
        try:
            measured = unit_costs_from(json.loads(asked.costs.read_text()), shipped_costs())
        except (OSError, ValueError, KeyError) as error:
            reason = error if isinstance(error, BadCosts | OSError) else f"odd figures: {error!r}"
            print(f"{asked.costs}: {reason}", file=sys.stderr)  # noqa: T201
            return 1
        COSTS.write_bytes(as_file(measured))
    held = PAGE.read_text()
    written = page(held, shipped_costs())
    if asked.check and written != held:
        print("docs/scaling.md is not current: run make fix", file=sys.stderr)  # noqa: T201
        return 1
    if not asked.check:
        PAGE.write_text(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
