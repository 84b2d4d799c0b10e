"""The session that the played hub keeps: what is open, in which version, with which content."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fhircast_conformance.subscriber.record import Json

ANCHOR_KEYS = {"DiagnosticReport": "report", "ImagingStudy": "study"}
"""Keys of anchors that are not the lower-case resource type (EVT-14)."""


class Refused(Exception):
    """The hub does not accept a request."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(slots=True)
class Context:
    """An open context.

    Attributes:
        anchor: "Type/id".
        items: As opened.
        version: The newest `context.versionId`.
        event_id: Of the open.
        opened_at: When, None if the open did not say.
        content: Shared resources by "Type/id".
        earlier: Versions before the newest.
    """

    anchor: str
    items: list[Json]
    version: str
    event_id: str
    opened_at: datetime | None
    content: dict[str, Json] = field(default_factory=dict)
    earlier: list[str] = field(default_factory=list)

    @property
    def opened(self) -> set[str]:
        """The resources of the open, as "Type/id"."""
        return {target_of(it) for it in self.items} - {""}

    @property
    def patient(self) -> str:
        """The patient of the context, "" if there is none."""
        return next((it for it in self.opened if it.startswith("Patient/")), "")

    def resource(self, target: str) -> Json:
        """Return a resource as it was opened, {} if it is not here."""
        found = (it for it in self.items if target_of(it) == target)
        item = next(found, {})
        return item.get("resource") or {}


class Session:
    """What is open. Enough of a hub to be told from a real one only by its faults."""

    def __init__(self, *, ira: bool) -> None:
        self.contexts: dict[str, Context] = {}
        self.current = ""
        self.newest_open: datetime | None = None
        self.ever_opened: set[str] = set()
        self._ira = ira
        self._versions = itertools.count(1)
        self.version = self._next()

    def take(self, message: Json) -> Json:
        """Take an event in; return what is broadcast.

        Raises:
            Refused: It cannot be accepted.
        """
        event = message["event"]
        name = str(event["hub.event"])
        resource_type, _, verb = name.partition("-")
        verb = verb.lower()
        if name.lower() == "home-open":
            self.current, self.version = "", self._next()
            return message
        if verb not in {"open", "close", "update", "select"}:
            return message
        anchor = anchor_of(event)
        if not anchor:
            key = ANCHOR_KEYS.get(resource_type, resource_type.lower())
            raise Refused(400, f"context: no item {key} with the anchor (EVT-15)")
        takes = {
            "open": self._open,
            "close": self._close,
            "update": self._update,
            "select": self._select,
        }
        added = takes[verb](anchor, message)
        return {**message, "event": {**event, **added}}

    def view(self) -> Json:
        """Return the answer to a GET of the current context."""
        context = self.contexts.get(self.current)
        if context is None:
            return {"context.type": "", "context.versionId": self.version, "context": []}
        entries = [{"resource": it} for it in context.content.values()]
        bundle = {"resourceType": "Bundle", "id": "content", "type": "collection", "entry": entries}
        return {
            "context.type": context.anchor.partition("/")[0],
            "context.versionId": context.version,
            "context": [*context.items, {"key": "content", "resource": bundle}],
        }

    def _open(self, anchor: str, message: Json) -> Json:
        self.ever_opened.add(anchor)
        happened_at = moment(message.get("timestamp"))
        known = self.contexts.get(anchor)
        version, prior = self._next(), known.version if known else ""
        items = list(message["event"]["context"])
        if known is not None:
            known.items, known.opened_at = items, happened_at
            known.event_id = str(message.get("id"))
            self._step(known, version)
        else:
            self.contexts[anchor] = Context(
                anchor, items, version, str(message.get("id")), happened_at
            )
        if not is_before(happened_at, self.newest_open):
            self.current, self.newest_open = anchor, happened_at
        added = {"context.versionId": version}
        return added | ({"context.priorVersionId": prior} if prior else {})

    def _close(self, anchor: str, _message: Json) -> Json:
        if self.contexts.pop(anchor, None) is None and self._ira:
            raise Refused(409, f"context: {anchor} is not open (D-29)")
        if self.current == anchor:
            # D-26: nothing is current that a later open could be older than.
            self.current, self.version, self.newest_open = "", self._next(), None
        return {}

    def _update(self, anchor: str, message: Json) -> Json:
        context = self.contexts.get(anchor)
        if context is None:
            raise Refused(409, f"context: {anchor} is not open (D-29)")
        event = message["event"]
        bundles = [it.get("resource") for it in items_of(event) if it.get("key") == "updates"]
        if len(bundles) != 1 or not isinstance(bundles[0], dict):
            raise Refused(400, "context: not one item updates (CONT-08)")
        stated = str(event.get("context.versionId", ""))
        if stated != context.version:
            status = 400 if self._ira else 409
            reason = f"context.versionId: version mismatch, {context.version} is the newest"
            raise Refused(status, f"{reason} (CONT-03)")
        entries = bundles[0].get("entry")
        for entry in entries if isinstance(entries, list) else []:
            _apply(context.content, entry)
        prior, version = context.version, self._next()
        self._step(context, version)
        return {"context.versionId": version, "context.priorVersionId": prior}

    def _select(self, anchor: str, _message: Json) -> Json:
        if anchor not in self.contexts or anchor != self.current:
            raise Refused(409, f"context: {anchor} is not the current context (D-29)")
        return {"context.versionId": self.contexts[anchor].version}

    def _step(self, context: Context, version: str) -> None:
        context.earlier.append(context.version)
        context.version = version

    def _next(self) -> str:
        return f"v{next(self._versions)}"


def _apply(content: dict[str, Json], entry: Any) -> None:
    if not isinstance(entry, dict):
        return
    resource, request = entry.get("resource"), entry.get("request")
    request = request if isinstance(request, dict) else {}
    if str(request.get("method", "")).upper() == "DELETE":
        content.pop(str(entry.get("fullUrl") or request.get("url")), None)
    elif isinstance(resource, dict):
        content[f"{resource.get('resourceType')}/{resource.get('id')}"] = resource


def items_of(event: Mapping[str, Any]) -> Iterator[Json]:
    """Yield the items of the context that are objects."""
    context = event.get("context")
    yield from (it for it in (context if isinstance(context, list) else []) if isinstance(it, dict))


def target_of(item: Mapping[str, Any]) -> str:
    """Return what an item holds or refers to, as "Type/id"; "" if that cannot be told."""
    resource, reference = item.get("resource"), item.get("reference")
    if isinstance(resource, dict) and resource.get("resourceType") and resource.get("id"):
        return f"{resource['resourceType']}/{resource['id']}"
    if isinstance(reference, dict):
        return str(reference.get("reference", ""))
    return ""


def anchor_of(event: Mapping[str, Any]) -> str:
    """Return the anchor of an event as "Type/id", "" if it has none."""
    resource_type = str(event.get("hub.event", "")).partition("-")[0]
    key = ANCHOR_KEYS.get(resource_type, resource_type.lower())
    found = (target_of(it) for it in items_of(event) if it.get("key") == key)
    return next((it for it in found if it.startswith(f"{resource_type}/")), "")


def moment(timestamp: object) -> datetime | None:
    """Return a timestamp in UTC; without a zone it is taken as UTC (D-27)."""
    try:
        read = datetime.fromisoformat(str(timestamp))
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def is_before(one: datetime | None, other: datetime | None) -> bool:
    """Whether a moment is known to be before another."""
    return one is not None and other is not None and one < other
