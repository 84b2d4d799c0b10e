"""Contexts of the infrastructure events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builders import NOON, TOPIC
from fhircast_hub.protocol.messages import make_notification
from fhircast_hub.protocol.syncerror import check_sync_error
from fhircast_subscribers.fhir import new_id
from fhircast_subscribers.infrastructure import (
    REASONS,
    hibernate_items,
    logout_items,
    sync_error_items,
)
from fhircast_subscribers.wire import decode, write_notification
from subscribers.profiles import violations

if TYPE_CHECKING:
    from collections.abc import Sequence


def found(event: str, items: Sequence[dict[str, Any]]) -> list[str]:
    body = write_notification(
        id=new_id(), happened_at=NOON, topic=TOPIC, event_name=event, items=items
    )
    return violations(decode(body))


def test_own_sync_error_meets_the_profile_and_the_hub() -> None:
    """SYNC-02, SYNC-03, SYNC-04, D-02: one issue, warning, four codings in order, who and why."""
    items = sync_error_items(event_id="e-1", event_name="X-open", subscriber="RC", reason="why")
    assert found("SyncError", items) == []
    assert items[0]["resource"]["issue"][0]["diagnostics"] == "RC: why"
    sent = make_notification(
        id="1", happened_at=NOON, topic=TOPIC, event="SyncError", context=[*items]
    )
    check_sync_error(sent, ira=True)


@pytest.mark.parametrize("code", REASONS)
def test_logout_tells_its_reason(code: str) -> None:
    """INF-01, D-35."""
    items = logout_items(code)
    assert found("UserLogout", items) == []
    assert items[0]["resource"]["parameter"][0]["valueCoding"]["code"] == code


@pytest.mark.parametrize("hub", [None, True, False])
def test_hibernate_may_tell_of_the_hub(hub: bool | None) -> None:
    """INF-03: code as for a logout, and an optional boolean."""
    items = hibernate_items("system-timeout", hub=hub)
    assert found("UserHibernate", items) == []
    told = [it.get("valueBoolean") for it in items[0]["resource"]["parameter"][1:]]
    assert told == ([] if hub is None else [hub])


def test_only_hibernate_may_tell_of_the_hub() -> None:
    """INF-01: the validator knows the difference."""
    assert found("UserLogout", hibernate_items(hub=True))
