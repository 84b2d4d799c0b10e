"""What every request meets: required parts, clock, ids that come again, infrastructure events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import (
    BASE,
    ENCOUNTER,
    IRA,
    OBSERVATION,
    PATIENT,
    PATIENT_2,
    REPORT,
    STUDY,
    Json,
    after,
    close_event,
    event,
    item,
    judge,
    new_session,
    open_case,
    open_event,
    opened,
    put,
    ref,
    session_after,
    sync_error,
    update_event,
)
from fhircast_hub.protocol.derive import derived_opens
from fhircast_hub.protocol.errors import DuplicateId, FhircastError, InvalidRequest
from fhircast_hub.protocol.judging import anchor_of
from fhircast_hub.protocol.messages import EventNotification, encode_notification
from fhircast_hub.protocol.session import Accepted, Rules, Session

# Required parts (2.3)


@pytest.mark.parametrize(
    ("name", "items", "missing"),
    [
        ("Patient-open", [], "patient"),
        ("Patient-open", [item(PATIENT, "Patient")], "patient"),
        ("ImagingStudy-open", [item(STUDY, "imagingstudy")], "study"),
        ("DiagnosticReport-open", [item(PATIENT), item(STUDY)], "report"),
        ("DiagnosticReport-open", [item(REPORT, "Report"), item(PATIENT)], "report"),
        ("DiagnosticReport-open", [item(REPORT), item(STUDY)], "patient"),
        ("DiagnosticReport-close", [item(PATIENT)], "report"),
        ("DiagnosticReport-update", [item(REPORT)], "updates"),
        ("DiagnosticReport-select", [ref("Observation/ob-1", "select")], "report"),
        ("Appointment-open", [item(PATIENT)], "appointment"),
        ("SyncError", [], "operationoutcome"),
    ],
)
def test_a_missing_key_is_named(name: str, items: list[Json], missing: str) -> None:
    """2.3: EVT-14, EVT-15, PROF-09, CONT-08."""
    with pytest.raises(InvalidRequest, match=f"context.{missing}: missing"):
        judge(opened(), event(name, *items))


@pytest.mark.parametrize(
    ("name", "items", "missing"),
    [
        ("DiagnosticReport-open", [item(REPORT), item(PATIENT)], "study"),
        ("DiagnosticReport-select", [ref("DiagnosticReport/dr-1", "report")], "select"),
    ],
)
def test_ira_demands_more_keys_than_the_standard(
    name: str, items: list[Json], missing: str
) -> None:
    """RAD-148, RAD-151: IRA-HUB-07, IRA-HUB-12; base mode accepts both (D-09)."""
    with pytest.raises(InvalidRequest, match=f"context.{missing}: missing"):
        judge(opened(), event(name, *items), rules=IRA)
    assert judge(opened(), event(name, *items), rules=BASE).answer.status == 202


@pytest.mark.parametrize(
    "anchor",
    [
        {"key": "patient", "value": PATIENT},
        {"key": "patient", "string": "Patient/pt-1"},
        ref("Patient/pt-1", "patient"),
        item({"resourceType": "Patient"}),
        item(ENCOUNTER, "patient"),
    ],
)
def test_an_open_holds_its_anchor_resource_with_an_id(anchor: Json) -> None:
    """2.3: EVT-15; the hub checks type and id (D-31)."""
    with pytest.raises(InvalidRequest, match=r"context\.patient"):
        judge(new_session(), event("Patient-open", anchor))


@pytest.mark.parametrize(
    "name", ["ImagingStudy-close", "ImagingStudy-update", "ImagingStudy-select"]
)
def test_other_events_name_their_anchor_by_type_and_id(name: str) -> None:
    """2.3, RAD-149: EVT-15, IRA-HUB-09."""
    wrong = ref("Patient/pt-1", "study")
    updates = item({"resourceType": "Bundle", "type": "transaction"}, "updates")
    with pytest.raises(InvalidRequest, match=r"context\.study"):
        judge(opened(), event(name, wrong, updates))


@pytest.mark.parametrize("twice", [item(REPORT), item(PATIENT), item(PATIENT_2)])
def test_an_anchor_or_a_patient_is_named_once(twice: Json) -> None:
    """2.3: EVT-16; two of them can be read two ways."""
    items = [item(REPORT), item(PATIENT), item(STUDY), twice]
    with pytest.raises(InvalidRequest, match="more than once"):
        judge(new_session(), event("DiagnosticReport-open", *items))


def test_what_stands_under_patient_is_a_patient() -> None:
    """2.3: EVT-15."""
    with pytest.raises(InvalidRequest, match=r"context\.patient"):
        judge(new_session(), event("DiagnosticReport-open", item(REPORT), item(STUDY, "patient")))


def test_several_studies_and_unknown_keys_are_accepted() -> None:
    """3.6.1: PROF-09, D-31, D-37; forwarded as they are (GEN-04, EVT-16)."""
    second = item({**STUDY, "id": "is-9"})
    more = [second, {"key": "extension", "data": {"x": 1}}, item(OBSERVATION, "whatever")]
    request = event("DiagnosticReport-open", item(REPORT), item(PATIENT), item(STUDY), *more)
    broadcast = judge(new_session(), request).broadcast
    assert broadcast is not None
    assert broadcast.raw_context == request.raw_context


def test_the_resources_need_not_agree_with_each_other_in_base_mode() -> None:
    """2.3: EVT-17, the requester is responsible."""
    judge(new_session(), open_event(REPORT, PATIENT_2, STUDY))


def test_the_anchor_of_an_event() -> None:
    """2.3: EVT-14, resource or reference."""
    assert anchor_of(close_event(REPORT)) == "DiagnosticReport/dr-1"
    assert anchor_of(update_event(STUDY, "v1")) == "ImagingStudy/is-1"


# Clock (D-27)


@pytest.mark.parametrize(("ahead", "fits"), [(-86_400, True), (0, True), (300, True), (301, False)])
def test_a_timestamp_may_lie_five_minutes_ahead(ahead: float, fits: bool) -> None:
    """2.5: D-27; a future stamp would block all later opens."""
    request = open_case(at=after(ahead))
    if fits:
        assert judge(new_session(), request).broadcast is not None
        return
    with pytest.raises(InvalidRequest, match=r"^timestamp"):
        judge(new_session(), request)


# Answers (D-46)


def test_the_broadcast_reuses_the_requests_id_and_timestamp() -> None:
    """2.6: EVT-05, D-50."""
    decision = judge(new_session(), open_case(id="e-7", at=after(-5)), "v1")
    assert decision.broadcast is not None
    assert (decision.broadcast.id, decision.broadcast.happened_at) == ("e-7", after(-5))
    assert decision.answer == Accepted("e-7", "v1", 202)


# Ids that come again (D-28)


@pytest.mark.parametrize(
    "request_",
    [open_case(1), close_event(REPORT), update_event(REPORT, "v1", [put(OBSERVATION)])],
    ids=["open", "close", "update"],
)
def test_the_same_request_again_changes_nothing(request_: EventNotification) -> None:
    """2.6: IRA-HUB-20, the first answer again and no second broadcast (D-28, D-46)."""
    first = judge(opened(), request_, "v2")
    again = judge(first.session, request_, "v3")
    assert again.session is first.session
    assert again.broadcast is None
    assert again.answer == first.answer


def test_an_id_with_another_body_is_a_conflict() -> None:
    """2.6: D-28."""
    session = session_after(open_case(1, id="e-1"))
    with pytest.raises(DuplicateId):
        judge(session, open_case(2, id="e-1"))


def test_a_rejected_id_is_free() -> None:
    """2.6: nothing of a rejected request is kept."""
    session = opened()
    with pytest.raises(FhircastError):
        judge(session, update_event(REPORT, "stale", id="e-1"))
    assert judge(session, update_event(REPORT, "v1", id="e-1")).broadcast is not None


def test_the_oldest_ids_are_forgotten_first() -> None:
    """D-28: bounded memory."""
    rules = replace(BASE, remembered_ids=2)
    requests = [event("UserLogout", id=f"e-{number}") for number in range(3)]
    session = session_after(*requests, rules=rules)
    assert list(session.remembered) == ["e-1", "e-2"]


def failed(session: Session, id: str) -> Session:
    """The session after a SyncError about the event."""
    return judge(session, sync_error(id)).session


def test_an_open_with_an_outstanding_sync_error_goes_out_again() -> None:
    """2.6: SYNC-12, D-28; the same frame with the same version, once for each SyncError."""
    first = judge(new_session(), open_case(id="e-1"), "v1")
    again = judge(failed(first.session, "e-1"), open_case(id="e-1"), "v5")
    assert again.broadcast is not None
    assert first.broadcast is not None
    assert encode_notification(again.broadcast) == encode_notification(first.broadcast)
    assert again.answer == first.answer
    assert judge(again.session, open_case(id="e-1"), "v6").broadcast is None


def test_a_second_sync_error_lets_the_open_go_out_once_more() -> None:
    """2.6: SYNC-12, until in sync."""
    session = failed(session_after(open_case(id="e-1")), "e-1")
    session = judge(session, open_case(id="e-1")).session
    assert judge(failed(session, "e-1"), open_case(id="e-1")).broadcast is not None


def test_a_sync_error_about_a_derived_open_lets_its_source_go_out_again() -> None:
    """2.6: SYNC-12, D-28; the subscriber knows the derived id only, the requester its own."""
    first = judge(new_session(), open_case(id="e-1"), "v1")
    assert first.broadcast is not None
    session = failed(first.session, derived_opens(first.broadcast)[0].id)
    again = judge(session, open_case(id="e-1"), "v5")
    assert again.is_resend
    assert again.sets_context
    assert again.broadcast == first.broadcast


def test_a_resend_ends_with_a_newer_open() -> None:
    """2.6: SYNC-12, "or a newer event comes"."""
    session = failed(session_after(open_case(1, id="e-1"), open_case(2)), "e-1")
    decision = judge(session, open_case(1, id="e-1"))
    assert decision.broadcast is None
    assert decision.session.current == "DiagnosticReport/dr-2"


def test_a_close_with_an_outstanding_sync_error_goes_out_again() -> None:
    """2.6: D-28."""
    close = close_event(REPORT, id="e-2")
    session = failed(session_after(open_case(), close), "e-2")
    broadcast = judge(session, close).broadcast
    assert broadcast is not None
    assert broadcast.version_id == ""


def test_a_close_is_not_resent_once_its_context_is_open_again() -> None:
    """2.6: D-28, SYNC-12; it would close what the user works on."""
    close = close_event(REPORT, id="e-2")
    session = failed(session_after(open_case(), close), "e-2")
    session = judge(session, open_case(at=after(1))).session
    assert judge(session, close).broadcast is None


def test_a_home_open_with_an_outstanding_sync_error_goes_out_again() -> None:
    """2.6, 3.2.5: D-21, D-28."""
    home = event("Home-open", id="e-2")
    session = failed(session_after(open_case(), home), "e-2")
    assert judge(session, home).broadcast is not None


def test_an_update_is_never_broadcast_twice() -> None:
    """2.6: D-28 names opens and closes only; a second update would break the version chain."""
    update = update_event(REPORT, "v1", [put(OBSERVATION)], id="e-2")
    session = failed(session_after(open_case(), update), "e-2")
    assert judge(session, update).broadcast is None


# Infrastructure and proprietary events


@pytest.mark.parametrize(
    "request_",
    [
        event("UserLogout", item({"resourceType": "Parameters"})),
        event("UserLogout"),
        event("UserHibernate", item({"resourceType": "Parameters"})),
        event("org.example.thing", {"key": "x", "string": "y"}),
        sync_error("unknown"),
    ],
    ids=["logout", "empty logout", "hibernate", "proprietary", "syncerror"],
)
def test_other_events_are_distributed_and_leave_the_contexts_alone(
    request_: EventNotification,
) -> None:
    """2.3, 3.2: EVT-13, INF-01, INF-03, SYNC-10, D-35."""
    before = opened(1, 2)
    decision = judge(before, request_)
    assert decision.broadcast == request_
    assert decision.answer == Accepted(request_.id)
    assert decision.session.contexts == before.contexts
    assert decision.session.current == before.current


@pytest.mark.parametrize("rules", [BASE, IRA], ids=["base", "ira"])
def test_a_sync_error_without_an_outcome_is_refused(rules: Rules) -> None:
    """3.2.1, RAD-156: SYNC-02, IRA-HUB-19."""
    request = event("SyncError", item(PATIENT, "operationoutcome"))
    with pytest.raises(InvalidRequest):
        judge(opened(), request, rules=rules)


def test_a_sync_error_without_codings_is_refused_in_ira_mode_only() -> None:
    """RAD-156: IRA-HUB-19."""
    request = sync_error("e-1", issue={"code": "processing"})
    assert judge(opened(), request).broadcast is not None
    with pytest.raises(InvalidRequest):
        judge(opened(), request, rules=IRA)


def test_a_sync_error_never_moves_the_current_context() -> None:
    """RAD-154: IRA-HUB-15."""
    session = failed(session_after(open_case(1, id="e-1")), "e-1")
    assert session.current == "DiagnosticReport/dr-1"
