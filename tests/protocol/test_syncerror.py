from __future__ import annotations

from typing import Any

import pytest
from builders import NOON, TOPIC, Json, event, item, ref, sync_error, value
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.messages import EventNotification, encode_notification
from fhircast_hub.protocol.syncerror import (
    Failure,
    FailureKind,
    check_sync_error,
    failed_event_id,
    kind_of_status,
    make_sync_error,
)

SYSTEM = "https://fhircast.hl7.org/events/syncerror/"
REFUSAL = Failure(
    FailureKind.REFUSED, "Report Creator", "status 409", "e-3000", "DiagnosticReport-open"
)
LOST = Failure(FailureKind.CONNECTION_LOST, "Image Display", "close code 1006")


def made(failure: Failure) -> EventNotification:
    return make_sync_error(TOPIC, failure, id="s-1", event_id="stand-in", now=NOON)


def issue_of(notification: EventNotification) -> Any:
    frame = value(encode_notification(notification))
    [entry] = frame["event"]["context"]
    assert entry["key"] == "operationoutcome"
    assert entry["resource"]["resourceType"] == "OperationOutcome"
    [issue, *_] = entry["resource"]["issue"]
    return issue


def coding(*systems: str, code: str = "x") -> Json:
    found = [{"system": SYSTEM + it, "code": code} for it in systems]
    return {"code": "processing", "details": {"coding": found}}


def test_a_sync_error_has_one_processing_issue_of_severity_warning() -> None:
    """3.2.1: SYNC-02, SYNC-03, D-03."""
    issue = issue_of(made(REFUSAL))
    assert (issue["code"], issue["severity"]) == ("processing", "warning")


def test_too_large_a_message_gets_a_second_issue() -> None:
    """2.10, CONT-19, D-34: the first is the profile's, the second says too-long."""
    failure = Failure(FailureKind.TOO_LARGE, "Viewer", "status 413", "e-1", "DiagnosticReport-open")
    frame = value(encode_notification(made(failure)))
    first, second = frame["event"]["context"][0]["resource"]["issue"]
    assert (first["code"], len(first["details"]["coding"])) == ("processing", 4)
    assert second["code"] == "too-long"
    assert "details" not in second


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.REFUSED),
        (409, FailureKind.REFUSED),
        (413, FailureKind.TOO_LARGE),
        (500, FailureKind.FAILED),
        (503, FailureKind.FAILED),
    ],
)
def test_what_an_error_status_says(status: int, kind: FailureKind) -> None:
    """2.5, ACK-03, CONT-19: refusal, too large, or failure."""
    assert kind_of_status(status) is kind


def test_the_codings_name_event_id_event_name_and_subscriber_in_this_order() -> None:
    """3.2.1, RAD-155: SYNC-04, IRA-HUB-17, D-02 with the fourth."""
    codings = issue_of(made(REFUSAL))["details"]["coding"]
    assert [(it["system"].removeprefix(SYSTEM), it["code"]) for it in codings] == [
        ("eventid", "e-3000"),
        ("eventname", "DiagnosticReport-open"),
        ("subscribername", "Report Creator"),
        ("subscriber", "Report Creator"),
    ]


def test_without_an_event_an_id_stands_in_and_the_name_is_syncerror() -> None:
    """RAD-155: IRA-HUB-17."""
    codings = issue_of(made(LOST))["details"]["coding"]
    assert [it["code"] for it in codings[:3]] == ["stand-in", "syncerror", "Image Display"]


def test_the_message_is_like_any_other_event_of_the_topic() -> None:
    """2.5, D-50: own id, UTC time ending in Z."""
    frame = value(encode_notification(made(LOST)))
    assert frame["id"] == "s-1"
    assert frame["timestamp"] == "2026-03-02T12:00:00.000Z"
    assert (frame["event"]["hub.topic"], frame["event"]["hub.event"]) == (TOPIC, "SyncError")


@pytest.mark.parametrize("kind", list(FailureKind))
def test_diagnostics_name_source_reason_and_event_in_words(kind: FailureKind) -> None:
    """3.2.1: SYNC-03, ACK-03; the wording tells refusal from failure."""
    words = issue_of(made(Failure(kind, "Viewer", "", "e-1", "Patient-open")))["diagnostics"]
    assert all(part in words for part in ("Viewer", kind.value, "Patient-open"))
    assert len({it.value for it in FailureKind}) == len(FailureKind)


def test_diagnostics_carry_the_detail_if_there_is_one() -> None:
    """3.2.1: SYNC-03."""
    assert "close code 1006" in LOST.diagnostics
    assert "(" not in Failure(FailureKind.TOO_SLOW, "Viewer").diagnostics


@pytest.mark.parametrize("ira", [False, True])
def test_what_the_hub_makes_conforms(ira: bool) -> None:
    """3.2.1, RAD-156: SYNC-02, IRA-HUB-19."""
    check_sync_error(made(REFUSAL), ira=ira)
    check_sync_error(sync_error("e-1"), ira=ira)


def test_either_spelling_of_the_subscriber_system_is_read() -> None:
    """D-02."""
    check_sync_error(
        sync_error("e-1", issue=coding("eventid", "eventname", "subscriber")), ira=True
    )


@pytest.mark.parametrize(
    "issue",
    [
        coding("eventid", "eventname"),
        coding("eventname", "subscribername"),
        coding("eventid", "subscribername"),
        coding("eventid", "eventname", "subscribername", code=""),
        coding(),
    ],
)
def test_ira_demands_the_codings(issue: Json) -> None:
    """RAD-156: IRA-HUB-19; base mode lets it pass (D-31)."""
    notification = sync_error("e-1", issue=issue)
    check_sync_error(notification, ira=False)
    with pytest.raises(InvalidRequest) as caught:
        check_sync_error(notification, ira=True)
    assert caught.value.rule == "IRA-HUB-19"


@pytest.mark.parametrize(
    "context",
    [
        [],
        [ref("OperationOutcome/1", "operationoutcome")],
        [item({"resourceType": "Patient", "id": "1"}, "operationoutcome")],
        [item({"resourceType": "OperationOutcome"})],
        [item({"resourceType": "OperationOutcome", "issue": []})],
        [item({"resourceType": "OperationOutcome", "issue": [{"code": "invalid"}]})],
        [item({"resourceType": "OperationOutcome", "issue": "processing"})],
    ],
)
def test_what_says_nothing_is_refused(context: list[Json]) -> None:
    """3.2.1: SYNC-02."""
    with pytest.raises(InvalidRequest, match=r"context\.operationoutcome"):
        check_sync_error(event("SyncError", *context), ira=False)


def test_a_second_issue_too_long_is_allowed() -> None:
    """D-34: the first issue is processing, the second too-long."""
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [coding("eventid", code="e-7"), {"code": "too-long", "severity": "warning"}],
    }
    notification = event("SyncError", item(outcome))
    check_sync_error(notification, ira=False)
    assert failed_event_id(notification) == "e-7"


def test_ira_takes_one_processing_issue_only() -> None:
    """3.2.1: SYNC-02, IRA-HUB-19: "exactly one"; base mode reads the first."""
    issues = [coding("eventid", "eventname", "subscribername", code=it) for it in ("e-7", "e-8")]
    twice = event("SyncError", item({"resourceType": "OperationOutcome", "issue": issues}))
    check_sync_error(twice, ira=False)
    with pytest.raises(InvalidRequest, match="more than one"):
        check_sync_error(twice, ira=True)


def test_the_failed_event_is_found_by_its_coding() -> None:
    """3.2.1: SYNC-04; the resend of D-28 hangs on it."""
    assert failed_event_id(sync_error("e-3000")) == "e-3000"
    assert failed_event_id(sync_error("e-1", issue=coding("eventname"))) == ""
    assert failed_event_id(event("SyncError")) == ""
