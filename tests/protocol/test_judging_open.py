"""Opens, closes and Home-open: which contexts are open, and which one is current (2.9)."""

from __future__ import annotations

import pytest
from builders import (
    BASE,
    ENCOUNTER,
    IRA,
    OBSERVATION,
    PATIENT,
    PATIENT_2,
    REPORT,
    REPORT_2,
    STUDY,
    after,
    close_event,
    event,
    item,
    judge,
    key_of,
    new_session,
    open_case,
    open_event,
    opened,
    put,
    ref,
    session_after,
    target,
    update_event,
)
from fhircast_hub.protocol.errors import (
    ContextNotOpen,
    InvalidRequest,
    LimitReached,
    PatientChanged,
)
from fhircast_hub.protocol.session import OpenContext, Rules

DR_1, DR_2 = target(REPORT), target(REPORT_2)


def test_an_open_makes_its_context_current_and_gets_a_version() -> None:
    """2.9, 2.10: CTX-02, CONT-01."""
    decision = judge(new_session(), open_case(), "v1")
    assert decision.broadcast is not None
    assert (decision.broadcast.version_id, decision.broadcast.prior_version_id) == ("v1", "")
    assert decision.session.current == DR_1
    context = decision.session.current_context
    assert context is not None
    assert (context.anchor_type, context.version_id) == ("DiagnosticReport", "v1")
    assert len(context.content) == 0


@pytest.mark.parametrize("anchor", [PATIENT, ENCOUNTER, STUDY, {"resourceType": "Slot", "id": "s"}])
def test_any_resource_type_can_be_opened(anchor: dict[str, str]) -> None:
    """2.3: EVT-12, IRA-HUB-21, CONT-01 "Patient-open too"."""
    decision = judge(new_session(), open_event(anchor), "v1", IRA)
    assert decision.session.current == target(anchor)
    assert decision.answer.version_id == "v1"


def test_the_requesters_version_does_not_count() -> None:
    """2.10: CONT-01, the hub assigns it."""
    decision = judge(new_session(), open_case(version_id="forged"), "v1")
    assert decision.broadcast is not None
    assert decision.broadcast.version_id == "v1"


def test_a_further_open_does_not_close_the_first() -> None:
    """2.9: TAB-01."""
    session = opened(1, 2)
    assert list(session.contexts) == [DR_1, DR_2]
    assert session.current == DR_2


def test_contexts_are_bounded() -> None:
    """TAB-01: what can grow has a bound; a reopen still goes."""
    session, rules = opened(1, 2), Rules(max_open_contexts=2)
    with pytest.raises(LimitReached):
        judge(session, open_case(3), rules=rules)
    assert judge(session, open_case(1), rules=rules).session.current == DR_1


# Reopen (D-11)


def test_a_reopen_keeps_the_content_and_gets_a_new_version() -> None:
    """RAD-148: IRA-HUB-08, TAB-03, D-11; the new context array is stored."""
    update = update_event(REPORT, "v1", [put(OBSERVATION)])
    session = session_after(open_case(1), update, open_case(2))
    again = open_event({**REPORT, "status": "final"}, PATIENT, STUDY)
    decision = judge(session, again, "v4")
    assert decision.broadcast is not None
    assert (decision.broadcast.version_id, decision.broadcast.prior_version_id) == ("v4", "v2")
    context = decision.session.current_context
    assert context is not None
    assert "Observation/ob-1" in context.content
    assert b'"final"' in context.opened.raw_context
    assert list(decision.session.contexts) == [DR_2, DR_1]


@pytest.mark.parametrize("rules", [BASE, IRA], ids=["base", "ira"])
def test_a_reopen_for_another_patient_is_a_conflict(rules: Rules) -> None:
    """D-11: a silent swap of patients is a safety hazard."""
    with pytest.raises(PatientChanged):
        judge(opened(), open_event(REPORT, PATIENT_2, STUDY), rules=rules)


def test_a_reopen_may_name_the_patient_where_there_was_none() -> None:
    """D-11: the same anchor, and no other patient."""
    session = session_after(open_event(ENCOUNTER))
    assert judge(session, open_event(ENCOUNTER, PATIENT)).session.current == target(ENCOUNTER)


def test_the_patient_of_a_reopen_may_be_a_reference() -> None:
    """D-11: what counts is which patient it is."""
    same = event("Encounter-open", item(ENCOUNTER), ref("Patient/pt-1", "patient"))
    other = event("Encounter-open", item(ENCOUNTER), ref("Patient/pt-2", "patient"))
    session = session_after(open_event(ENCOUNTER, PATIENT))
    judge(session, same)
    with pytest.raises(PatientChanged):
        judge(session, other)


def test_the_subject_of_the_anchor_tells_the_patient_where_nothing_else_does() -> None:
    """D-11: a patient without an id does not hide whose report it is."""
    nobody = {"resourceType": "Patient"}
    other = {**REPORT, "subject": {"reference": "Patient/pt-2"}}
    for session in (session_after(open_event(REPORT, nobody, STUDY)), opened()):
        with pytest.raises(PatientChanged):
            judge(session, open_event(other, nobody, STUDY))
        judge(session, open_event(REPORT, nobody, STUDY))


def test_a_reopen_that_names_no_patient_does_not_let_the_next_one_swap_it() -> None:
    """D-11: content that was shared about one patient never shows under another."""
    session = session_after(
        open_event(ENCOUNTER, PATIENT), event("Encounter-open", item(ENCOUNTER))
    )
    with pytest.raises(PatientChanged):
        judge(session, open_event(ENCOUNTER, PATIENT_2))
    assert judge(session, open_event(ENCOUNTER, PATIENT)).session.current == target(ENCOUNTER)


@pytest.mark.parametrize("subject", ["Patient/pt-1", {"reference": 1}, {"display": "somebody"}])
def test_a_subject_that_cannot_be_read_names_nobody(subject: object) -> None:
    """D-11: it is a fault of the profile, and judged there."""
    session = session_after(event("Encounter-open", item({**ENCOUNTER, "subject": subject})))
    assert [it.patient for it in session.contexts.values()] == [""]


def test_after_its_close_a_report_may_be_opened_for_another_patient() -> None:
    """D-11 speaks of open contexts only."""
    session = session_after(open_case(1), close_event(REPORT))
    assert judge(session, open_event(REPORT, PATIENT_2, STUDY)).session.current == DR_1


# Older messages (D-26, D-27)


def test_an_older_open_is_broadcast_but_does_not_become_current() -> None:
    """2.5: EVT-10, D-27; the hub's state equals what conforming subscribers show."""
    decision = judge(opened(1), open_case(2, at=after(-3600)), "v2")
    assert decision.broadcast is not None
    assert decision.session.current == DR_1
    assert DR_2 in decision.session.contexts


def test_an_open_of_the_same_moment_becomes_current() -> None:
    """D-27: only if not older."""
    session = session_after(open_case(1), open_case(2))
    assert session.current == DR_2


def test_no_open_is_older_once_the_current_context_is_closed() -> None:
    """2.5: EVT-10, D-26; no open established what is current: nothing is."""
    session = session_after(open_case(1), close_event(REPORT, at=after(1)))
    assert session.opened_at is None
    assert judge(session, open_case(2, at=after(-5))).session.current == DR_2


def test_a_reopen_counts_after_a_close_even_if_it_is_older_than_its_own_open() -> None:
    """D-11, D-26: whoever joined meanwhile cannot know how old the other opens are (REP-01)."""
    session = session_after(
        open_case(1, at=after(-9)), open_case(2, at=after(-8)), close_event(REPORT_2)
    )
    decision = judge(session, open_case(1, at=after(-10)), "v3")
    assert (decision.session.current, decision.session.opened_at) == (DR_1, after(-10))
    assert decision.broadcast is not None
    assert decision.broadcast.prior_version_id == "v1"


def test_a_close_of_another_context_leaves_the_moment_of_the_current_one() -> None:
    """EVT-10, TAB-02."""
    session = session_after(open_case(1, at=after(-9)), open_case(2), close_event(REPORT))
    assert judge(session, open_case(3, at=after(-5))).session.current == DR_2


def test_an_older_reopen_is_broadcast_and_changes_nothing() -> None:
    """2.5: EVT-10, subscribers pass it over, so no version may move."""
    session = opened(1)
    decision = judge(session, open_case(1, at=after(-3600)), "v2")
    assert decision.broadcast is not None
    assert decision.broadcast.version_id == decision.answer.version_id == "v1"
    assert decision.session.contexts == session.contexts


def test_a_reopen_older_than_the_current_open_moves_no_version() -> None:
    """D-26, D-27: newer than its own open, but subscribers pass it over all the same."""
    session = session_after(open_case(1, at=after(-30)), open_case(2, at=after(-10)))
    decision = judge(session, open_case(1, at=after(-20)), "v3")
    assert decision.broadcast is not None
    assert decision.broadcast.version_id == decision.answer.version_id == "v1"
    assert (decision.session.contexts, decision.session.current) == (session.contexts, DR_2)


def test_a_close_older_than_its_open_ends_nothing() -> None:
    """D-26: compared with the open of the same anchor."""
    session = session_after(open_case(1))
    decision = judge(session, close_event(REPORT, at=after(-5)))
    assert decision.broadcast is not None
    assert decision.session.current == DR_1


def test_a_close_older_than_another_open_still_ends_its_own_context() -> None:
    """V1 4.2.1, D-26: the rapid case switch, either order."""
    session = session_after(open_case(1, at=after(-10)), open_case(2))
    after_close = judge(session, close_event(REPORT, at=after(-5))).session
    assert (list(after_close.contexts), after_close.current) == ([DR_2], DR_2)


# Close


def test_closing_the_current_context_leaves_none() -> None:
    """2.9: CTX-04, no falling back to another open one; TAB-02."""
    decision = judge(opened(1, 2), close_event(REPORT_2), "v3")
    assert decision.session.current_context is None
    assert list(decision.session.contexts) == [DR_1]
    assert decision.session.version_id == "v3"


def test_closing_another_context_leaves_the_current_one() -> None:
    """4.2.2: TAB-02, IRA-HUB-09."""
    decision = judge(opened(1, 2), close_event(REPORT))
    assert decision.broadcast is not None
    assert decision.session.current == DR_2


def test_a_close_is_broadcast_as_it_came() -> None:
    """2.10: CONT-01, versions belong to opens and updates; a close gets none."""
    decision = judge(opened(), close_event(REPORT, version_id="v1"), "v2")
    assert decision.broadcast is not None
    assert decision.broadcast.version_id == ""
    assert decision.answer.version_id == ""


def test_a_close_by_reference_names_the_context_too() -> None:
    """RAD-149: report with an id."""
    close = event("DiagnosticReport-close", ref(DR_1, "report"))
    assert judge(opened(), close, rules=IRA).session.contexts == {}


def test_a_close_without_an_id_is_refused() -> None:
    """RAD-149: IRA-HUB-09."""
    close = event("DiagnosticReport-close", item({"resourceType": "DiagnosticReport"}))
    with pytest.raises(InvalidRequest, match=r"context\.report"):
        judge(opened(), close)


@pytest.mark.parametrize("anchor", [REPORT_2, PATIENT, STUDY])
def test_closing_what_is_not_open(anchor: dict[str, str]) -> None:
    """D-29, IRA-HUB-10: 409 in IRA mode, else 202 and broadcast."""
    session, close = opened(1), close_event(anchor)
    with pytest.raises(ContextNotOpen):
        judge(session, close, rules=IRA)
    decision = judge(session, close)
    assert decision.broadcast is not None
    assert (decision.session.contexts, decision.session.current) == (session.contexts, DR_1)


def test_a_reopened_report_starts_without_content() -> None:
    """2.10: CONT-16."""
    update = update_event(REPORT, "v1", [put(OBSERVATION)])
    session = session_after(open_case(1), update, close_event(REPORT), open_case(1))
    assert len(session.contexts[DR_1].content) == 0


# Home-open


def test_home_open_shows_nothing_and_closes_nothing() -> None:
    """3.2.5: INF-04, D-21."""
    decision = judge(opened(1, 2), event("Home-open"), "v3")
    assert decision.broadcast is not None
    assert decision.broadcast.version_id == ""
    assert decision.session.current_context is None
    assert list(decision.session.contexts) == [DR_1, DR_2]
    assert decision.session.version_id == "v3"


def test_after_home_open_a_reopen_finds_its_content() -> None:
    """3.2.5: INF-04."""
    update = update_event(REPORT, "v1", [put(OBSERVATION)])
    session = session_after(open_case(1), update, event("Home-open"), open_case(1))
    assert session.current == DR_1
    assert "Observation/ob-1" in session.contexts[DR_1].content
    assert session.home is None


def test_an_older_home_open_does_not_hide_a_later_open() -> None:
    """3.2.5: D-21, D-27."""
    decision = judge(opened(1), event("Home-open", at=after(-3600)), "v2")
    assert decision.broadcast is not None
    assert decision.session.current == DR_1
    assert decision.session.home is None


def test_an_open_older_than_home_open_does_not_hide_it() -> None:
    """3.2.5: D-21, D-27."""
    session = session_after(event("Home-open"), open_case(1, at=after(-5)))
    assert session.current == ""
    assert session.home is not None


def test_an_open_context_knows_its_resources() -> None:
    """2.10: CONT-13 needs them."""
    context = OpenContext(open_case(1), "v1")
    assert set(context.resources()) == {DR_1, "Patient/pt-1", "ImagingStudy/is-1"}
    assert key_of(STUDY) == "study"


# The open that subscribers show (D-27)


def test_only_an_open_that_becomes_current_sets_the_context() -> None:
    """2.5: DER-01, D-27; what is derived follows from these opens alone."""
    session = opened(1)
    assert judge(session, open_case(2)).sets_context
    assert judge(session, event("Home-open")).sets_context
    assert not judge(session, open_case(2, at=after(-3600))).sets_context
    assert not judge(session, event("Home-open", at=after(-3600))).sets_context
    assert not judge(session, update_event(REPORT, "v1")).sets_context
    assert not judge(session, close_event(REPORT)).sets_context
