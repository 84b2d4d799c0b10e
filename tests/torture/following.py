"""What a subscriber shows: its own copy of the session, and when it has to ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from torture.log import View

Json = dict[str, Any]


@dataclass(slots=True)
class _Known:
    version: str
    content: dict[str, Any] | None
    opened_at: datetime | None = None


@dataclass(slots=True)
class Following:
    """The state of one connection of a follower.

    Attributes:
        is_in_doubt: Whether it has to ask a hub, as it cannot tell from events alone.
        steps: Counts events, so that an answer that one overtook is known to be old.
    """

    is_in_doubt: bool = True
    steps: int = 0
    _current: str = ""
    _opened_at: datetime | None = None
    _known: dict[str, _Known] = field(default_factory=dict)

    def take(self, message: Json) -> None:
        """Follow one event."""
        self.steps += 1
        name = message["event"]["hub.event"]
        anchor = anchor_of(message)
        if name.endswith("-open"):
            self._open(anchor, message)
        elif name.endswith("-close"):
            self._close(anchor, moment_of(message))
        elif name.endswith("-update"):
            self._update(anchor, message)

    def told(self, view: View) -> None:
        """A hub told the current context."""
        self._current = view.anchor
        if view.anchor:
            opened_at = self._known[view.anchor].opened_at if view.anchor in self._known else None
            self._known[view.anchor] = _Known(view.version, dict(view.content), opened_at)
            self._opened_at = opened_at
        else:
            self._opened_at = None
        self.is_in_doubt = False

    def view(self, of: str, topic: str) -> View:
        """Return what is shown."""
        known = self._known.get(self._current)
        if known is None:
            return View(of, topic)
        return View(of, topic, self._current, known.version, known.content or {})

    def _open(self, anchor: str, message: Json) -> None:
        version, prior = versions_of(message)
        at, known = moment_of(message), self._known.get(anchor)
        if self._opened_at is not None and at < self._opened_at:
            self.is_in_doubt = True  # late: the hub may have judged it otherwise
            return
        if known is not None and known.version in {prior, version}:
            content = known.content
        else:
            content = None if prior else {}
        self.is_in_doubt |= content is None
        self._known[anchor] = _Known(version, content, at)
        self._current, self._opened_at = anchor, at

    def _close(self, anchor: str, at: datetime) -> None:
        known = self._known.get(anchor)
        if known is None or known.opened_at is None or at < known.opened_at:
            self.is_in_doubt = True
            return
        del self._known[anchor]
        if self._current == anchor:
            self._current, self._opened_at = "", None

    def _update(self, anchor: str, message: Json) -> None:
        version, prior = versions_of(message)
        known = self._known.get(anchor)
        if known is None or known.version != prior or known.content is None:
            if known is not None:
                known.version, known.content = version, None
            self.is_in_doubt |= anchor == self._current or known is None
            return
        known.version = version
        for entry in _entries(message):
            target = entry["request"]["url"]
            if entry["request"]["method"] == "DELETE":
                known.content.pop(target, None)
            else:
                known.content[target] = entry["resource"]


def view_of(of: str, topic: str, told: Json) -> View:
    """Read the answer to a GET of the current context."""
    if not told["context"]:
        return View(of, topic)
    anchor_type = told["context.type"]
    anchor, content = "", {}
    for it in told["context"]:
        resource = it.get("resource", {})
        if resource.get("resourceType") == anchor_type:
            anchor = f"{anchor_type}/{resource['id']}"
        if it["key"] == "content":
            found = [entry["resource"] for entry in resource.get("entry", [])]
            content = {f"{one['resourceType']}/{one['id']}": one for one in found}
    return View(of, topic, anchor, told.get("context.versionId", ""), content)


def anchor_of(message: Json) -> str:
    """Return the "Type/id" of an event's anchor, "" if it has none."""
    anchor_type = message["event"]["hub.event"].partition("-")[0]
    for it in message["event"]["context"]:
        resource = it.get("resource", {})
        if resource.get("resourceType") == anchor_type:
            return f"{anchor_type}/{resource['id']}"
        reference = it.get("reference")
        named = reference.get("reference", "") if isinstance(reference, dict) else ""
        if named.startswith(f"{anchor_type}/"):
            return str(named)
    return ""


def versions_of(message: Json) -> tuple[str, str]:
    """Return version and prior version of an event, "" for none."""
    event = message["event"]
    return event.get("context.versionId", ""), event.get("context.priorVersionId", "")


def moment_of(message: Json) -> datetime:
    """Return when an event happened."""
    return datetime.fromisoformat(message["timestamp"].replace("Z", "+00:00"))


def _entries(message: Json) -> list[Json]:
    for it in message["event"]["context"]:
        if it["key"] == "updates":
            return list(it["resource"]["entry"])
    return []
