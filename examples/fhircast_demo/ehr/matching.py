"""Does a resource match a search parameter? One predicate per parameter and value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhircast_demo.ehr import dates
from fhircast_demo.ehr.errors import FhirError, Json
from fhircast_demo.ehr.parameters import Parameter, parameter, values_of

_PREFIXES = ("eq", "ne", "gt", "ge", "lt", "le")

Test = Callable[[Json], bool]


def unsupported(name: str, reason: str) -> FhirError:
    """A 400 that names the parameter."""
    return FhirError(400, "not-supported", f"search parameter {name[:60]!r}: {reason}")


def predicate(resource_type: str, name: str, value: str) -> Test:
    """Return the predicate for one ``name[:modifier]=value`` of a query.

    Raises:
        FhirError: 400, naming the parameter that is unknown or cannot be read.
    """
    base, _, modifier = name.partition(":")
    wanted = parameter(resource_type, base)
    if value == "":
        raise unsupported(name, "has no value")
    choices = value.split(",")
    match wanted.kind:
        case "token" if modifier in ("", "not"):
            return _any_of(wanted, choices, _token_matches, turned=modifier == "not")
        case "string" if modifier in ("", "exact", "contains"):
            return _any_of(wanted, choices, _STRING[modifier])
        case "date" if modifier == "":
            return _date_test(name, wanted, choices)
        case "reference" if modifier == "":
            return _any_of(wanted, choices, _reference_to(wanted.target))
        case "reference" if modifier == "identifier":
            return _any_of(wanted, choices, _logical_reference)
        case "reference" if modifier.isalpha() and modifier[0].isupper():
            return _any_of(wanted, choices, _reference_to(modifier))
        case _:
            raise unsupported(name, "this modifier is not supported")


def _any_of(
    wanted: Parameter,
    choices: list[str],
    matches: Callable[[Any, str], bool],
    *,
    turned: bool = False,
) -> Test:
    def test(resource: Json) -> bool:
        values = values_of(resource, wanted)
        return turned != any(matches(value, choice) for value in values for choice in choices)

    return test


def _token_matches(value: Any, choice: str) -> bool:
    """Compare ``system|code``, ``code``, ``|code`` or ``system|`` with any coded datatype."""
    if isinstance(value, dict) and isinstance(value.get("coding"), list):
        return any(_token_matches(coding, choice) for coding in value["coding"])
    if isinstance(value, dict):
        system, code = value.get("system"), value.get("value", value.get("code"))
    else:
        system, code = None, value
    wanted_system, bar, wanted_code = choice.rpartition("|")
    if bar and wanted_system != (system or ""):
        return False
    return (bool(bar) and wanted_code == "") or wanted_code == _text(code)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


_STRING: dict[str, Callable[[Any, str], bool]] = {
    "": lambda value, choice: (
        isinstance(value, str) and value.casefold().startswith(choice.casefold())
    ),
    "exact": lambda value, choice: value == choice,
    "contains": lambda value, choice: (
        isinstance(value, str) and choice.casefold() in value.casefold()
    ),
}


def tail(reference: str) -> tuple[str | None, str]:
    """Split a relative or absolute literal reference into type (None for a bare id) and id."""
    kind, _, resource_id = reference.partition("/_history/")[0].rpartition("/")
    return kind.rpartition("/")[2] or None, resource_id


def _reference_to(target: str | None) -> Callable[[Any, str], bool]:
    def matches(value: Any, choice: str) -> bool:
        literal = value.get("reference") if isinstance(value, dict) else None
        if not isinstance(literal, str):
            return False
        kind, resource_id = tail(literal)
        wanted_kind, wanted_id = tail(choice)
        wanted_kind = wanted_kind or target or kind
        return resource_id == wanted_id and kind == wanted_kind and target in (None, kind)

    return matches


def _logical_reference(value: Any, choice: str) -> bool:
    identifier = value.get("identifier") if isinstance(value, dict) else None
    return isinstance(identifier, dict) and _token_matches(identifier, choice)


def _date_test(name: str, wanted: Parameter, choices: list[str]) -> Test:
    limits: list[tuple[str, dates.Interval]] = []
    for choice in choices:
        prefix = choice[:2] if choice[:2] in _PREFIXES else "eq"
        limit = dates.parse(choice.removeprefix(prefix))
        if limit is None:
            raise unsupported(name, "must be a date or time, with eq, ne, gt, ge, lt or le")
        limits.append((prefix, limit))

    def test(resource: Json) -> bool:
        targets = [
            target
            for value in values_of(resource, wanted)
            if isinstance(value, str) and (target := dates.parse(value)) is not None
        ]
        return any(
            dates.matches(prefix, limit, target) for prefix, limit in limits for target in targets
        )

    return test
