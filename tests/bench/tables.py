"""Tables of the report: figures to Markdown, pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.figures import WRONG, median_of, median_ratio, quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.figures import Row, Rows

_PARTS_SHOWN = 24
_KINDS = ("open", "update", "select", "close")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def fan_out(rows: Rows, labels: Mapping[str, str]) -> str:
    """One line for each server: medians of its runs, ratios round by round."""
    head = ("server", "CPU µs a delivery", "x baseline", "of the limit", "CPU µs an event")
    more = (
        "events/s",
        "deliveries/s",
        "last delivery p50, p99 µs",
        "RSS MiB",
        "generator's CPU",
        "lost or wrong",
    )
    lines = []
    for name, own in _by(rows, "server").items():
        lines.append(
            [
                labels.get(name, name),
                _figure(median_of(own, "cpu_us_per_delivery")),
                _figure(median_ratio(rows, "cpu_us_per_delivery", "starlette", name)),
                _figure(median_ratio(rows, "cpu_us_per_delivery", "bare", name)),
                _figure(median_of(own, "cpu_us_per_event")),
                _count(median_of(own, "events_per_second")),
                _count(median_of(own, "deliveries_per_second")),
                f"{_count(median_of(own, 'last_p50_us'))}, {_count(median_of(own, 'last_p99_us'))}",
                _figure(median_of(own, "rss_kib") / 1024),
                f"{median_of(own, 'generator_cpu_share'):.0%}",
                _count(sum(row.get(it, 0) for row in own for it in WRONG)),
            ]
        )
    return table((*head, *more), lines)


def idle(rows: Rows, labels: Mapping[str, str]) -> str:
    """Memory of a subscription, by server and by how tokens are held."""
    lines = []
    for name, runs in _by(rows, "server").items():
        for way, own in _by(runs, "tokens").items():
            each = median_of(own, "pss_kib_each")
            label = labels.get(name, name) + (f", {way}" if way else "")
            lines.append([label, _figure(each), _count(2**20 / each) if each > 0 else "-"])
    return table(("server", "PSS KiB each", "fit into 1 GiB"), lines)


def storm(rows: Rows, labels: Mapping[str, str]) -> str:
    """What it costs to join."""
    lines = [
        [
            labels.get(name, name),
            _figure(median_of(own, "cpu_ms_each")),
            _figure(median_of(own, "seconds")),
            f"{_milliseconds(own, 'join_p50_us')}, {_milliseconds(own, 'join_p99_us')}",
        ]
        for name, own in _by(rows, "server").items()
    ]
    return table(("server", "CPU ms each", "seconds in all", "one login p50, p99 ms"), lines)


def stalled(rows: Rows) -> str:
    """With and without the subscriber that does not read."""
    lines = [
        [
            f"{way} it",
            _milliseconds(own, "p99_us"),
            _milliseconds(own, "same_topic_p99_us"),
            _milliseconds(own, "other_topics_p99_us"),
            _count(median_of(own, "events_per_second")),
            _count(median_of(own, "rss_kib_before")),
            _count(median_of(own, "rss_kib_most")),
            _count(median_of(own, "sync_errors")),
        ]
        for way, own in _by(rows, "server").items()
    ]
    head = ("", "p99 ms", "same topic", "other topics", "events/s")
    more = ("RSS KiB before", "RSS KiB at most", "SyncErrors")
    return table((*head, *more), lines)


def wide(rows: Rows) -> str:
    """Narrow topics, with and without the wide one."""
    lines = [
        [
            f"{way} the wide topic",
            _milliseconds(own, "p50_us"),
            _milliseconds(own, "p99_us"),
            f"{median_of(own, 'cpu_share'):.0%}",
        ]
        for way, own in _by(rows, "server").items()
    ]
    return table(("200 narrow topics", "p50 ms", "p99 ms", "the hub's CPU"), lines)


def content(rows: Rows) -> str:
    """CPU of one update by the size of the context."""
    lines = [
        [
            size,
            _figure(median_of(own, "cpu_us_per_update")),
            _figure(median_ratio(rows, "cpu_us_per_update", size, "10")),
        ]
        for size, own in _by(rows, "server").items()
    ]
    return table(("resources", "CPU µs an update", "to that at 10"), lines)


def mixed(rows: Rows) -> str:
    """Latencies by kind of event: medians over the runs."""
    lines = []
    for kind in _KINDS:
        own = [row["latencies"][kind] for row in rows if row["latencies"].get(kind)]
        shown = [
            _figure(median_of([{"it": quantile(it, q) / 1000} for it in own], "it"))
            for q in (0.5, 0.95, 0.99, 1)
        ]
        lines.append([kind, _count(sum(row["counts"].get(kind, 0) for row in rows)), *shown])
    return table(("event", "how many", "p50 ms", "p95 ms", "p99 ms", "most ms"), lines)


def shared(rows: Rows) -> str:
    """What sharing sessions costs."""
    lines = [
        [
            way,
            _figure(median_of(own, "cpu_us_per_event")),
            _count(median_of(own, "events_per_second")),
            _count(median_of(own, "last_p50_us")),
        ]
        for way, own in _by(rows, "server").items()
    ]
    return table(("sessions", "CPU µs an event", "events/s", "last delivery p50 µs"), lines)


def nodes(rows: Rows) -> str:
    """What an event costs each of the hubs that share sessions."""
    most = max(len(row["hubs_cpu_us"]) for row in rows)
    one = median_of([row for row in rows if row["server"] == "1 hub"], "busiest_cpu_us")
    lines = []
    for way, own in _by(rows, "server").items():
        hubs = [
            _figure(median_of([{"it": row["hubs_cpu_us"][place]} for row in own], "it"))
            for place in range(len(own[0]["hubs_cpu_us"]))
        ]
        busiest = median_of(own, "busiest_cpu_us")
        figures = [median_of(own, name) for name in ("sum_cpu_us", "redis_cpu_us")]
        paces = [_count(1e6 / busiest), _figure(one / busiest)]
        lost = _count(sum(row["missing"] for row in own))
        hubs += [""] * (most - len(hubs))
        lines.append([way, *hubs, *map(_figure, figures), *paces, lost])
    head = ("subscribers", *(f"hub {it}" for it in range(1, most + 1)), "all hubs", "Redis")
    more = ("events per CPU second of the busiest hub", "x one hub", "lost")
    return table((*head, *more), lines)


def soak(row: Row) -> str:
    """What lived in the hub before, at work and after."""
    names = [it for it in row["before"] if it != "rss_kib"]
    lines = [
        [when.replace("_", " "), *(_count(row[when][it]) for it in (*names, "rss_kib"))]
        for when in ("before", "at_work", "after")
    ]
    return table(("", *names, "RSS KiB"), lines)


def profile(row: Row) -> str:
    """Share of samples by part; those that matter."""
    total = max(row["samples"], 1)
    ordered = sorted(row["parts"], key=lambda it: -it[1])[:_PARTS_SHOWN]
    lines = [
        [_code(part), f"{inside / total:.1%}", f"{below / total:.1%}"]
        for part, inside, below in ordered
        if inside
    ]
    return table(("part", "in it", "in it or in what it calls"), lines)


def _by(rows: Rows, name: str) -> dict[str, Rows]:
    """Return rows by a field, in the order in which they came."""
    found: dict[str, Rows] = {}
    for row in rows:
        found.setdefault(str(row.get(name, "")), []).append(row)
    return found


def _code(part: str) -> str:
    return f"`{part}`" if part.endswith(".py") else part


def _milliseconds(rows: Rows, name: str) -> str:
    return _figure(median_of(rows, name) / 1000)


def _figure(value: float) -> str:
    """Three digits that count."""
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _count(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:,.0f}"
