"""The command line: which scenarios, how much of them, and what becomes of the figures."""

from __future__ import annotations

import argparse
import resource
import shlex
import sys

from bench import (
    content,
    fanout,
    generator,
    joining,
    mixed,
    nodes,
    plots,
    profiled,
    report,
    results,
    shared,
    stalled,
    wide,
)
from bench.catalogue import LABELS, all_kinds
from bench.scenario import Plan, Scenario, progress
from bench.servers import GENERATOR_CPU, pin_to

SCENARIOS: tuple[Scenario, ...] = (
    *fanout.SCENARIOS,
    *joining.SCENARIOS,
    *stalled.SCENARIOS,
    *wide.SCENARIOS,
    *content.SCENARIOS,
    *mixed.SCENARIOS,
    *shared.SCENARIOS,
    *nodes.SCENARIOS,
    *profiled.SCENARIOS,
)


def main() -> int:
    """Measure, keep the figures, write the report; 0 if everything asked for was measured."""
    asked = _arguments()
    if not asked.report_only:
        if not sys.platform.startswith("linux"):
            progress("the accounts of CPU and memory are those of Linux: nothing is measured")
            return 1
        try:
            generator.build()
        except generator.NoCompiler as error:
            progress(str(error))
            return 1
        _raise_file_limit()
        pin_to(GENERATOR_CPU)()
        measured = _measure(asked)
    else:
        measured = True
    if not asked.dry:
        _report()
    return 0 if measured else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the hub beside its peers.")
    names = ", ".join(it.name for it in SCENARIOS)
    parser.add_argument("--only", default="", help=f"scenarios, comma separated: {names}")
    parser.add_argument("--servers", default="", help="of hub, starlette, bare, node, nchan")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the events")
    parser.add_argument("--minutes", type=float, default=6, help="length of the soak")
    parser.add_argument("--rate", type=float, default=150, help="events a second, mixed day")
    parser.add_argument("--dry", action="store_true", help="keep no figures, write no report")
    parser.add_argument("--report-only", action="store_true", help="measure nothing")
    return parser.parse_args()


def _measure(asked: argparse.Namespace) -> bool:
    known = {it.name: it for it in SCENARIOS}
    wanted = asked.only.split(",") if asked.only else list(known)
    if unknown := [it for it in wanted if it not in known]:
        progress(f"no such scenario: {', '.join(unknown)}; there are {', '.join(known)}")
        return False
    plan = _plan(asked)
    failures = 0
    for name in wanted:
        failures += _measure_one(known[name], plan, keep=not asked.dry)
    return not failures


def _plan(asked: argparse.Namespace) -> Plan:
    wanted = asked.servers.split(",") if asked.servers else [it.name for it in all_kinds()]
    kinds = [it for it in all_kinds() if it.name in wanted]
    for kind in kinds:
        if kind.missing:
            progress(f"without {kind.name}: {kind.missing}")
    able = [it for it in kinds if not it.missing]
    return Plan(asked.rounds, asked.scale, able, asked.minutes, asked.rate)


def _measure_one(scenario: Scenario, plan: Plan, *, keep: bool) -> int:
    """Measure a scenario and keep its figures; return how many runs failed."""
    progress(f"{scenario.name}: {scenario.what}")
    told = results.circumstances(shlex.join(["python", *sys.argv]))
    rows = list(scenario.measure(plan))
    if keep:
        kept = results.load()
        kept[scenario.name] = {
            **told,
            "what": scenario.what,
            "rounds": plan.rounds,
            "scale": plan.scale,
            "settings": scenario.settings,
            "missing": {it.name: it.missing for it in all_kinds() if it.missing},
            "rows": rows,
        }
        results.save(kept)
    return sum("failed" in row for row in rows)


def _report() -> None:
    """Write the page and its plots from what is kept."""
    kept = results.load()
    page = report.page(kept, LABELS, plots.draw(kept, LABELS))
    results.FILE.with_suffix(".md").write_text(page)
    progress("docs/performance.md is written")


def _raise_file_limit() -> None:
    """Servers and generators inherit it; each connection needs a file on either side."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
