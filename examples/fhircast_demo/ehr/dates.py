"""FHIR dates as intervals: ``2026-03`` is all of March (R4 3.1.1.4.5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_DATE = re.compile(
    r"(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)"
    r"(T(?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d)(\.(?P<fraction>\d{1,9}))?)?"
    r"(?P<zone>Z|[+ -]\d\d:\d\d)?)?)?)?"
)
_MONTHS = 12


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` (in) to `high` (out), both aware UTC."""

    low: datetime
    high: datetime


def parse(text: str) -> Interval | None:
    """Read a date, dateTime or instant at its own precision; None if it is none.

    A time without a zone counts as UTC. A blank before the offset is read as the plus sign that a
    query string turned into a blank.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        return _interval({key: value for key, value in match.groupdict().items() if value})
    except (ValueError, OverflowError):
        return None


def _interval(part: dict[str, str]) -> Interval:
    year, month, day = int(part["year"]), int(part.get("month", 1)), int(part.get("day", 1))
    if "hour" not in part:
        low = datetime(year, month, day, tzinfo=UTC)
        return Interval(low, _next(low, part))
    fraction = part.get("fraction", "")
    moment = datetime(year, month, day, int(part["hour"]), int(part["minute"]), tzinfo=UTC)
    moment += timedelta(
        seconds=_whole(part.get("second", "0"), 59),
        microseconds=int(fraction[:6].ljust(6, "0") or 0),
    )
    moment -= _offset(part.get("zone", "Z"))
    step = timedelta(minutes=1) if "second" not in part else timedelta(seconds=1)
    if fraction:
        step = timedelta(microseconds=10 ** max(0, 6 - len(fraction)))
    return Interval(moment, moment + step)


def _next(low: datetime, part: dict[str, str]) -> datetime:
    if "day" in part:
        return low + timedelta(days=1)
    if "month" in part and low.month < _MONTHS:
        return low.replace(month=low.month + 1)
    return low.replace(year=low.year + 1, month=1)


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta()
    size = timedelta(hours=_whole(zone[1:3], 14), minutes=_whole(zone[4:6], 59))
    return -size if zone[0] == "-" else size


def _whole(text: str, most: int) -> int:
    value = int(text)
    if value > most:
        raise ValueError("out of range")
    return value


def matches(prefix: str, wanted: Interval, target: Interval) -> bool:
    """Say whether `target` (from the resource) satisfies the prefix and the `wanted` value."""
    contained = wanted.low <= target.low and target.high <= wanted.high
    match prefix:
        case "eq":
            return contained
        case "ne":
            return not contained
        case "gt":
            return target.high > wanted.high
        case "lt":
            return target.low < wanted.low
        case "ge":
            return contained or target.high > wanted.high
        case _:
            return contained or target.low < wanted.low
