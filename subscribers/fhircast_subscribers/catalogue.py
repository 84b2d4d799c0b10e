"""The keys that events may carry, and the check that every request of ours passes before it leaves.

Spec: 2.3, chapter 3; EVT-12 … EVT-16, EVT-20.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.events import EventKind, EventName, parse_event_name

from fhircast_subscribers.errors import InvalidContext

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fhircast_subscribers.wire import Item

_VALUES = ("resource", "reference", "string")
_EXTENSION = "extension"


class Key(NamedTuple):
    """How often a key may occur in an event's context, and under which element its value stands.

    Attributes:
        least: Times at least.
        most: Times at most, None for any number.
        value: Element that holds the value, named by its data type (EVT-15).
    """

    least: int
    most: int | None
    value: str = "resource"


_ONE, _MAYBE, _ANY = Key(1, 1), Key(0, 1), Key(0, None)
_NAMED, _NAMED_MAYBE = Key(1, 1, "reference"), Key(0, 1, "reference")
_PATIENT = {"patient": _ONE}
_ENCOUNTER = {"encounter": _ONE, "patient": _ONE}
_STUDY = {"study": _ONE, "patient": _MAYBE, "encounter": _MAYBE}
_REPORT = {"report": _ONE, "patient": _ONE, "study": _ANY, "encounter": _MAYBE}

KEYS: Mapping[str, Mapping[str, Key]] = {
    "patient-open": _PATIENT,
    "patient-close": _PATIENT,
    "encounter-open": _ENCOUNTER,
    "encounter-close": _ENCOUNTER,
    "imagingstudy-open": _STUDY,
    "imagingstudy-close": _STUDY,
    "diagnosticreport-open": _REPORT,
    "diagnosticreport-close": _REPORT,
    "diagnosticreport-update": {"report": _NAMED, "patient": _NAMED_MAYBE, "updates": _ONE},
    "diagnosticreport-select": {
        "report": _NAMED,
        "patient": _NAMED_MAYBE,
        "select": Key(1, None, "reference"),
    },
    "syncerror": {"operationoutcome": _ONE},
    "userlogout": {"parameters": _ONE},
    "userhibernate": {"parameters": _ONE},
    "home-open": {},
}
"""Chapter 3's tables, by the event's comparison key."""


def keys_of(event_name: str) -> frozenset[str] | None:
    """Return the keys that an event may carry, None if it is not in the standard's catalogue."""
    keys = KEYS.get(event_name.lower())
    return None if keys is None else frozenset(keys)


def check_request(event_name: str, items: Sequence[Item]) -> None:
    """Pass if the event may be sent with this context.

    An event that is not catalogued needs its anchor only, a proprietary one nothing. A close too
    needs its anchor only: what somebody opened without a patient must not stay open for ever.

    Raises:
        InvalidContext: No event may be called that, a key is missing, comes too often or has no
            place in this event, or its value stands under another element than its data type's.
    """
    try:
        name = parse_event_name(event_name)
    except InvalidRequest as error:
        raise InvalidContext("hub.event", "no event may be called that", rule="EVT-13") from error
    if name.kind is EventKind.PROPRIETARY:
        return
    keys = KEYS.get(name.key)
    wanted = _anchor_only(name) if keys is None else keys
    counted = Counter(str(item.get("key")) for item in items)
    for key, (least, most, _value) in wanted.items():
        is_demanded = name.kind is not EventKind.CLOSE or key == name.anchor_key
        if is_demanded and counted[key] < least:
            raise InvalidContext(f"context.{key}", "missing", rule="EVT-15")
        if most is not None and counted[key] > most:
            raise InvalidContext(f"context.{key}", "more than one", rule="EVT-16")
    for item in items:
        _check_item(item, None if keys is None else {**keys, _EXTENSION: Key(0, None, "data")})


def _anchor_only(name: EventName) -> Mapping[str, Key]:
    return {name.anchor_key: Key(1, None)} if name.anchor_key else {}


def _check_item(item: Mapping[str, Any], allowed: Mapping[str, Key] | None) -> None:
    key = str(item.get("key"))
    if allowed is not None and key not in allowed:
        raise InvalidContext(f"context.{key}", "has no place in this event", rule="EVT-16")
    names = (allowed[key].value,) if allowed is not None else (*_VALUES, "data")
    if not any(name in item for name in names):
        raise InvalidContext(f"context.{key}", f"has no {' or '.join(names)}", rule="EVT-15")
