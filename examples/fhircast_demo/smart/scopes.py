"""Scopes: what is asked for, narrowed to what may be given, and said in words.

Spec: 2.2 FHIRcast scopes; SMART App Launch 2.2.0, scopes v1 and v2; SCO-01, SMART-04.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_FHIRCAST = re.compile(r"fhircast/(\*|[A-Za-z][A-Za-z0-9_.-]*)\.(read|write|\*)")
_USER = re.compile(r"user/(\*|[A-Z][A-Za-z]*)\.(read|write|\*|c?r?u?d?s?)")
_V1 = {"read": "rs", "write": "cud", "*": "cruds"}
_RIGHTS = {"read": "r", "write": "w", "*": "rw"}


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope, taken apart.

    Attributes:
        kind: "fhircast", "user", or "" for one that is a word of its own.
        name: Event or resource type, "*" for all; the word itself.
        actions: r and w of events; c, r, u, d, s of resources.
        is_v1: Whether a resource scope was written in the form of SMART 1.
    """

    kind: str
    name: str
    actions: frozenset[str] = frozenset()
    is_v1: bool = False

    def __str__(self) -> str:
        if self.kind == "fhircast":
            return f"fhircast/{self.name}.{_spelt(self.actions, _RIGHTS)}"
        if self.kind == "user":
            v2 = "".join(it for it in "cruds" if it in self.actions)
            return f"user/{self.name}.{_spelt(self.actions, _V1) if self.is_v1 else v2}"
        return self.name

    def meet(self, other: Scope) -> Scope | None:
        """Return what both allow, in the spelling of this one; None if that is nothing."""
        if self.kind != other.kind:
            return None
        if not (self.covers_name(other.name) or other.covers_name(self.name)):
            return None
        if not self.kind:
            return self
        name = other.name if self.name == "*" else self.name
        actions = self.actions & other.actions
        return Scope(self.kind, name, actions, self.stays_v1(actions)) if actions else None

    def covers_name(self, name: str) -> bool:
        """Tell whether this event or type is meant; events are compared without their case."""
        if self.kind == "fhircast":
            return self.name == "*" or self.name.lower() == name.lower()
        return self.name == name or (self.kind == "user" and self.name == "*")

    def stays_v1(self, actions: frozenset[str]) -> bool:
        """Tell whether these rights can be written as SMART 1 did."""
        return self.is_v1 and any(set(it) == actions for it in _V1.values())


def _spelt(actions: frozenset[str], words: dict[str, str]) -> str:
    return next(word for word, letters in words.items() if set(letters) == actions)


def parse_scope(text: str) -> Scope:
    """Return one scope; a form that is not known stays a word that nobody may be given."""
    if (match := _FHIRCAST.fullmatch(text)) is not None:
        return Scope("fhircast", match[1], frozenset(_RIGHTS[match[2]]))
    if (match := _USER.fullmatch(text)) is not None and match[2]:
        is_v1 = match[2] in _V1
        return Scope("user", match[1], frozenset(_V1.get(match[2], match[2])), is_v1)
    return Scope("", text)


def narrow(asked: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """Return the part of the asked scopes that is allowed, as a set in the order of asking.

    A scope that is allowed in part comes back as that part: of `fhircast/*.*` a reader is given
    `fhircast/*.read`.
    """
    limits = [parse_scope(it) for it in allowed]
    granted: dict[str, None] = {}
    for text in asked:
        for scope in _parts(parse_scope(text), limits):
            granted[str(scope)] = None
    return tuple(granted)


def _parts(asked: Scope, limits: list[Scope]) -> list[Scope]:
    """Return what is allowed of one scope: rights to the same name put together."""
    by_name: dict[str, Scope] = {}
    for limit in limits:
        part = asked.meet(limit)
        if part is None:
            continue
        before = by_name.get(part.name)
        actions = part.actions | (before.actions if before else frozenset())
        by_name[part.name] = Scope(part.kind, part.name, actions, asked.stays_v1(actions))
    everything = by_name.get("*")
    return [
        it
        for it in by_name.values()
        if everything is None or it is everything or not it.actions <= everything.actions
    ]


def has_fhircast(scopes: Iterable[str]) -> bool:
    """Tell whether a FHIRcast scope is among them; only then is a session handed out."""
    return any(parse_scope(it).kind == "fhircast" for it in scopes)


def permits(scopes: Iterable[str], resource_type: str, action: str) -> bool:
    """Tell whether one of c, r, u, d, s may be done with resources of a type."""
    return any(
        it.kind == "user" and it.covers_name(resource_type) and action in it.actions
        for it in map(parse_scope, scopes)
    )


_WORDS = {
    "openid": "know who you are",
    "fhirUser": "know your entry in the list of practitioners",
    "profile": "know your name",
    "launch": "be started by the EHR",
    "online_access": "stay signed in for as long as you are",
    "offline_access": "stay signed in after you have left",
}
_EVENT_ACTIONS = {"r": "be told of", "w": "request"}
_ACTIONS = {"c": "create", "r": "read", "u": "change", "d": "delete", "s": "search"}


def in_words(scope: str) -> str:
    """Say what a scope allows an application to do."""
    one = parse_scope(scope)
    if one.kind == "fhircast":
        event = "every event" if one.name == "*" else one.name
        verbs = " and ".join(_EVENT_ACTIONS[it] for it in "rw" if it in one.actions)
        return f"{verbs} {event}"
    if one.kind == "user":
        what = "every resource" if one.name == "*" else f"every {one.name}"
        verbs = ", ".join(_ACTIONS[it] for it in "rscud" if it in one.actions)
        return f"{verbs} {what} that you may"
    return _WORDS.get(scope, scope)
