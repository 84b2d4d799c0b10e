"""FHIR search: which resources match, in which order, with which companions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fhircast_demo.ehr import dates
from fhircast_demo.ehr.errors import FhirError
from fhircast_demo.ehr.including import companions
from fhircast_demo.ehr.matching import predicate, unsupported
from fhircast_demo.ehr.parameters import Parameter, parameter, values_of
from fhircast_demo.ehr.store import Stored, check_type

if TYPE_CHECKING:
    from fhircast_demo.ehr.permitted import Resources

MAX_COUNT = 200
_DEFAULT_COUNT = 50
_MAX_OFFSET = 1_000_000
_CONTROLS = ("_count", "_offset", "_sort", "_include", "_revinclude", "_format", "_pretty")
_JSON_FORMATS = ("json", "application/json", "application/fhir+json", "application/fhir json")

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search: `total` counts the matches on all pages."""

    matches: tuple[Stored, ...]
    included: tuple[Stored, ...]
    total: int
    self_query: str
    next_query: str | None


def search(store: Resources, resource_type: str, query: Pairs) -> Page:
    """Run a search; `query` is the decoded query string in order.

    Raises:
        FhirError: 404 unknown type; 400 unknown parameter, modifier or value, naming the parameter.
    """
    check_type(resource_type)
    tests = [
        predicate(resource_type, name, value)
        for name, value in query
        if _base(name) not in _CONTROLS
    ]
    _check_controls(query)
    count = min(_number(query, "_count", _DEFAULT_COUNT, most=None), MAX_COUNT)
    offset = _number(query, "_offset", 0, most=_MAX_OFFSET)
    found = [
        item for item in store.all_of(resource_type) if all(test(item.resource) for test in tests)
    ]
    _sort(found, resource_type, [value for name, value in query if name == "_sort"])
    shown = found[offset : offset + count]
    more = count > 0 and offset + count < len(found)
    rest = [pair for pair in query if pair[0] != "_offset"]
    return Page(
        matches=tuple(shown),
        included=tuple(companions(store, resource_type, shown, query)),
        total=len(found),
        self_query=urlencode(query),
        next_query=urlencode([*rest, ("_offset", str(offset + count))]) if more else None,
    )


def _base(name: str) -> str:
    return name.partition(":")[0]


def _check_controls(query: Pairs) -> None:
    for name, value in query:
        if _base(name) in _CONTROLS and ":" in name:
            raise unsupported(name, "this modifier is not supported")
        if name == "_format" and value not in _JSON_FORMATS:
            raise FhirError(406, "not-supported", "_format: only JSON is spoken here")


def _number(query: Pairs, name: str, default: int, *, most: int | None) -> int:
    text = next((value for key, value in query if key == name), str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise unsupported(name, "must be a whole number from 0")
    if most is not None and int(text) > most:
        raise unsupported(name, f"must be at most {most}")
    return int(text)


def _sort(found: list[Stored], resource_type: str, orders: list[str]) -> None:
    """Sort in place, the last key first because Python's sort is stable; no value comes last."""
    keys = [key for order in orders for key in order.split(",")]
    for key in reversed(keys):
        down = key.startswith("-")
        wanted = parameter(resource_type, key.removeprefix("-"))
        with_value = [(value, item) for item in found if (value := _sort_value(item, wanted))]
        without = [item for item in found if not _sort_value(item, wanted)]
        with_value.sort(key=lambda pair: pair[0], reverse=down)
        found[:] = [item for _, item in with_value] + without


def _sort_value(item: Stored, wanted: Parameter) -> str | None:
    for value in values_of(item.resource, wanted):
        if wanted.kind == "date" and isinstance(value, str):
            interval = dates.parse(value)
            return interval.low.isoformat() if interval else None
        if isinstance(value, dict):
            value = value.get("reference") or value.get("value") or value.get("text")
        if isinstance(value, str):
            return value.casefold()
    return None
