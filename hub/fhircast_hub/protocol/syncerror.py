"""SyncError: how the hub says that a subscriber is out of step, and how it reads one."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.events import SYNC_ERROR
from fhircast_hub.protocol.messages import EventNotification, decode_part, make_notification

if TYPE_CHECKING:
    from datetime import datetime

_SYSTEM = "https://fhircast.hl7.org/events/syncerror/"
EVENT_ID, EVENT_NAME, SUBSCRIBER_NAME = (
    _SYSTEM + part for part in ("eventid", "eventname", "subscribername")
)
_SUBSCRIBER = _SYSTEM + "subscriber"
"""The page example's spelling of the third system; written as a fourth coding (D-02)."""


class FailureKind(Enum):
    """Why a subscriber is out of step."""

    REFUSED = "refused to follow"
    TOO_LARGE = "refused as too large"
    FAILED = "failed to process"
    UNANSWERED = "did not acknowledge"
    CONNECTION_LOST = "connection lost"
    TOO_SLOW = "too slow to receive"
    FLOODING = "sent too many frames"
    REJECTED = "the hub rejected its"


def kind_of_status(status: int) -> FailureKind:
    """Return what an error status in a notification response says (ACK-03, CONT-19)."""
    if status == 413:
        return FailureKind.TOO_LARGE
    return FailureKind.REFUSED if status < 500 else FailureKind.FAILED


class Failure(msgspec.Struct, frozen=True, gc=False):
    """One subscriber out of step with one event (D-20).

    Attributes:
        kind: What happened.
        subscriber_name: Who.
        detail: Status or close code in words, "" if there is nothing to add.
        event_id: Id of the event in question, "" if no event is involved.
        event_name: Its name in the catalogue's spelling, "" if no event is involved.
    """

    kind: FailureKind
    subscriber_name: str
    detail: str = ""
    event_id: str = ""
    event_name: str = ""

    @property
    def diagnostics(self) -> str:
        """Source and reason in words, without anything from a context (SYNC-03)."""
        what = f"{self.subscriber_name}: {self.kind.value}"
        if self.event_name:
            what += f" {self.event_name}"
        return f"{what} ({self.detail})" if self.detail else what


def make_sync_error(
    topic: str, failure: Failure, *, id: str, event_id: str, now: datetime
) -> EventNotification:
    """Return the SyncError about a failure.

    Args:
        topic: The session's topic.
        failure: Who is out of step, with what.
        id: A UUID for the SyncError.
        event_id: A UUID that stands for the event if none is involved (IRA-HUB-17).
        now: Aware time.

    Spec: 3.2.1; SYNC-02 … SYNC-04, D-02, D-03, D-34.
    """
    codes = (
        (EVENT_ID, failure.event_id or event_id),
        (EVENT_NAME, failure.event_name or "syncerror"),
        (SUBSCRIBER_NAME, failure.subscriber_name),
        (_SUBSCRIBER, failure.subscriber_name),
    )
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "warning",
                "code": "processing",
                "diagnostics": failure.diagnostics,
                "details": {"coding": [{"system": it, "code": code} for it, code in codes]},
            },
            *_further_issues(failure),
        ],
    }
    return make_notification(
        id=id,
        happened_at=now,
        topic=topic,
        event=SYNC_ERROR.spelling,
        context=[{"key": "operationoutcome", "resource": outcome}],
    )


def _further_issues(failure: Failure) -> list[dict[str, str]]:
    """D-34: the profile fixes the code of the first issue, 2.10 wants `too-long` somewhere."""
    if failure.kind is not FailureKind.TOO_LARGE:
        return []
    diagnostics = failure.diagnostics
    return [{"severity": "warning", "code": "too-long", "diagnostics": diagnostics}]


class _Coding(msgspec.Struct, frozen=True):
    system: str = ""
    code: str = ""


class _Details(msgspec.Struct, frozen=True):
    coding: list[_Coding] = []


class _Issue(msgspec.Struct, frozen=True):
    severity: str = ""
    code: str = ""
    details: _Details = _Details()


class _Outcome(msgspec.Struct, frozen=True):
    resource_type: str = msgspec.field(name="resourceType")
    issue: list[_Issue] = []


def check_sync_error(notification: EventNotification, *, ira: bool) -> None:
    """Pass if a SyncError says what the standard wants it to say.

    Args:
        notification: A SyncError.
        ira: Whether the codings are demanded too (IRA-HUB-19).

    Raises:
        InvalidRequest: No OperationOutcome, no issue `processing`, or a coding is missing.
    """
    outcome = _outcome(notification)
    field = "context.operationoutcome"
    if outcome is None or outcome.resource_type != "OperationOutcome":
        raise InvalidRequest(field, "is no OperationOutcome", rule="SYNC-02")
    codings = [coding for issue in _processing(outcome) for coding in issue.details.coding]
    if not _processing(outcome):
        raise InvalidRequest(field, "has no issue with the code processing", rule="SYNC-02")
    if ira and len(_processing(outcome)) > 1:
        raise InvalidRequest(
            field, "has more than one issue with the code processing", rule="SYNC-02, IRA-HUB-19"
        )
    if ira:
        systems = [it.system for it in codings if it.code]
        for system in (EVENT_ID, EVENT_NAME, SUBSCRIBER_NAME):
            if system not in systems and not (system == SUBSCRIBER_NAME and _SUBSCRIBER in systems):
                raise InvalidRequest(field, f"has no coding of {system}", rule="IRA-HUB-19")


def failed_event_id(notification: EventNotification) -> str:
    """Return the id of the event that a SyncError is about, "" if it names none."""
    outcome = _outcome(notification)
    if outcome is not None:
        for issue in _processing(outcome):
            for coding in issue.details.coding:
                if coding.system == EVENT_ID:
                    return coding.code
    return ""


def _processing(outcome: _Outcome) -> list[_Issue]:
    return [issue for issue in outcome.issue if issue.code == "processing"]


def _outcome(notification: EventNotification) -> _Outcome | None:
    for entry in notification.entries("operationoutcome"):
        if entry.head is not None:
            return decode_part(entry.resource, _Outcome, "context.operationoutcome", "SYNC-02")
    return None
