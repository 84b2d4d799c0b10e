"""``_include`` and ``_revinclude``: the companions of the matches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_demo.ehr.errors import invalid
from fhircast_demo.ehr.matching import tail, unsupported
from fhircast_demo.ehr.parameters import Parameter, parameter, values_of
from fhircast_demo.ehr.store import Stored, check_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhircast_demo.ehr.permitted import Resources


def companions(
    store: Resources,
    resource_type: str,
    matches: Sequence[Stored],
    query: Sequence[tuple[str, str]],
) -> list[Stored]:
    """Return what the matches refer to or are referred to by, each once, matches left out.

    Raises:
        FhirError: 400 for an include that is not ``Type:reference-parameter[:TargetType]``.
    """
    found: dict[tuple[str, str], Stored] = {}
    for name, value in query:
        if name not in ("_include", "_revinclude"):
            continue
        source, wanted, target = _include(name, value)
        if name == "_revinclude" and target in (None, resource_type):
            items = _referring(store, source, matches, wanted)
        elif name == "_include" and source == resource_type:
            items = _referred_to(store, matches, wanted, target)
        else:
            items = []
        found.update((item.key, item) for item in items)
    for match in matches:
        found.pop(match.key, None)
    return list(found.values())


def _include(name: str, value: str) -> tuple[str, Parameter, str | None]:
    source, _, rest = value.partition(":")
    field, _, target = rest.partition(":")
    if not field:
        raise unsupported(name, "must be Type:parameter or Type:parameter:TargetType")
    check_type(source)
    wanted = parameter(source, field)
    if wanted.kind != "reference":
        raise invalid(f"{name}: {field[:60]!r} is not a reference parameter")
    return source, wanted, target or None


def _literals(item: Stored, wanted: Parameter) -> list[tuple[str | None, str]]:
    return [
        tail(value["reference"])
        for value in values_of(item.resource, wanted)
        if isinstance(value, dict) and isinstance(value.get("reference"), str)
    ]


def _referred_to(
    store: Resources, matches: Sequence[Stored], wanted: Parameter, target: str | None
) -> list[Stored]:
    return [
        item
        for match in matches
        for kind, resource_id in _literals(match, wanted)
        if kind
        and wanted.target in (None, kind)
        and target in (None, kind)
        and (item := store.find(kind, resource_id)) is not None
    ]


def _referring(
    store: Resources, source: str, matches: Sequence[Stored], wanted: Parameter
) -> list[Stored]:
    keys = {match.key for match in matches}
    return [
        item
        for item in store.all_of(source)
        if any((kind, resource_id) in keys for kind, resource_id in _literals(item, wanted))
    ]
