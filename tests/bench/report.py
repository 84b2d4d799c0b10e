"""docs/performance.md, made of docs/performance.json: pure but for writing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import tables
from bench.demands import verdicts
from bench.words import HEAD, SECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from bench.figures import Results, Row, Rows

_TABLES: dict[str, Callable[[Rows, Mapping[str, str]], str]] = {
    **dict.fromkeys(("S1", "S2", "S3"), tables.fan_out),
    "idle": tables.idle,
    "storm": tables.storm,
    "stalled": lambda rows, _: tables.stalled(rows),
    "wide": lambda rows, _: tables.wide(rows),
    "content": lambda rows, _: tables.content(rows),
    "mixed": lambda rows, _: f"{tables.mixed(rows)}\n\n{_mixed_facts(rows)}",
    "soak": lambda rows, _: f"{tables.soak(rows[-1])}\n\n{_soak_facts(rows[-1])}",
    "shared": lambda rows, _: tables.shared(rows),
    "nodes": lambda rows, _: tables.nodes(rows),
    "profile": lambda rows, _: tables.profile(rows[-1]),
}

_PLOTS = {
    **{name: f"latency-{name}" for name in ("S1", "S2", "S3", "storm", "wide", "mixed")},
    "soak": "memory",
}


def page(results: Results, labels: Mapping[str, str], plots: Collection[str] = ()) -> str:
    """Return the page.

    Args:
        results: As in the file.
        labels: Names of the servers.
        plots: Names of the plots that there are.
    """
    parts = [HEAD, _demands(results)]
    parts += [_section(name, results[name], labels, plots) for name in _TABLES if name in results]
    parts.append(_circumstances(results))
    return "\n".join(parts)


def _demands(results: Results) -> str:
    says = {True: "yes", False: "**no**", None: "-"}
    rows_of = {name: result["rows"] for name, result in results.items()}
    lines = [[it.what, it.demand, it.measured, says[it.holds]] for it in verdicts(rows_of)]
    return f"## Demands\n\n{tables.table(('what', 'demand', 'measured', 'holds'), lines)}\n"


def _section(name: str, result: Results, labels: Mapping[str, str], plots: Collection[str]) -> str:
    ran = [row for row in result["rows"] if not {"failed", "missing_tool"} & row.keys()]
    failed = [row for row in result["rows"] if "failed" in row]
    words = [SECTIONS[name]]
    words.append(_TABLES[name](ran, labels) + "\n" if ran else "No run succeeded here.\n")
    if plot := _PLOTS.get(name):
        words += [f"![{plot}](performance/{plot}.svg)\n"] if plot in plots else []
    if failed:
        words.append(f"{len(failed)} of {len(result['rows'])} runs failed.\n")
    if raised := result.get("settings"):
        words.append(f"Settings that are not the default: {_settings(raised)}.\n")
    return "\n".join(words)


def _settings(settings: Mapping[str, str]) -> str:
    return ", ".join(f"`{name}={it}`" for name, it in sorted(settings.items()))


def _mixed_facts(rows: Rows) -> str:
    row = rows[-1]
    lost = sum(it["lost"] + it["not_delivered"] + it["refused"] for it in rows)
    return (
        f"{row['rooms']} rooms, {row['rate']:g} events/s: {row['times_real']:g} times life. "
        f"The hub used {row['cpu_share']:.0%} of its CPU, {row['cpu_us_per_delivery']:g} µs a "
        f"delivery. Lost, refused or not delivered: {lost}."
    )


def _soak_facts(row: Row) -> str:
    wrong = row["lost"] + row["not_delivered"] + row["refused"]
    return (
        f"{row['rooms']} rooms, {row['events']} events in {row['minutes']:g} minutes; RSS "
        f"{row['slope_kib_per_minute']:+g} KiB/min. Lost, refused or not delivered: {wrong}. "
        f"Topics that a GET still finds at the end: {row['topics_left']}."
    )


def _circumstances(results: Results) -> str:
    lines = [
        [
            name,
            it["at"].replace("T", " ").replace("+00:00", " UTC"),
            it["commit"],
            f"`{it['command']}`",
            f"{it['rounds']} x {it['scale']:g}",
        ]
        for name, it in ((name, results[name]) for name in _TABLES if name in results)
    ]
    head = ("scenario", "when", "commit", "command", "rounds x scale")
    facts = {f"- {it['machine']}" for it in results.values()}
    versions = {f"- {_versions(it['versions'])}" for it in results.values()}
    missing = {
        f"- not measured: {name} ({why})"
        for it in results.values()
        for name, why in it.get("missing", {}).items()
    }
    told = [tables.table(head, lines), "", *sorted(facts), *sorted(versions), *sorted(missing), ""]
    return "## When, where and with what\n\n" + "\n".join(told)


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {it}" for name, it in sorted(versions.items()))
