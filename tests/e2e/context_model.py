"""What a session must be after a sequence of requests, written from the requirements alone.

It holds a topic as a handful of plain dictionaries and knows nothing of the hub's code. Where the
rows leave room, the reading is said beside the rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from builders import Json

_KEYS = {"DiagnosticReport": "report", "ImagingStudy": "study"}
_MAX_AHEAD = timedelta(minutes=5)


@dataclass
class Opened:
    """One open context: its items, when it was opened, its version and its content."""

    items: list[Json]
    opened_at: datetime
    version: str
    content: dict[str, Json] = field(default_factory=dict)

    @property
    def patient(self) -> str:
        return next((str(it["resource"]["id"]) for it in self.items if it["key"] == "patient"), "")


class ContextModel:
    """One topic.

    Attributes:
        contexts: What is open, by anchor (TAB-01).
        current: Anchor of the current context, "" if there is none (CTX-04).
        moved_at: When the open happened that moved the current context last. It stays after a
            close, so that a late open of an earlier case does not come up by itself (D-27).
        accepted: Requests by id (D-28).
    """

    def __init__(self, *, ira: bool = False) -> None:
        self.ira = ira
        self.contexts: dict[str, Opened] = {}
        self.current = ""
        self.moved_at: datetime | None = None
        self.accepted: dict[str, Json] = {}

    def status_of(self, request: Json, now: datetime) -> int:
        """The status with which the hub must answer."""
        if request["id"] in self.accepted:
            return 202 if self.accepted[request["id"]] == request else 409  # D-28
        if moment(request) > now + _MAX_AHEAD:
            return 400  # D-27
        kind, anchor = kind_of(request), anchor_of(request)
        known = self.contexts.get(anchor)
        if kind == "open" and known is not None:
            patient = Opened(request["event"]["context"], moment(request), "").patient
            is_swapped = bool(patient and known.patient and patient != known.patient)
            return 409 if is_swapped else 202  # D-11
        if kind == "close":
            return 409 if known is None and self.ira else 202  # D-29
        if kind == "update":
            if known is None:
                return 409  # D-29
            is_current = request["event"]["context.versionId"] == known.version
            stale = 400 if self.ira else 409  # D-42
            return 202 if is_current else stale  # CONT-03
        return 202

    def accept(self, request: Json, version: str) -> None:
        """Do what an accepted request does.

        Args:
            request: Of which `status_of` says 202.
            version: What the hub assigned, if it had to assign one.
        """
        if request["id"] in self.accepted:
            return  # D-28: one step, however often it is sent
        self.accepted[request["id"]] = request
        kind, anchor = kind_of(request), anchor_of(request)
        if kind == "home":
            self._move("", moment(request))  # D-21
        elif kind == "open":
            self._open(anchor, request, version)
        elif kind == "close":
            self._close(anchor, moment(request))
        elif kind == "update":
            self._update(anchor, request, version)

    def _open(self, anchor: str, request: Json, version: str) -> None:
        known = self.contexts.get(anchor)
        at = moment(request)
        if known is not None and at < max(known.opened_at, self.moved_at or at):
            return  # EVT-10, D-26, D-27: subscribers pass it over, and the hub is what they show
        content = known.content if known is not None else {}
        self.contexts[anchor] = Opened(request["event"]["context"], at, version, content)  # D-11
        self._move(anchor, at)

    def _move(self, anchor: str, at: datetime) -> None:
        if self.moved_at is None or at >= self.moved_at:  # D-26, D-27
            self.current, self.moved_at = anchor, at

    def _close(self, anchor: str, at: datetime) -> None:
        known = self.contexts.get(anchor)
        if known is None or at < known.opened_at:
            return  # D-26: it meant an earlier opening of the same anchor
        del self.contexts[anchor]  # CONT-16
        if self.current == anchor:
            self.current = ""  # CTX-04; TAB-02 if it is not

    def _update(self, anchor: str, request: Json, version: str) -> None:
        known = self.contexts[anchor]
        known.version = version  # CONT-04, CONT-23
        for it in request["event"]["context"]:
            for entry in it["resource"]["entry"] if it["key"] == "updates" else []:
                if entry["request"]["method"] == "DELETE":
                    known.content.pop(entry["fullUrl"], None)  # D-06
                else:
                    known.content[entry["fullUrl"]] = entry["resource"]  # CONT-10

    @property
    def shown(self) -> tuple[str, list[Json], dict[str, Json]]:
        """Current anchor, its items and its content: what everybody must show."""
        if not self.current:
            return "", [], {}
        current = self.contexts[self.current]
        return self.current, current.items, dict(current.content)

    @property
    def version(self) -> str:
        """Version of the current context, "" where only the hub knows it."""
        return self.contexts[self.current].version if self.current else ""


def moment(request: Json) -> datetime:
    return datetime.fromisoformat(request["timestamp"])


def kind_of(request: Json) -> str:
    """Return open, close, update, home or other."""
    name: str = request["event"]["hub.event"]
    if name == "Home-open":
        return "home"
    suffix = name.partition("-")[2]
    return suffix if suffix in {"open", "close", "update"} else "other"


def anchor_of(request: Json) -> str:
    """Return the "Type/id" that a request is about, "" for Home-open and the like."""
    anchor_type = request["event"]["hub.event"].partition("-")[0]
    key = _KEYS.get(anchor_type, anchor_type.lower())
    for it in request["event"]["context"]:
        if it["key"] == key:
            return _target(it)
    return ""


def _target(item: dict[str, Any]) -> str:
    if "resource" in item:
        return f"{item['resource']['resourceType']}/{item['resource']['id']}"
    return str(item["reference"]["reference"])
