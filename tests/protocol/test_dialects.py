"""Dialects of deployed applications: each works behind its switch, and only there (D-49)."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from builders import (
    NOON,
    OBSERVATION,
    PATIENT,
    REPORT,
    REPORT_2,
    STUDY,
    STUDY_2,
    Json,
    after,
    bundle,
    event,
    item,
    judge,
    new_session,
    observation,
    open_case,
    put,
    ref,
    session_after,
    value,
)
from fhircast_hub.protocol.dialects import Dialect, with_post_ids
from fhircast_hub.protocol.errors import (
    ContextNotCurrent,
    ContextNotOpen,
    InvalidRequest,
    VersionConflict,
)
from fhircast_hub.protocol.messages import EventNotification, encode_notification
from fhircast_hub.protocol.session import Rules, Session
from fhircast_hub.protocol.views import encode_current_context
from msgspec.structs import replace

OPEN = Rules(dialects=frozenset({Dialect.OPEN_WITHOUT_REPORT}))
VERSION = Rules(dialects=frozenset({Dialect.UPDATE_WITHOUT_VERSION}))
ALL = Rules(dialects=frozenset(Dialect))
IRA_ALL = Rules(ira=True, dialects=frozenset(Dialect))

REPORT_LESS = event("DiagnosticReport-open", item(STUDY), id="e-open")


def dr(kind: str, *items: Json, **fields: Any) -> EventNotification:
    return event(f"DiagnosticReport-{kind}", *items, **fields)


def updates(*entries: Json) -> Json:
    return {"key": "updates", "resource": bundle(*entries)}


def context_of(session: Session) -> Json:
    view: Json = value(encode_current_context(session, lambda _: True))
    return view


def frame(notification: EventNotification | None) -> Json:
    assert notification is not None
    shown: Json = value(encode_notification(notification))
    return shown


def test_a_report_less_open_is_broadcast_as_it_came() -> None:
    """D-49: nothing is added but the version; the log is told."""
    decision = judge(new_session(), REPORT_LESS, "v1", OPEN)
    shown = frame(decision.broadcast)
    assert shown["event"]["context"] == [item(STUDY)]
    assert shown["event"]["context.versionId"] == "v1"
    assert decision.remarks[0] == "dialect open-without-report"


def test_a_report_less_open_sets_a_report_context() -> None:
    """D-49: GET says DiagnosticReport, with the items as supplied and the content."""
    view = context_of(session_after(REPORT_LESS, rules=OPEN))
    assert view["context.type"] == "DiagnosticReport"
    assert [it["key"] for it in view["context"]] == ["study", "content"]


@pytest.mark.parametrize("rules", [Rules(), Rules(ira=True), VERSION])
def test_without_the_switch_a_report_is_needed(rules: Rules) -> None:
    """D-49, PROF-09, IRA-HUB-07: off by default, in every profile."""
    with pytest.raises(InvalidRequest, match=r"^context\.report: missing"):
        judge(new_session(), REPORT_LESS, rules=rules)


def test_under_ira_the_switch_counts_too() -> None:
    """D-49: who switches it on wants it in this profile."""
    assert judge(new_session(), REPORT_LESS, rules=IRA_ALL).answer.status == 202


@pytest.mark.parametrize(
    "items",
    [
        [item(PATIENT)],
        [],
        [item(STUDY), item(STUDY_2)],
        [ref("ImagingStudy/is-1", "study")],
        [item(PATIENT, "study")],
        [item({"resourceType": "ImagingStudy"}, "study")],
    ],
)
def test_a_report_less_open_names_one_study(items: list[Json]) -> None:
    """D-49: its anchor is the study, so there is exactly one, as a resource with an id."""
    with pytest.raises(InvalidRequest, match=r"^context\.(report|study)"):
        judge(new_session(), dr("open", *items), rules=OPEN)


def test_a_study_open_by_itself_is_another_context() -> None:
    """D-49, TAB-01: the study's own open and the report-less one do not meet."""
    own = event("ImagingStudy-open", item(STUDY), at=after(-60))
    session = session_after(own, REPORT_LESS, rules=OPEN)
    assert len(session.contexts) == 2
    assert {it.anchor_type for it in session.contexts.values()} == {
        "ImagingStudy",
        "DiagnosticReport",
    }


def test_other_contexts_are_left_alone() -> None:
    """D-49, TAB-01: a report of another study ends nothing but itself."""
    session = session_after(open_case(2, at=after(-60)), REPORT_LESS, rules=OPEN)
    after_close = judge(session, dr("close", item(REPORT_2)), rules=OPEN).session
    assert [it.opened.id for it in after_close.contexts.values()] == ["e-open"]


def test_a_second_report_less_open_of_the_study_keeps_the_content() -> None:
    """D-49, D-11: the same anchor."""
    shared = dr("update", item(STUDY), updates(put(OBSERVATION)), version_id="v1")
    again = dr("open", item(STUDY), item(PATIENT))
    session = session_after(REPORT_LESS, shared, again, rules=OPEN)
    [context] = session.contexts.values()
    assert "Observation/ob-1" in context.content


REFERRING = {
    "resourceType": "DiagnosticReport",
    "id": "dr-9",
    "imagingStudy": [{"reference": "ImagingStudy/is-1"}, {"reference": 5}, {"display": "x"}],
}


@pytest.mark.parametrize(
    "close",
    [
        dr("close", item(STUDY)),
        dr("close", ref("ImagingStudy/is-1", "study")),
        dr("close", item(STUDY_2), item(STUDY)),
        dr("close", item(REPORT)),
        dr("close", item(REFERRING)),
        dr("close", ref("DiagnosticReport/dr-8", "report"), item(STUDY)),
        event("ImagingStudy-close", item(STUDY)),
    ],
)
def test_a_close_that_names_the_study_or_a_report_of_it(close: EventNotification) -> None:
    """D-49: ends the report-less context."""
    session = session_after(REPORT_LESS, rules=IRA_ALL)
    decision = judge(session, close, rules=IRA_ALL)
    assert (dict(decision.session.contexts), decision.session.current) == ({}, "")


def test_a_close_of_a_report_in_the_content() -> None:
    """D-49: a report that was shared for the study is a report of the study."""
    shared = dr("update", item(STUDY), updates(put(REFERRING)), version_id="v1")
    session = session_after(REPORT_LESS, shared, rules=OPEN)
    close = dr("close", ref("DiagnosticReport/dr-9", "report"))
    assert not judge(session, close, rules=OPEN).session.contexts


@pytest.mark.parametrize(
    "close",
    [
        dr("close", item(STUDY_2)),
        dr("close", ref("DiagnosticReport/dr-9", "report")),
        dr("close", item(REPORT_2)),
        event("Patient-close", item(PATIENT), item(STUDY)),
        dr("close", item(STUDY), at=after(-1)),
    ],
)
def test_another_close_leaves_a_report_less_context(close: EventNotification) -> None:
    """D-49, D-26, TAB-01: other studies, unknown reports, other anchors, an older close."""
    session = session_after(REPORT_LESS, rules=OPEN)
    assert judge(session, close, rules=OPEN).session.contexts == session.contexts


def test_a_close_ends_a_report_and_the_report_less_context_of_its_study() -> None:
    """D-49: what was opened twice, with and without its report, is closed at once."""
    session = session_after(open_case(at=after(-60)), REPORT_LESS, rules=OPEN)
    assert len(session.contexts) == 2
    assert not judge(session, dr("close", item(REPORT)), rules=OPEN).session.contexts


def test_a_close_that_went_wrong_is_sent_again() -> None:
    """D-28, D-49."""
    close = dr("close", item(STUDY), id="e-close")
    session = session_after(REPORT_LESS, close, rules=OPEN)
    known = session.remembered["e-close"]
    assert judge(session, close, rules=OPEN).broadcast is None
    unsure = replace(
        session, remembered=session.remembered.changed("e-close", replace(known, out_of_sync=True))
    )
    assert judge(unsure, close, rules=OPEN).broadcast is not None


@pytest.mark.parametrize("named", [item(STUDY), ref("ImagingStudy/is-1", "study")])
def test_update_and_select_name_the_study(named: Json) -> None:
    """D-49: the anchor is the study."""
    session = session_after(REPORT_LESS, rules=OPEN)
    update = dr("update", named, updates(put(OBSERVATION)), version_id="v1")
    assert judge(session, update, "v2", OPEN).answer.version_id == "v2"
    select = dr("select", named, ref("ImagingStudy/is-1", "select"))
    assert judge(session, select, rules=OPEN).answer.status == 202


def test_update_by_a_report_of_the_study() -> None:
    """D-49: the report that belongs to the study means the report-less context."""
    session = session_after(REPORT_LESS, rules=OPEN)
    update = dr("update", item(REFERRING), updates(put(OBSERVATION)), version_id="v1")
    assert judge(session, update, "v2", OPEN).answer.version_id == "v2"


def test_what_is_open_by_its_report_is_meant_by_it() -> None:
    """D-49: an open report wins over the report-less context of its study."""
    session = session_after(REPORT_LESS, open_case(), rules=OPEN)
    update = dr("update", item(REPORT), updates(put(OBSERVATION)), version_id="v2")
    assert judge(session, update, "v3", OPEN).session.contexts["DiagnosticReport/dr-1"].content


def test_update_of_a_study_that_is_not_open() -> None:
    """D-29, D-49."""
    session = session_after(REPORT_LESS, rules=OPEN)
    for named in (item(STUDY_2), ref("DiagnosticReport/dr-9", "report")):
        update = dr("update", named, updates(put(OBSERVATION)), version_id="v1")
        with pytest.raises(ContextNotOpen):
            judge(session, update, rules=OPEN)


@pytest.mark.parametrize("named", [[], [ref("DiagnosticReport/dr-1", "report")]])
def test_a_version_less_update_takes_the_current_version(named: list[Json]) -> None:
    """D-49: with or without the report; the broadcast has version and prior version."""
    session = session_after(open_case(), rules=VERSION)
    decision = judge(session, dr("update", *named, updates(put(OBSERVATION))), "v2", VERSION)
    sent = frame(decision.broadcast)["event"]
    assert (sent["context.versionId"], sent["context.priorVersionId"]) == ("v2", "v1")
    assert decision.remarks == ("dialect update-without-version",)


def test_a_version_that_is_given_must_fit() -> None:
    """D-49, CONT-03: the dialect excuses only its absence."""
    session = session_after(open_case(), rules=VERSION)
    stale = dr("update", item(REPORT), updates(put(OBSERVATION)), version_id="v0")
    with pytest.raises(VersionConflict):
        judge(session, stale, rules=VERSION)


def test_a_version_less_update_means_the_current_report_only() -> None:
    """D-49: for another open one the version stays required; without a current report, 409."""
    both = session_after(open_case(at=after(-60)), open_case(2), rules=VERSION)
    older = dr("update", item(REPORT), updates(put(OBSERVATION)))
    with pytest.raises(InvalidRequest, match=r"^context\.versionId: missing"):
        judge(both, older, rules=VERSION)
    anonymous = dr("update", updates(put(OBSERVATION)))
    patient = session_after(event("Patient-open", item(PATIENT)), rules=VERSION)
    for session in (new_session(), patient):
        with pytest.raises(ContextNotOpen):
            judge(session, anonymous, rules=VERSION)


def test_without_the_switch_a_version_is_needed() -> None:
    """D-49, CONT-02: off by default."""
    with pytest.raises(InvalidRequest, match=r"^context\.versionId: missing"):
        judge(session_after(open_case()), dr("update", item(REPORT), updates()), rules=OPEN)
    with pytest.raises(InvalidRequest, match=r"^context\.report: missing"):
        judge(session_after(open_case()), dr("update", updates()), rules=OPEN)


def test_a_report_less_update_of_a_report_less_open() -> None:
    """D-49: the way of one client in the field: no report, no version, POST entries."""
    session = session_after(REPORT_LESS, rules=ALL)
    sent = dr("update", item(STUDY), updates(post(OBSERVATION)))
    assert judge(session, sent, "v2", ALL).remarks == (
        "dialect open-without-report",
        "dialect update-without-version",
    )


def post(resource: Json) -> Json:
    return {"request": {"method": "POST", "url": resource["resourceType"]}, "resource": resource}


def without_id(resource: Json) -> Json:
    return {key: it for key, it in resource.items() if key != "id"}


def numbered(notification: EventNotification) -> EventNotification:
    return with_post_ids(notification, (f"id-{it}" for it in count(1)))


def test_a_post_without_id_gets_one() -> None:
    """D-49: in order, the rest of the Bundle unchanged, and the content holds it."""
    nameless, named = without_id(OBSERVATION), observation("ob-7")
    entries = [post(nameless), put(named), post({**nameless, "id": ""}), post(named | {"id": "x"})]
    sent = dr("update", item(REPORT), updates(*entries), version_id="v1")
    completed = numbered(sent)
    shown = frame(completed)["event"]["context"][1]["resource"]
    assert shown == bundle(
        post({**nameless, "id": "id-1"}),
        put(named),
        post({**nameless, "id": "id-2"}),
        post(named | {"id": "x"}),
    )
    session = judge(session_after(open_case(), rules=ALL), completed, "v2", ALL).session
    assert session.current_context is not None
    assert "Observation/id-1" in session.current_context.content
    assert completed.digest == sent.digest  # a repetition is recognised by what was sent (D-28)


@pytest.mark.parametrize(
    "sent",
    [
        REPORT_LESS,
        dr("update", item(REPORT), updates(put(OBSERVATION), post(OBSERVATION)), version_id="v1"),
        dr("update", item(REPORT), {"key": "updates", "reference": {"reference": "Bundle/b"}}),
        dr("update", {"key": "updates", "resource": {"resourceType": "Bundle"}}),
        dr("update", {"key": "updates", "resource": {"resourceType": "Bundle", "entry": 1}}),
        dr("update", updates([])),  # type: ignore[arg-type]  # bad on purpose
        dr("update", updates({"request": 1, "resource": {}})),
        dr("update", updates({"request": {"method": "POST"}})),
        dr("update", updates({"request": {"method": "POST"}, "resource": "x"})),
    ],
)
def test_nothing_else_is_touched(sent: EventNotification) -> None:
    """D-49: what lacks no id, or cannot be read, goes on as it is."""
    assert numbered(sent) is sent


def test_updates_can_be_kept_to_the_current_context() -> None:
    """CONT-23: off, an update of an open context that is not current is 409."""
    rules = Rules(updates_current_only=True)
    both = session_after(open_case(at=after(-60)), open_case(2), rules=rules)
    update = dr("update", item(REPORT), updates(put(OBSERVATION)), version_id="v1")
    assert judge(both, update, "v3").answer.version_id == "v3"
    with pytest.raises(ContextNotCurrent):
        judge(both, update, rules=rules)
    alone = session_after(open_case(at=NOON), rules=rules)
    assert judge(alone, update, "v2", rules).answer.version_id == "v2"


def test_a_post_is_refused_by_a_switch() -> None:
    """D-05: strict; by default it is read as PUT."""
    session = session_after(open_case())
    update = dr("update", item(REPORT), updates(post(OBSERVATION)), version_id="v1")
    assert judge(session, update, "v2").answer.status == 202
    with pytest.raises(InvalidRequest, match=r"method: must be PUT or DELETE"):
        judge(session, update, rules=Rules(refuses_post=True))
