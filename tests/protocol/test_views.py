from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builders import (
    ENCOUNTER,
    OBSERVATION,
    PATIENT,
    PATIENT_2,
    REPORT,
    REPORT_2,
    STUDY,
    STUDY_2,
    Json,
    after,
    case,
    close_event,
    event,
    item,
    new_session,
    observation,
    open_case,
    open_event,
    opened,
    put,
    session_after,
    update_event,
    value,
)
from fhircast_hub.protocol.derive import Derive, derived_opens, is_derived_from
from fhircast_hub.protocol.judging import anchor_of
from fhircast_hub.protocol.views import encode_current_context, replay, shown_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_hub.protocol.events import EventName
    from fhircast_hub.protocol.session import Session


def everything(_name: EventName) -> bool:
    return True


def replayed(session: Session) -> list[str]:
    return [notification.id for notification in replay(session, everything)]


def got(session: Session) -> Any:
    return value(encode_current_context(session, everything))


# Replay (2.4)


def test_replay_holds_the_newest_open_of_each_anchor_type() -> None:
    """2.4: REP-01; the example of the row."""
    session = session_after(
        open_event(PATIENT, id="p1", at=after(-3)),
        open_event(PATIENT_2, id="p2", at=after(-2)),
        open_event(STUDY, id="s1", at=after(-1)),
    )
    assert replayed(session) == ["p2", "s1"]


def test_replay_holds_only_what_was_subscribed() -> None:
    """2.4: REP-02."""
    session = session_after(open_event(PATIENT, id="p1"), open_event(STUDY_2, id="s2"))
    [patient] = replay(session, only("patient-open"))
    assert patient.id == "p1"


def test_a_replayed_open_is_the_one_first_distributed() -> None:
    """2.4: REP-03, REP-05; id, time and version of then, not the newest version."""
    update = update_event(REPORT, "v1", [put(OBSERVATION)])
    session = session_after(open_case(1, id="r1", at=after(-60)), update)
    [again] = replay(session, everything)
    assert (again.id, again.happened_at, again.version_id) == ("r1", after(-60), "v1")
    assert got(session)["context.versionId"] == "v2"


def test_closed_contexts_are_not_replayed() -> None:
    """2.4: REP-04."""
    assert replayed(session_after(open_event(PATIENT), close_event(PATIENT))) == []


def test_after_the_close_of_the_newest_an_older_open_context_is_replayed() -> None:
    """2.4: REP-01, the most recent open that has no close."""
    opens = [open_case(1, id="r1", at=after(-2)), open_case(2, id="r2", at=after(-1))]
    assert replayed(session_after(*opens, close_event(REPORT_2))) == ["r1"]


def test_replay_is_in_the_order_of_time() -> None:
    """D-13: ascending, current last."""
    session = session_after(
        open_event(ENCOUNTER, id="late", at=after(-1)),
        open_event(STUDY, id="early", at=after(-9)),
        open_event(PATIENT, id="current"),
    )
    assert replayed(session) == ["early", "late", "current"]


def test_the_current_context_comes_last_and_stands_for_its_type() -> None:
    """D-13: the last frame leaves the client on the current context."""
    session = session_after(
        open_case(1, id="r1"), open_event(PATIENT, id="p1"), open_case(1, id="again")
    )
    assert replayed(session) == ["p1", "again"]


def test_home_open_is_replayed_while_it_is_the_latest_open() -> None:
    """3.2.5: D-21."""
    session = session_after(open_case(1, id="r1"), event("Home-open", id="home"))
    assert replayed(session) == ["r1", "home"]
    session = session_after(event("Home-open"), open_case(1, id="r1"))
    assert replayed(session) == ["r1"]


def test_a_session_without_opens_replays_nothing() -> None:
    """2.4: REP-01."""
    assert replayed(new_session()) == []


# GET (2.9)


def test_the_current_context_is_as_supplied_in_the_open() -> None:
    """2.9: CTX-02, CTX-05, CTX-06; deep equal, then the empty content."""
    shown = got(opened())
    assert shown["context.type"] == "DiagnosticReport"
    assert shown["context.versionId"] == "v1"
    *context, content = shown["context"]
    assert context == [item(resource) for resource in case(1)]
    assert content["key"] == "content"
    assert content["resource"]["resourceType"] == "Bundle"
    assert content["resource"]["type"] == "collection"
    assert "entry" not in content["resource"]  # FHIR knows no empty arrays


def test_content_is_the_union_of_the_updates() -> None:
    """2.9: CTX-06; entries without request, response, search or link."""
    second, third = observation("ob-2"), observation("ob-3")
    session = session_after(
        open_case(1),
        update_event(REPORT, "v1", [put(OBSERVATION)]),
        update_event(REPORT, "v2", [put(second), put(third)]),
    )
    shown = got(session)
    assert shown["context.versionId"] == "v3"
    assert shown["context"][-1]["resource"]["entry"] == [
        {"fullUrl": "Observation/ob-1", "resource": OBSERVATION},
        {"fullUrl": "Observation/ob-2", "resource": second},
        {"fullUrl": "Observation/ob-3", "resource": third},
    ]


def test_an_entry_without_full_url_gets_one() -> None:
    """D-06: we emit fullUrl as Type/id; one that came is kept."""
    bare = {"request": {"method": "PUT"}, "resource": OBSERVATION}
    named: Json = {**put(observation("ob-2")), "fullUrl": "urn:uuid:1"}
    shown = got(session_after(open_case(1), update_event(REPORT, "v1", [bare, named])))
    urls = [entry["fullUrl"] for entry in shown["context"][-1]["resource"]["entry"]]
    assert urls == ["Observation/ob-1", "urn:uuid:1"]


def test_opened_resources_stay_as_opened() -> None:
    """2.10: CTX-07; the new status is in the content only."""
    final = {**REPORT, "status": "final"}
    shown = got(session_after(open_case(1), update_event(REPORT, "v1", [put(final)])))
    assert shown["context"][0]["resource"]["status"] == "unknown"
    assert shown["context"][-1]["resource"]["entry"][0]["resource"] == final


@pytest.mark.parametrize(
    ("session", "version_id"),
    [
        (new_session(), "v0"),
        (session_after(open_case(1), open_case(2), close_event(REPORT_2)), "v3"),
        (session_after(open_case(1), event("Home-open")), "v2"),
    ],
    ids=["fresh", "closed", "home"],
)
def test_no_current_context_is_empty(session: Session, version_id: str) -> None:
    """2.9: CTX-03, CTX-04, D-21, D-32."""
    assert got(session) == {
        "context.type": "",
        "context.versionId": version_id,
        "context": [],
    }


def test_versions_shown_are_pairwise_distinct() -> None:
    """2.9: CTX-05, after every change of context or content."""
    requests = [
        open_case(1),
        update_event(REPORT, "v1"),
        open_case(2),
        close_event(REPORT_2),
        open_case(1),
        event("Home-open"),
        open_event(STUDY_2),
    ]
    shown = [got(session_after(*requests[:n]))["context.versionId"] for n in range(8)]
    assert len(set(shown)) == len(shown)


def test_numbers_keep_their_digits_in_the_answer() -> None:
    """2.9: CTX-02, CONT-22."""
    session = session_after(open_event({**PATIENT, "multipleBirthInteger": 2, "x": 8.5}))
    assert b'"x":8.5' in encode_current_context(session, everything)


def only(*keys: str) -> Callable[[EventName], bool]:
    return lambda name: name.key in keys


def test_nothing_is_shown_to_a_caller_that_may_not_read_the_open() -> None:
    """2.3, 2.9: CTX-08, EVT-19, SCO-02."""
    shown = encode_current_context(opened(), only("diagnosticreport-close", "appointment-open"))
    assert value(shown) == {"context.type": "", "context.versionId": "v1", "context": []}


def test_content_is_shown_to_a_caller_that_may_read_the_updates() -> None:
    """2.3, 2.9: CTX-08, SCO-02; the item is there for everybody (IRA-HUB-14)."""
    session = session_after(open_case(1), update_event(REPORT, "v1", [put(OBSERVATION)]))
    keys = ["diagnosticreport-open", "diagnosticreport-update"]
    for may_read, is_shown in ((only(*keys), True), (only(keys[0]), False)):
        view = value(encode_current_context(session, may_read))
        assert [it["key"] for it in view["context"]] == ["report", "patient", "study", "content"]
        assert ("entry" in view["context"][-1]["resource"]) is is_shown


@pytest.mark.parametrize(
    ("readable", "anchor_type", "items"),
    [
        (["patient-open"], "Patient", [item(PATIENT)]),
        (["imagingstudy-open", "patient-open"], "ImagingStudy", [item(STUDY), item(PATIENT)]),
    ],
)
def test_a_caller_sees_the_derived_view_that_it_may_read(
    readable: list[str], anchor_type: str, items: list[Json]
) -> None:
    """2.9: CTX-08, D-33: the most specific one, with the newest version and without content."""
    session = session_after(open_case(1), update_event(REPORT, "v1", [put(OBSERVATION)]))
    shown = encode_current_context(session, only(*readable))
    assert value(shown) == {
        "context.type": anchor_type,
        "context.versionId": "v2",
        "context": items,
    }
    assert b"DiagnosticReport/" not in shown


def test_without_derived_opens_there_is_no_derived_view() -> None:
    """2.9: DER-03, D-33."""
    shown = encode_current_context(opened(), only("patient-open"), Derive.OFF)
    assert value(shown)["context.type"] == ""


# Derived opens in the replay (D-13, DER-04)


def replayed_to(session: Session, *keys: str, derive: Derive = Derive.MISSING) -> list[str]:
    """What a subscriber of these events gets, as "Type/id" of the anchors."""
    return [anchor_of(it) for it in replay(session, only(*keys), derive)]


def test_a_late_joiner_gets_the_derived_open() -> None:
    """2.4: DER-01, REP-03, D-13; with the id and the moment that it has for everybody."""
    session = opened(1)
    [derived] = replay(session, only("patient-open"))
    assert derived.id == derived_opens(session.contexts["DiagnosticReport/dr-1"].opened)[0].id
    assert (derived.happened_at, derived.version_id) == (after(-59), "")


def test_who_gets_the_source_gets_no_derived_open() -> None:
    """2.4: DER-02, D-14; unless the site wants the literal reading."""
    events = ("patient-open", "diagnosticreport-open")
    assert replayed_to(opened(1), *events) == ["DiagnosticReport/dr-1"]
    everything_ = replayed_to(opened(1), *events, derive=Derive.ALL)
    assert everything_ == ["Patient/pt-1", "DiagnosticReport/dr-1"]
    assert replayed_to(opened(1), "patient-open", derive=Derive.OFF) == []


def test_a_derived_open_ends_with_its_source() -> None:
    """2.5: DER-04, REP-04, D-15; no stale patient."""
    session = session_after(open_case(1), close_event(REPORT))
    assert replayed_to(session, "patient-open", "imagingstudy-open") == []


def test_of_several_sources_the_current_one_stands() -> None:
    """2.4: REP-01, D-13; one open of each type."""
    assert replayed_to(opened(2, 1, 3), "patient-open") == ["Patient/pt-3"]
    both = replayed_to(opened(1, 2), "patient-open", "imagingstudy-open")
    assert both == ["Patient/pt-2", "ImagingStudy/is-2"]


def test_a_patient_that_was_opened_by_itself_gives_way_to_the_current_one() -> None:
    """2.4: REP-01, D-13; the derived open is the more recent."""
    session = session_after(open_event(PATIENT_2, at=after(-9)), open_case(1))
    assert replayed_to(session, "patient-open") == ["Patient/pt-1"]


def test_the_derived_open_stands_for_a_patient_that_was_opened_earlier() -> None:
    """2.4: REP-01, EVT-10; who comes back with something newer would pass the earlier one over."""
    session = session_after(open_event(PATIENT, id="p1", at=after(-9)), open_case(1))
    [derived] = replay(session, only("patient-open"))
    assert derived.happened_at == after(0)
    assert session.current_context is not None
    assert is_derived_from(session.current_context.opened, derived.id)


def test_what_a_replay_surely_shows() -> None:
    """DER-02: the latest open or what is derived from it; an older open may be passed over."""
    session = opened(1, 2)
    for keys in (["patient-open"], ["diagnosticreport-open"]):
        opens = replay(session, only(*keys))
        assert shown_after(session, opens)["Patient"] == "Patient/pt-2"
    assert shown_after(session, []) == {}
    bare = session_after(open_case(1, at=after(-9)), open_event(STUDY))
    assert shown_after(bare, replay(bare, only("patient-open"))) == {}
    closed = session_after(open_case(1), open_event(STUDY), close_event(STUDY))
    assert shown_after(closed, replay(closed, only("patient-open"))) == {}
    home = session_after(open_case(1), event("Home-open"))
    assert shown_after(home, replay(home, everything)) == {}


def test_an_older_open_that_came_late_does_not_stand_for_its_type() -> None:
    """2.4, D-27: REP-01, most recent by its time, not by its arrival."""
    session = session_after(
        open_case(2, id="r2", at=after(-5)),
        open_case(1, id="r1", at=after(-9)),
        open_event(PATIENT),
    )
    assert replayed(session)[0] == "r2"


def test_nothing_newer_is_replayed_before_the_current_context() -> None:
    """REP-05, EVT-10: a context that became current after a close may be older than the others."""
    session = session_after(
        open_event(PATIENT, id="p1", at=after(-12)),
        open_case(2, id="r2", at=after(-10)),
        close_event(case(2)[0], at=after(-9)),
        open_case(1, id="r1", at=after(-15)),
    )
    assert session.current_context is not None
    assert replayed(session) == ["r1"]
