"""What Rad AI's validator wants of a frame, rule by rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clients.field_client import Json

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
"""An offset does not do, +00:00 included."""

_TEXTS = {
    "patient": ("id",),
    "study": ("id", "description", "started", "status"),
    "report": ("id", "status"),
}
_LISTS = {"patient": ("identifier",), "study": ("identifier",), "report": ("imagingStudy",)}
_KEYS = {
    "Patient-open": {"patient"},
    "ImagingStudy-open": {"patient", "study"},
    "DiagnosticReport-open": {"patient", "study", "report"},
    "DiagnosticReport-update": {"report", "updates"},
}


def problems(frame: Json, events: Sequence[str]) -> list[str]:
    """Return what does not fit in a frame, none if it is valid."""
    return list(_problems(frame, events))


def _problems(frame: Json, events: Sequence[str]) -> Iterator[str]:
    try:
        UUID(frame["id"])
    except ValueError:
        yield f"id: {frame['id']}"
    if not _DATE_TIME.fullmatch(frame["timestamp"]):
        yield f"timestamp: {frame['timestamp']}"
    event = frame["event"]
    name = event["hub.event"]
    if name not in events:
        yield f"hub.event: {name}"
    if name == "DiagnosticReport-open" and not isinstance(event.get("context.versionId"), str):
        yield "context.versionId: missing"
    for entry in event["context"]:
        yield from _entry_problems(entry, _KEYS.get(name, set()))


def _entry_problems(entry: Json, keys: set[str]) -> Iterator[str]:
    key = entry["key"]
    if key not in keys:
        yield f"context: {key}"
    resource = entry.get("resource")
    if resource is None:  # how every update of the standard names its report
        yield f"{key}.resource: missing"
        return
    for field in _TEXTS.get(key, ()):
        if not isinstance(resource.get(field), str):
            yield f"{key}.{field}: no text"
    for field in _LISTS.get(key, ()):
        if not isinstance(resource.get(field), list):
            yield f"{key}.{field}: no list"
    if key == "study" and not _DATE_TIME.fullmatch(resource.get("started", "")):
        yield "study.started: no date and time in Z"
