"""In sync or not, and why: what a user must be told (SYNC-13)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from fhircast_hub.protocol.syncerror import EVENT_ID, EVENT_NAME, SUBSCRIBER_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from fhircast_subscribers.wire import Notification

SUBSCRIBER = "https://fhircast.hl7.org/events/syncerror/subscriber"
"""The page example's spelling of the third system; read, and written as a fourth coding (D-02)."""


class Connection(Enum):
    """How this subscriber stands to the hub."""

    CONNECTING = "not connected yet"
    JOINING = "connected; reading the current context"
    JOINED = "connected"
    LOST = "connection lost"
    ENDED = "subscription ended"


@dataclass(frozen=True, slots=True)
class SyncProblem:
    """One subscriber is out of step.

    Attributes:
        subscriber: Its name, "" if nobody is named.
        event_id: Of the event in question.
        event_name: Its name; "syncerror" if no event is involved.
        diagnostics: Source and reason in words.
        happened_at: When the SyncError was made.
    """

    subscriber: str
    event_id: str
    event_name: str
    diagnostics: str
    happened_at: datetime | None = None

    @property
    def is_about_content(self) -> bool:
        """Whether it concerns an update or a selection, not which context is shown."""
        return self.event_name.lower().endswith(("-update", "-select"))


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """Whether everybody shows the same context.

    Attributes:
        connection: How this subscriber stands to the hub.
        detail: Why the connection is lost or has ended, "" if there is nothing to add.
        refused: Name of the event that this subscriber itself refused to follow, "" if none.
        needs_context: The content of the current context may lack something.
        problems: Other subscribers that are out of step, one entry per subscriber and event.
    """

    connection: Connection = Connection.CONNECTING
    detail: str = ""
    refused: str = ""
    needs_context: bool = False
    problems: tuple[SyncProblem, ...] = ()

    @property
    def in_sync(self) -> bool:
        """Whether nothing is wrong that is known here."""
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is wrong, one sentence each, for the user."""
        reasons = []
        if self.connection is not Connection.JOINED:
            text = self.connection.value
            reasons.append(f"{text}: {self.detail}" if self.detail else text)
        if self.refused:
            reasons.append(f"{self.refused} was not followed here")
        if self.needs_context:
            reasons.append("shared content may be missing; reading it again")
        reasons += [it.diagnostics or f"{it.subscriber} is out of step" for it in self.problems]
        return tuple(reasons)


def read_sync_error(notification: Notification) -> SyncProblem:
    """Return what a SyncError says, as far as it says anything (SYNC-02 … SYNC-04)."""
    for item in notification.items:
        outcome = item.get("resource")
        if item.get("key", "").lower() == "operationoutcome" and isinstance(outcome, dict):
            for issue in _objects(outcome.get("issue")):
                return _problem(issue, notification)
    return SyncProblem("", "", "", "a subscriber is out of step", notification.happened_at)


def _problem(issue: Mapping[str, Any], notification: Notification) -> SyncProblem:
    details = issue.get("details")
    codings = _objects(details.get("coding")) if isinstance(details, dict) else []
    codes = {str(it.get("system")): it["code"] for it in codings if isinstance(it.get("code"), str)}
    diagnostics = issue.get("diagnostics")
    return SyncProblem(
        subscriber=codes.get(SUBSCRIBER_NAME) or codes.get(SUBSCRIBER, ""),
        event_id=codes.get(EVENT_ID, ""),
        event_name=codes.get(EVENT_NAME, ""),
        diagnostics=diagnostics if isinstance(diagnostics, str) else "",
        happened_at=notification.happened_at,
    )


def _objects(value: object) -> Iterable[Mapping[str, Any]]:
    return [it for it in value if isinstance(it, dict)] if isinstance(value, list) else []
