"""Selections: which of the selected resources a context holds (3.6.4; IRA-HUB-12, D-09)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from fhircast_hub.protocol.notification import literal_reference, reference_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_hub.protocol.notification import ContextEntry, EventNotification

_NOTHING_SELECTED = b'{"key":"select","reference":[]}'


def without_unknown(
    notification: EventNotification, is_known: Callable[[str], bool]
) -> EventNotification:
    """Return the selection without the resources that the context does not hold.

    Each form of D-09 is read: one item per resource, or one item with an array of references. A
    reference that names no "Type/id" stays: it cannot be judged. If nothing known is left, the
    selection is empty in the form of D-09.

    Args:
        notification: A select.
        is_known: Whether the context holds this "Type/id".

    Returns:
        The same object if nothing was dropped.
    """
    kept = []
    for entry in notification.context:
        raw = _known_part(entry, is_known) if entry.key == "select" else entry.raw
        if raw:
            kept.append(raw)
    if kept == [entry.raw for entry in notification.context]:
        return notification
    reduced = notification.with_context(kept)
    if reduced.entries("select"):
        return reduced
    return notification.with_context([*kept, _NOTHING_SELECTED])


def _known_part(entry: ContextEntry, is_known: Callable[[str], bool]) -> bytes:
    """Return the item with its known references, b"" if none of them is known."""
    if not entry.references:
        return entry.raw if not entry.target or is_known(entry.target) else b""
    known = [it for it in entry.references if _is_kept(literal_reference(it), is_known)]
    if len(known) == len(entry.references):
        return entry.raw
    if not known:
        return b""
    fields = msgspec.json.decode(entry.raw, type=dict[str, Raw])
    return msgspec.json.encode({**fields, "reference": [Raw(it) for it in known]})


def _is_kept(reference: str, is_known: Callable[[str], bool]) -> bool:
    key = reference_key(reference)
    return not key or is_known(key)
