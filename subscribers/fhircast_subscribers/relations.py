"""How an event relates to what a follower already knows: older, contained, the same, the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_subscribers.changes import Change, ContentChanged

if TYPE_CHECKING:
    from datetime import datetime

    from fhircast_subscribers.contexts import OpenContext
    from fhircast_subscribers.wire import Notification


def is_older(event: Notification, moment: datetime | None) -> bool:
    """Whether an event happened before a moment; what is not known is not older (D-26)."""
    return moment is not None and event.happened_at is not None and event.happened_at < moment


def is_contained(event: Notification, known: OpenContext) -> bool:
    """Whether the answer to a GET already contained this event: versions are a chain (CONT-04)."""
    if event.version_id and event.version_id in {known.version_id, *known.past_versions}:
        return True
    return bool(event.prior_version_id) and event.prior_version_id in known.past_versions


def is_known_open(event: Notification, known: OpenContext) -> bool:
    """Whether an open is the one that is here; one known from a GET has no id yet."""
    if event.id == known.event_id or is_contained(event, known):
        return True
    is_next = bool(event.prior_version_id) and event.prior_version_id == known.version_id
    return not known.event_id and not is_next and event.items == known.items


def content_difference(before: OpenContext, after: OpenContext) -> list[Change]:
    """Return what the answer to a GET changed in the content of a context that was shown."""
    changed = tuple(key for key, it in after.content.items() if before.content.get(key) != it)
    removed = tuple(key for key in before.content if key not in after.content)
    if not changed and not removed and before.items == after.items:
        return []
    return [ContentChanged(after, changed, removed, is_whole=True)]


def logout_code(event: Notification) -> str:
    """Return the code of a UserLogout, "" if it holds none (INF-01)."""
    for item in event.items:
        parameters = item.get("resource")
        entries = parameters.get("parameter") if isinstance(parameters, dict) else None
        for entry in entries if isinstance(entries, list) else []:
            coding = entry.get("valueCoding") if isinstance(entry, dict) else None
            code = coding.get("code") if isinstance(coding, dict) else None
            if isinstance(code, str):
                return code
    return ""
