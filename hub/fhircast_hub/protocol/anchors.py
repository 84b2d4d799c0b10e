"""Anchors: the context that an event is about, and what its context array must hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.events import EventKind

if TYPE_CHECKING:
    from fhircast_hub.protocol.notification import EventNotification


def anchor_of(notification: EventNotification, *, as_resource: bool = False) -> str:
    """Return the anchor ("Type/id") that a context change names.

    Args:
        notification: A context change; it holds the key of its anchor.
        as_resource: Whether a reference is not enough.

    Raises:
        InvalidRequest: The anchor is missing, of another type, or has no id (EVT-14, EVT-15).
    """
    name = notification.name
    entry = notification.entries(name.anchor_key)[0]
    if as_resource and entry.head is None:
        raise InvalidRequest(f"context.{name.anchor_key}", "has no resource", rule="EVT-15")
    if not entry.target.startswith(f"{name.anchor_type}/"):
        problem = f"is no {name.anchor_type} with an id"
        raise InvalidRequest(f"context.{name.anchor_key}", problem, rule="EVT-15")
    return entry.target


def require_keys(notification: EventNotification, required: tuple[str, ...]) -> None:
    """Pass if the context array holds these keys, and nothing in it can be read two ways.

    Raises:
        InvalidRequest: A key is missing or ambiguous, or the patient is none.
    """
    if notification.name.kind is EventKind.PROPRIETARY:
        return  # EVT-13: what it means is between those who know it
    keys = [entry.key for entry in notification.context]
    for key in required:
        if key not in keys:
            raise InvalidRequest(f"context.{key}", "missing", rule="EVT-14, EVT-15")
    for key in (notification.name.anchor_key, "patient"):
        if keys.count(key) > 1:
            raise InvalidRequest(f"context.{key}", "occurs more than once", rule="EVT-16")
    if "patient" in keys:
        patient = notification.context[keys.index("patient")]
        if patient.head is not None and patient.head.resource_type != "Patient":
            raise InvalidRequest("context.patient", "is no Patient", rule="EVT-15")
