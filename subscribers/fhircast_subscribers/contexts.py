"""One open anchor context as a subscriber knows it: whose, what about, content, selection."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fhircast_hub.protocol.messages import reference_key

from fhircast_subscribers.wire import Item, Resource, resource_key, target_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

REMEMBERED_VERSIONS = 64
"""Earlier versions kept per context, to recognise what an answer to a GET already contained."""


@dataclass(frozen=True, slots=True)
class OpenContext:
    """An anchor context that is open at the hub; a value.

    Attributes:
        anchor: "Type/id".
        anchor_type: Resource type of the event that opened it.
        items: The context array as it was opened (EVT-11).
        event_id: Id of the open, "" if the context is known from a GET only.
        opened_at: When the open happened, None if that is not known.
        closed_at: When the close happened, None while it is open or if that is not known.
        version_id: The newest known version, "" if the hub gives none (CONT-17).
        content: Resources shared since, by "Type/id".
        selection: Selected "Type/id"s, as far as they are known here (IRA-SUB-05).
        references: Content that is only referred to: "Type/id" -> where to fetch it (IRA-SUB-04).
        needs_context: The content may lack something; a GET repairs it (CONT-18).
        confirmed: Whether the hub showed, since the last connect, that the context is still open.
        past_versions: Earlier versions, oldest first.
    """

    anchor: str
    anchor_type: str
    items: tuple[Item, ...]
    event_id: str = ""
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    version_id: str = ""
    content: Mapping[str, Resource] = field(default_factory=dict)
    selection: tuple[str, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    needs_context: bool = False
    confirmed: bool = True
    past_versions: tuple[str, ...] = ()

    def newest(self, key: str) -> Resource | None:
        """Return the resource "Type/id" in its newest form: as shared, else as opened."""
        return self.content.get(key) or self.opened_resources().get(key)

    def opened_resources(self) -> dict[str, Resource]:
        """Return the resources of the open event by "Type/id"."""
        resources = (item.get("resource") for item in self.items)
        return {resource_key(it): it for it in resources if isinstance(it, dict)}

    def resources(self, resource_type: str) -> tuple[Resource, ...]:
        """Return the shared resources of a type, in the order in which they came."""
        prefix = f"{resource_type}/"
        return tuple(it for key, it in self.content.items() if key.startswith(prefix))

    @property
    def patient(self) -> Resource | None:
        """The patient in the newest form, None for a context without one."""
        return self._first("patient")

    @property
    def study(self) -> Resource | None:
        """The first study in the newest form."""
        return self._first("study")

    @property
    def report(self) -> Resource | None:
        """The report in the newest form, its status included (CTX-07)."""
        return self._first("report")

    @property
    def status(self) -> str:
        """The report's newest status, "" if there is no report."""
        status = (self.report or {}).get("status")
        return status if isinstance(status, str) else ""

    @property
    def association(self) -> tuple[str, str, tuple[str, ...]]:
        """Report, patient and studies of this context as "Type/id"s (IRA-SUB-09)."""
        return self._key("report"), self._key("patient"), self._keys("study")

    def knows(self, key: str) -> bool:
        """Whether "Type/id" is part of the context or of its content."""
        return key in self.content or key in self.opened_resources()

    def at_version(self, version_id: str, **changes: Any) -> OpenContext:
        """Return the context at another version, the one it had remembered."""
        known = (*self.past_versions, self.version_id)
        past = tuple(it for it in known if it not in {"", version_id})[-REMEMBERED_VERSIONS:]
        return replace(self, version_id=version_id, past_versions=past, **changes)

    def having_passed(self, version_id: str) -> OpenContext:
        """Return the context with one more earlier version, which it already contains."""
        if not version_id or version_id in self.past_versions:
            return self
        past = (*self.past_versions, version_id)[-REMEMBERED_VERSIONS:]
        return replace(self, past_versions=past)

    def _first(self, key: str) -> Resource | None:
        target = self._key(key)
        return self.newest(target) if target else None

    def _key(self, key: str) -> str:
        return next(iter(self._keys(key)), "")

    def _keys(self, key: str) -> tuple[str, ...]:
        found = (target_of(item) for item in self.items if item.get("key") == key)
        return tuple(filter(None, found))


@dataclass(frozen=True, slots=True)
class AppliedUpdate:
    """What an updates Bundle did to the content.

    Attributes:
        content: The content afterwards.
        references: Content only referred to, afterwards.
        changed: "Type/id"s that are new or replaced.
        removed: "Type/id"s that are gone.
    """

    content: dict[str, Resource]
    references: dict[str, str]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


def apply_update(context: OpenContext, bundle: Mapping[str, Any]) -> AppliedUpdate:
    """Return what a broadcast updates Bundle makes of the content.

    The hub has judged it, so an entry that cannot be read is passed over. A PUT replaces a resource
    whole, never merged (CONT-10); a POST of a resource with an id counts as a PUT (D-05).
    """
    content, references = dict(context.content), dict(context.references)
    changed: list[str] = []
    removed: list[str] = []
    for entry in _entries(bundle):
        request = entry.get("request")
        method = request.get("method") if isinstance(request, dict) else "PUT"
        url = request.get("url") if isinstance(request, dict) else None
        resource, full_url = entry.get("resource"), entry.get("fullUrl")
        key = resource_key(resource) if isinstance(resource, dict) else ""
        if method == "DELETE":
            key = _key_in(full_url) or _key_in(url)
            references.pop(key, None)
            if content.pop(key, None) is not None:
                removed.append(key)
        elif key and isinstance(resource, dict):
            content[key] = resource
            references.pop(key, None)
            changed.append(key)
        elif isinstance(full_url, str) and (key := _key_in(url) or _key_in(full_url)):
            references[key] = full_url
    return AppliedUpdate(content, references, tuple(changed), tuple(removed))


def _entries(bundle: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    entries = bundle.get("entry")
    return [it for it in entries if isinstance(it, dict)] if isinstance(entries, list) else []


def _key_in(url: object) -> str:
    return reference_key(url) if isinstance(url, str) else ""
