"""Contexts of the infrastructure events that subscribers send: SyncError, logout, hibernate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhircast_hub.protocol.syncerror import EVENT_ID, EVENT_NAME, SUBSCRIBER_NAME

from fhircast_subscribers.sync import SUBSCRIBER

if TYPE_CHECKING:
    from fhircast_subscribers.wire import Item

REASONS = ("user-initiated", "system-timeout", "system-initiated")
"""The standard's reasons for a logout or hibernate; others are allowed (extensible)."""
_REASON_CODES = "http://fhircast.hl7.org/CodeSystem/fhircast-codesystem"
_MAX_DIAGNOSTICS = 256


def sync_error_items(*, event_id: str, event_name: str, subscriber: str, reason: str) -> list[Item]:
    """Return the context of a SyncError that a subscriber sends itself.

    Args:
        event_id: Of the event that is not followed.
        event_name: Its name.
        subscriber: Own name.
        reason: In words, for the other users; no patient data.

    Spec: 3.2.1; SYNC-02 … SYNC-04, D-02, D-03.
    """
    codes = (
        (EVENT_ID, event_id),
        (EVENT_NAME, event_name),
        (SUBSCRIBER_NAME, subscriber),
        (SUBSCRIBER, subscriber),
    )
    issue = {
        "severity": "warning",
        "code": "processing",
        "diagnostics": f"{subscriber}: {reason}"[:_MAX_DIAGNOSTICS],
        "details": {"coding": [{"system": system, "code": code} for system, code in codes]},
    }
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    return [{"key": "operationoutcome", "resource": outcome}]


def logout_items(code: str = "user-initiated") -> list[Item]:
    """Return the context of a UserLogout (INF-01, D-35)."""
    return [_parameters(code)]


def hibernate_items(code: str = "user-initiated", *, hub: bool | None = None) -> list[Item]:
    """Return the context of a UserHibernate (INF-03, D-35).

    Args:
        code: Why; see `REASONS`.
        hub: Whether the system with the hub hibernates too; None says nothing about it.
    """
    about_hub = [] if hub is None else [{"name": "hub", "valueBoolean": hub}]
    return [_parameters(code, *about_hub)]


def _parameters(code: str, *others: dict[str, Any]) -> Item:
    coding = {"system": _REASON_CODES, "code": code}
    parameter = [{"name": "code", "valueCoding": coding}, *others]
    return {"key": "parameters", "resource": {"resourceType": "Parameters", "parameter": parameter}}
