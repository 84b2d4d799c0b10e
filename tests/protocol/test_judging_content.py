"""Updates and selections: content sharing of an open context (2.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import (
    BASE,
    IRA,
    OBSERVATION,
    PATIENT,
    REPORT,
    REPORT_2,
    STUDY,
    Json,
    bundle,
    close_event,
    delete,
    event,
    item,
    judge,
    new_session,
    observation,
    open_case,
    open_event,
    opened,
    put,
    ref,
    select_event,
    session_after,
    target,
    update_event,
)
from fhircast_hub.protocol.errors import (
    AnchorLinkBroken,
    ContextNotCurrent,
    ContextNotOpen,
    FhircastError,
    InvalidRequest,
    LimitReached,
    VersionConflict,
)
from fhircast_hub.protocol.session import Rules, Session

if TYPE_CHECKING:
    from fhircast_hub.protocol.messages import EventNotification

DR_1, DR_2 = target(REPORT), target(REPORT_2)


def content_of(session: Session, anchor: str = DR_1) -> list[str]:
    return [key for key, _ in session.contexts[anchor].content]


# Updates


def test_an_update_gets_a_version_and_names_the_one_before() -> None:
    """2.10: CONT-04."""
    decision = judge(opened(), update_event(REPORT, "v1", [put(OBSERVATION)]), "v2")
    assert decision.broadcast is not None
    assert (decision.broadcast.version_id, decision.broadcast.prior_version_id) == ("v2", "v1")
    assert decision.answer.version_id == "v2"
    assert decision.session.contexts[DR_1].version_id == "v2"
    assert content_of(decision.session) == ["Observation/ob-1"]


def test_the_broadcast_carries_the_bundle_as_it_came() -> None:
    """2.10: CONT-07, CONT-22."""
    request = update_event(REPORT, "v1", [put(OBSERVATION)])
    broadcast = judge(opened(), request, "v2").broadcast
    assert broadcast is not None
    assert broadcast.raw_context == request.raw_context


def test_the_open_event_stays_as_it_was() -> None:
    """2.10: CTX-07, D-13; changes are in the content only."""
    before = opened().contexts[DR_1].opened
    session = judge(opened(), update_event(REPORT, "v1", [put({**REPORT, "status": "final"})]))
    context = session.session.contexts[DR_1]
    assert context.opened.raw_context == before.raw_context
    assert context.opened.version_id == "v1"


@pytest.mark.parametrize(("rules", "status"), [(BASE, 409), (IRA, 400)], ids=["base", "ira"])
def test_a_stale_version_is_rejected_whole(rules: Rules, status: int) -> None:
    """2.10, RAD-150: CONT-03, D-08, D-42; the text names both versions."""
    session = judge(opened(), update_event(REPORT, "v1"), "v2").session
    with pytest.raises(VersionConflict, match=r"v2.*v1") as caught:
        judge(session, update_event(REPORT, "v1", [put(OBSERVATION)]), rules=rules)
    assert caught.value.status == status
    assert content_of(session) == []


def test_an_update_names_its_version() -> None:
    """3.6.1: CONT-02."""
    with pytest.raises(InvalidRequest, match=r"context\.versionId: missing"):
        judge(opened(), update_event(REPORT, ""))


@pytest.mark.parametrize(
    "session",
    [new_session(), opened(2), session_after(open_case(1), close_event(REPORT))],
    ids=["never", "another", "closed"],
)
@pytest.mark.parametrize("request_", [update_event(REPORT, "v1"), select_event(REPORT)])
@pytest.mark.parametrize("rules", [BASE, IRA], ids=["base", "ira"])
def test_what_is_not_open_is_neither_updated_nor_selected(
    session: Session, request_: EventNotification, rules: Rules
) -> None:
    """2.10, V1 1.1.8.1: CONT-16, IRA-HUB-10, D-29."""
    with pytest.raises(ContextNotOpen):
        judge(session, request_, rules=rules)


@pytest.mark.parametrize(
    "updates",
    [
        [item(bundle(), "updates"), item(bundle(), "updates")],
        [ref("Bundle/b-1", "updates")],
        [item(OBSERVATION, "updates")],
    ],
)
def test_an_update_holds_exactly_one_bundle(updates: list[Json]) -> None:
    """2.10, 3.6.3: CONT-08."""
    named = ref(DR_1, "report")
    request = event("DiagnosticReport-update", named, *updates, version_id="v1")
    with pytest.raises(InvalidRequest):
        judge(opened(), request)


def test_one_bad_entry_rejects_the_whole_bundle() -> None:
    """2.10: CONT-05."""
    session = opened()
    entries = [put(OBSERVATION), put(observation("ob-2")), delete("Patient/pt-1")]
    with pytest.raises(InvalidRequest):
        judge(session, update_event(REPORT, "v1", entries))
    assert content_of(session) == []
    assert session.contexts[DR_1].version_id == "v1"


def test_an_empty_bundle_is_an_update_too() -> None:
    """2.10: CONT-04, nothing in the profile forbids it."""
    assert judge(opened(), update_event(REPORT, "v1"), "v2").answer.version_id == "v2"


def test_an_update_of_another_open_context_stays_in_its_scope() -> None:
    """2.10: CONT-23."""
    session = opened(1, 2)
    decision = judge(session, update_event(REPORT, "v1", [put(OBSERVATION)]), "v3")
    assert decision.session.current == DR_2
    assert list(decision.session.contexts) == [DR_1, DR_2]
    assert decision.session.contexts[DR_1].version_id == "v3"
    assert decision.session.contexts[DR_2] == session.contexts[DR_2]


def test_each_context_has_its_own_chain_of_versions() -> None:
    """2.10: CONT-01, CONT-03; the version of another context does not do."""
    with pytest.raises(VersionConflict):
        judge(opened(1, 2), update_event(REPORT, "v2"))


def test_a_comparison_study_can_come_and_go() -> None:
    """2.10: CONT-15."""
    comparison = {**STUDY, "id": "is-old"}
    session = judge(opened(), update_event(REPORT, "v1", [put(comparison)]), "v2").session
    assert content_of(session) == ["ImagingStudy/is-old"]
    gone = judge(session, update_event(REPORT, "v2", [delete("ImagingStudy/is-old")]), "v3")
    assert content_of(gone.session) == []


@pytest.mark.parametrize("rules", [BASE, IRA], ids=["base", "ira"])
def test_an_update_never_detaches_the_patient(rules: Rules) -> None:
    """RAD-150: IRA-HUB-11, another MRN; a phone number is fine."""
    other = {**PATIENT, "identifier": [{**PATIENT["identifier"][0], "value": "other"}]}
    with pytest.raises(AnchorLinkBroken):
        judge(opened(), update_event(REPORT, "v1", [put(other)]), rules=rules)
    phone = {**PATIENT, "telecom": [{"system": "phone", "value": "555-0100"}]}
    judge(opened(), update_event(REPORT, "v1", [put(phone)]), rules=rules)


def test_content_is_bounded() -> None:
    """CONT-19: over the bound nothing changes; an update that adds nothing still goes."""
    rules = Rules(max_content_resources=1)
    session = judge(opened(), update_event(REPORT, "v1", [put(OBSERVATION)]), "v2", rules).session
    with pytest.raises(LimitReached):
        judge(session, update_event(REPORT, "v2", [put(observation("ob-2"))]), rules=rules)
    replaced = judge(session, update_event(REPORT, "v2", [put(OBSERVATION)]), "v3", rules)
    assert content_of(replaced.session) == ["Observation/ob-1"]


def test_any_anchor_type_shares_content() -> None:
    """2.3, 2.10: EVT-12."""
    session = session_after(open_event(STUDY, PATIENT))
    session = judge(session, update_event(STUDY, "v1", [put(OBSERVATION)]), "v2").session
    assert content_of(session, target(STUDY)) == ["Observation/ob-1"]


# Selections


def keys_and_targets(notification: EventNotification | None) -> list[tuple[str, str]]:
    assert notification is not None
    return [(entry.key, entry.target) for entry in notification.context]


def with_observation() -> Session:
    """dr-1 with ob-1 shared; its version is v2."""
    return judge(opened(), update_event(REPORT, "v1", [put(OBSERVATION)]), "v2").session


def test_a_selection_is_broadcast_with_the_current_version() -> None:
    """3.6.4: SEL-01, SEL-04, D-10; it makes no version."""
    request = select_event(REPORT, "Observation/ob-1", "Patient/pt-1")
    decision = judge(with_observation(), request, "v3")
    assert decision.broadcast is not None
    assert decision.broadcast.raw_context == request.raw_context
    assert (decision.broadcast.version_id, decision.broadcast.prior_version_id) == ("v2", "")
    assert decision.session.contexts[DR_1].version_id == "v2"
    assert (decision.answer.version_id, decision.answer.status) == ("", 202)


def test_a_selection_outside_the_current_context_is_a_conflict() -> None:
    """2.10: SEL-03, D-29."""
    with pytest.raises(ContextNotCurrent):
        judge(opened(1, 2), select_event(REPORT))


@pytest.mark.parametrize(
    "cleared",
    [
        [{"key": "select", "reference": []}],
        [{"key": "select", "resource": []}],
        [{"key": "select"}],
    ],
)
@pytest.mark.parametrize("rules", [BASE, IRA], ids=["base", "ira"])
def test_an_empty_selection_is_read_in_every_form(cleared: list[Json], rules: Rules) -> None:
    """3.6.4: SEL-02, D-09."""
    request = event("DiagnosticReport-select", ref(DR_1, "report"), *cleared)
    decision = judge(with_observation(), request, rules=rules)
    assert decision.answer.status == 202
    assert decision.broadcast is not None
    assert decision.broadcast.raw_context == request.raw_context


def test_an_absent_select_is_an_empty_selection_in_base_mode() -> None:
    """D-09."""
    request = event("DiagnosticReport-select", ref(DR_1, "report"))
    assert judge(opened(), request).answer.status == 202


def test_base_mode_forwards_unknown_references() -> None:
    """3.6.4: SEL-04."""
    request = select_event(REPORT, "Observation/none")
    decision = judge(opened(), request)
    assert decision.answer.status == 202
    assert keys_and_targets(decision.broadcast)[-1] == ("select", "Observation/none")


def test_ira_drops_unknown_references_and_says_206() -> None:
    """RAD-151: IRA-HUB-12, D-09."""
    request = select_event(REPORT, "Observation/ob-1", "Observation/none", "ImagingStudy/is-1")
    decision = judge(with_observation(), request, rules=IRA)
    assert decision.answer.status == 206
    assert keys_and_targets(decision.broadcast) == [
        ("report", DR_1),
        ("select", "Observation/ob-1"),
        ("select", "ImagingStudy/is-1"),
    ]


def test_ira_answers_202_if_all_are_known() -> None:
    """RAD-151: IRA-HUB-12; resources of the open and of the content."""
    request = select_event(REPORT, "Observation/ob-1", "ImagingStudy/is-1")
    assert judge(with_observation(), request, rules=IRA).answer.status == 202


def test_ira_clears_the_selection_if_nothing_in_it_is_known() -> None:
    """RAD-151: each select replaces the earlier one (SEL-02), in the form of D-09."""
    decision = judge(opened(), select_event(REPORT, "Observation/none"), rules=IRA)
    assert decision.broadcast is not None
    assert decision.broadcast.raw_context.endswith(b',{"key":"select","reference":[]}]')
    assert decision.answer.status == 206


@pytest.mark.parametrize(
    "request_",
    [
        update_event(REPORT, "stale", [put(OBSERVATION)]),
        update_event(REPORT, "v1", [delete(DR_1)]),
        select_event(REPORT_2),
        close_event(REPORT_2),
    ],
)
def test_a_rejected_request_leaves_the_session_as_it_was(request_: EventNotification) -> None:
    """2.10: CONT-05."""
    session, same = opened(), opened()
    with pytest.raises(FhircastError):
        judge(session, request_, rules=IRA)
    assert (session.revision, session.current) == (same.revision, same.current)
    assert content_of(session) == []


def test_what_the_open_only_refers_to_is_not_removed_either() -> None:
    """2.10, RAD-150: CONT-13, IRA-HUB-11; but it may be shared."""
    by_reference = event("DiagnosticReport-open", item(REPORT), ref("Patient/pt-1", "patient"))
    session = session_after(by_reference)
    with pytest.raises(InvalidRequest, match="cannot be removed"):
        judge(session, update_event(REPORT, "v1", [delete("Patient/pt-1")]))
    shared = judge(session, update_event(REPORT, "v1", [put(PATIENT)]), "v2").session
    assert "Patient/pt-1" in shared.contexts[DR_1].content
