"""The subscriber kit's judges: a right message is right, and each fault is found in its row."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from fhircast_conformance.messages import (
    bundle,
    delete,
    item,
    message,
    new_case,
    new_id,
    put,
    ref,
    stamp,
    sync_error,
    target,
)
from fhircast_conformance.rows import rows
from fhircast_conformance.subscriber import PlayedHub
from fhircast_conformance.subscriber.judges.events import (
    judge_context,
    judge_message,
    judge_subjects,
)
from fhircast_conformance.subscriber.judges.forms import judge_bearer, judge_form
from fhircast_conformance.subscriber.judges.opens import judge_close, judge_open
from fhircast_conformance.subscriber.judges.others import (
    judge_parameters,
    judge_select,
    judge_sync_error,
)
from fhircast_conformance.subscriber.judges.updates import judge_update
from fhircast_conformance.subscriber.lines import Delivery
from fhircast_conformance.subscriber.occasions import OCCASIONS, judged_rows
from fhircast_conformance.subscriber.record import Form, Post
from fhircast_conformance.subscriber.scenarios import SCENARIOS
from fhircast_conformance.subscriber.session import Context, Session, target_of
from fhircast_conformance.subscriber.waits import IN_FLIGHT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Json = dict[str, Any]
CASE = new_case()
TOPIC = "topic"


def broken(findings: Iterable[tuple[str, str]]) -> set[str]:
    return {row for row, problem in findings if problem}


def judged(sent: Json) -> set[str]:
    """The rows that an open or close breaks."""
    post = Post(0.0, sent)
    opened = Context("DiagnosticReport/x", CASE.items(), "v1", "id", None)
    found = [*judge_message(post), *judge_context(post), *judge_subjects(post.event)]
    found += judge_open(post) if post.is_a("-open") else judge_close(post, opened)
    return broken(found)


def changed(sent: Json, change: Callable[[Json], Any]) -> Json:
    result = copy.deepcopy(sent)
    change(result)
    return result


def resource(sent: Json, key: str) -> Json:
    found: Json = next(it["resource"] for it in sent["event"]["context"] if it["key"] == key)
    return found


# Forms


EVENTS = "Open,Close,Update,SELECT".replace(",", ",DiagnosticReport-")
FORM = [
    ("hub.channel.type", "websocket"),
    ("hub.mode", "subscribe"),
    ("hub.topic", TOPIC),
    ("hub.events", f"syncerror,DiagnosticReport-{EVENTS}"),
    ("subscriber.name", "Viewer"),
]


def without(name: str) -> list[tuple[str, str]]:
    return [it for it in FORM if it[0] != name]


@pytest.mark.parametrize(
    ("form", "red"),
    [
        (Form(0, FORM), set()),
        (Form(0, FORM, "application/json"), {"SUB-01"}),
        (Form(0, FORM, at_hub_url=False), {"SUB-01"}),
        (Form(0, without("hub.channel.type")), {"SUB-02"}),
        (Form(0, [*without("hub.channel.type"), ("hub.channel.type", "webhook")]), {"SUB-02"}),
        (Form(0, without("hub.mode")), {"SUB-03"}),
        (Form(0, without("hub.topic")), {"SUB-03"}),
        (Form(0, without("hub.events")), {"SUB-04", "IRA-SUB-01"}),
        (Form(0, [*without("hub.events"), ("hub.events", "SyncError")]), {"IRA-SUB-01"}),
        (Form(0, without("subscriber.name")), {"IRA-SUB-01"}),
        (Form(0, [*FORM, ("hub.topic", TOPIC)]), {"SUB-05"}),
        (Form(0, [*without("hub.events"), ("hub.channel.endpoint", "ws://h/1")]), {"SUB-04"}),
    ],
)
def test_subscribe_forms(form: Form, red: set[str]) -> None:
    """SUB-01 to SUB-05, IRA-SUB-01: each fault of a form in its own row."""
    assert broken(judge_form(form)) == red


@pytest.mark.parametrize("missing", ["hub.channel.type", "hub.topic", "hub.channel.endpoint"])
def test_unsubscribe_forms(missing: str) -> None:
    """UNS-01: channel type, topic and endpoint are there, each once."""
    right = [
        ("hub.channel.type", "websocket"),
        ("hub.mode", "unsubscribe"),
        ("hub.topic", TOPIC),
        ("hub.channel.endpoint", "ws://h/1"),
    ]
    assert not broken(judge_form(Form(0, right)))
    assert broken(judge_form(Form(0, [it for it in right if it[0] != missing]))) == {"UNS-01"}


@pytest.mark.parametrize(
    ("header", "is_right"),
    [("Bearer abc", True), ("bearer x", True), ("", False), ("Basic s3", False), ("Bearer", False)],
)
def test_bearer_tokens(header: str, is_right: bool) -> None:
    """SUB-10: a token, as Bearer; the finding does not repeat it."""
    findings = list(judge_bearer(header, "abc"))
    assert (broken(findings) == set()) is is_right
    assert not any("s3" in problem for _, problem in findings)
    assert not list(judge_bearer(header, ""))


# Opens and closes


def test_conforming_opens_and_closes_break_nothing() -> None:
    """PROF-01 to PROF-10, IRA-PR-01 to IRA-PR-03: what conforms is right in every row."""
    for sent in (CASE.opens(TOPIC), CASE.opens_patient(TOPIC), CASE.opens_study(TOPIC)):
        assert judged(sent) == set()
    for sent in (CASE.closes(TOPIC), CASE.closes_patient(TOPIC), CASE.closes_study(TOPIC)):
        assert judged(sent) == set()


OPEN_FAULTS: list[tuple[str, Callable[[Json], Any]]] = [
    ("EVT-02", lambda it: it.pop("id")),
    ("EVT-09", lambda it: it.update(timestamp="2026-03-02 09:00")),
    ("EVT-09", lambda it: it.update(timestamp="2026-03-02T09:00:00")),
    ("EVT-09", lambda it: it.update(timestamp="2026-03-02T09:00:00+01:00")),
    ("EVT-09", lambda it: it.update(timestamp=1772442000)),
    ("EVT-16", lambda it: it.update(extra=1)),
    ("EVT-16", lambda it: it["event"]["context"].append(ref("device", "Device/1"))),
    ("EVT-14", lambda it: it["event"]["context"].append(ref("Extra", "X/1"))),
    ("PROF-01", lambda it: resource(it, "patient").pop("id")),
    ("PROF-01", lambda it: resource(it, "patient").update(identifier=[{"system": "x"}])),
    ("IRA-PR-02", lambda it: resource(it, "patient")["identifier"][0].pop("type")),
    ("PROF-03", lambda it: resource(it, "study").update(subject={"reference": "Patient/other"})),
    ("EVT-17", lambda it: resource(it, "report").update(subject={"reference": "Patient/other"})),
    ("PROF-05", lambda it: resource(it, "study")["identifier"][0].update(value="2.25.1")),
    ("PROF-05", lambda it: resource(it, "study").pop("status")),
    ("IRA-PR-03", lambda it: resource(it, "study")["identifier"].pop()),
    ("IRA-PR-03", lambda it: resource(it, "study").update(status="registered")),
    ("PROF-08", lambda it: resource(it, "report").pop("basedOn")),
    ("PROF-08", lambda it: resource(it, "report").update(study=[], imagingStudy=[])),
    ("PROF-09", lambda it: it["event"]["context"].pop(1)),
    ("IRA-PR-01", lambda it: resource(it, "report").update(status="final")),
    ("IRA-PR-01", lambda it: resource(it, "report")["study"].append({"reference": "X/1"})),
    ("EVT-15", lambda it: it["event"]["context"][0].update(value=1, resource=None)),
    ("EVT-20", lambda it: it["event"]["context"][1].update(key="subject")),
    ("EVT-13", lambda it: it["event"].update({"hub.event": "org.example-thing"})),
    ("EVT-13", lambda it: it["event"].update({"hub.event": "thing"})),
]


@pytest.mark.parametrize(("row", "fault"), OPEN_FAULTS)
def test_faults_of_opens(row: str, fault: Callable[[Json], Any]) -> None:
    """EVT-02, EVT-09, EVT-13 to EVT-17, EVT-20, PROF-01 to PROF-09, IRA-PR-01 to IRA-PR-03."""
    assert row in judged(changed(CASE.opens(TOPIC), fault))


@pytest.mark.parametrize(
    "timestamp", ["2026-03-02T09:00:00.123Z", "2026-03-02T09:00:00Z", "2026-03-02T09:00:00+00:00"]
)
def test_times_in_utc_are_right(timestamp: str) -> None:
    """EVT-09: UTC may be written with Z or with an offset of zero."""
    assert "EVT-09" not in judged(CASE.opens(TOPIC, timestamp=timestamp))


def test_proprietary_names_and_the_extension_are_right() -> None:
    """EVT-13, EVT-16: a reverse-domain name without dash; `extension` is reserved for anybody."""
    context = [{"key": "extension", "data": {"x": 1}}]
    assert judged(message(TOPIC, "org.example.thing", context)) == set()


@pytest.mark.parametrize(
    ("row", "key"), [("PROF-02", "patient"), ("PROF-07", "study"), ("PROF-10", "report")]
)
def test_closes_name_what_was_opened(row: str, key: str) -> None:
    """PROF-02, PROF-07, PROF-10: the same ids as in the open."""
    sent = changed(CASE.closes(TOPIC), lambda it: resource(it, key).update(id=new_id()))
    assert row in judged(sent)


def test_encounters() -> None:
    """PROF-04, PROF-06: what an Encounter needs; a study of a patient comes with that patient."""
    encounter = {"resourceType": "Encounter", "id": "e", "status": "unknown"}
    context = [item("encounter", encounter), item("patient", CASE.patient)]
    assert "PROF-04" in judged(message(TOPIC, "Encounter-open", context))
    assert "PROF-06" in judged(message(TOPIC, "ImagingStudy-open", [item("study", CASE.study)]))


# Content


def content_rows(
    *entries: Json, version: str | None = "v2", known: set[str] | None = None, **fields: Any
) -> set[str]:
    context = Context("DiagnosticReport/x", CASE.items(), "v2", "id", None, earlier=["v1"])
    sent = CASE.updates(TOPIC, version, *entries)
    resource(sent, "updates").update(fields)
    return broken(judge_update(Post(0.0, sent), context, {"v1", "v2"} if known is None else known))


def test_a_conforming_update_breaks_nothing() -> None:
    """CONT-02, CONT-08 to CONT-14: a PUT and a DELETE on the newest version."""
    assert content_rows(put(CASE.observation()), delete("Observation/o")) == set()
    assert content_rows(put({**CASE.report, "status": "final"})) == set()


def _entry(**change: Any) -> Json:
    made = put(CASE.observation())
    return {**made, **change}


@pytest.mark.parametrize(
    ("red", "entry"),
    [
        ({"CONT-12"}, _entry(request={"method": "POST", "url": "Observation"})),
        ({"CONT-12"}, _entry(request={"method": "PATCH", "url": "Observation/o"})),
        ({"CONT-10"}, _entry(request={"method": "PUT"})),
        ({"CONT-10"}, _entry(search={"mode": "match"})),
        ({"CONT-10", "IRA-CC-04"}, {"request": {"method": "PUT", "url": "Observation/o"}}),
        (set(), {"fullUrl": "https://x/o", "request": {"method": "PUT", "url": "Observation/o"}}),
        ({"CONT-11"}, {"request": {"method": "DELETE", "url": "Observation/o"}}),
        ({"CONT-11"}, {**delete("Observation/o"), "resource": CASE.observation()}),
        ({"CONT-13"}, delete(target(CASE.patient))),
        ({"CONT-21", "IRA-PR-04"}, put({**CASE.observation(), "subject": None})),
        ({"CONT-20"}, put({**CASE.observation(), "identifier": []})),
        ({"CONT-20", "PROF-13"}, put({**CASE.observation(), "id": "1"})),
        ({"EVT-17", "PROF-03"}, put({**CASE.observation(), "subject": {"reference": "Patient/2"}})),
        ({"IRA-CC-02"}, put({"resourceType": "Basic", "id": "1"})),
        (
            {"IRA-PR-04"},
            put({"resourceType": "ImagingSelection", "id": new_id(), "status": "available"}),
        ),
    ],
)
def test_faults_of_entries(red: set[str], entry: Json) -> None:
    """CONT-10 to CONT-13, CONT-20, CONT-21, PROF-13, IRA-CC-02, IRA-CC-04, IRA-PR-04."""
    assert content_rows(entry) == red


def test_faults_of_bundles() -> None:
    """CONT-08, CONT-09: one transaction Bundle without links, each resource once."""
    once = put(CASE.observation())
    assert content_rows(once, type="batch") == {"CONT-09"}
    assert content_rows(once, link=[]) == {"CONT-09"}
    assert content_rows(once, once) == {"CONT-09"}
    sent = CASE.updates(TOPIC, "v2", once)
    sent["event"]["context"].append(item("updates", bundle(once)))
    context = Context("DiagnosticReport/x", CASE.items(), "v2", "id", None)
    assert broken(judge_update(Post(0.0, sent), context, set())) == {"CONT-08"}


def test_versions_of_updates() -> None:
    """CONT-02, CONT-17, IRA-CC-04: the newest known version; what is on its way is not known."""
    entry = put(CASE.observation())
    assert content_rows(entry, version=None) == {"CONT-02"}
    assert content_rows(entry, version="v1") == {"CONT-17", "IRA-CC-04"}
    assert content_rows(entry, version="v1", known={"v1"}) == set()
    assert content_rows(entry, version="nonsense", known={"v1"}) == {"CONT-17", "IRA-CC-04"}


def test_what_was_answered_while_a_request_was_under_way_is_not_held_against_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """IRA-CC-04: answers and requests come over two connections, and one may overtake the other."""
    hub = PlayedHub()
    answered = [
        Delivery("a", "DiagnosticReport-update", "x", version, 0.0, {"id": "a"}, at)
        for version, at in (("v1", 5.0), ("v2", 10.0))
    ]
    monkeypatch.setattr(hub, "deliveries", lambda: answered)
    assert hub.known_versions("x", 10.0 + IN_FLIGHT_SECONDS / 2) == {"v1"}
    assert hub.known_versions("x", 10.0 + IN_FLIGHT_SECONDS) == {"v1", "v2"}


# Selections, SyncErrors, logout


@pytest.mark.parametrize(
    ("items", "red"),
    [
        ([ref("select", "Observation/1"), ref("select", "Observation/2")], set()),
        ([{"key": "select", "reference": []}], set()),
        ([], {"SEL-01"}),
        ([{"key": "select"}], {"SEL-01"}),
        ([item("select", {"resourceType": "Observation", "id": "1"})], {"SEL-01"}),
        ([{"key": "select", "reference": [{"reference": "Observation/1"}]}], {"SEL-01"}),
    ],
)
def test_selections(items: list[Json], red: set[str]) -> None:
    """SEL-01: one item a resource, each with a reference; D-09 has the empty form."""
    anchor = target(CASE.report)
    sent = message(TOPIC, "DiagnosticReport-select", [ref("report", anchor), *items])
    assert broken(judge_select(Post(0.0, sent), anchor, set())) == red


def test_a_selection_is_in_the_current_context() -> None:
    """SEL-03: nothing is selected in another context, unless what replaced it is on its way."""
    sent = Post(0.0, CASE.selects(TOPIC, "Observation/1"))
    assert broken(judge_select(sent, "DiagnosticReport/other", set())) == {"SEL-03"}
    assert not broken(judge_select(sent, "", {target(CASE.report)}))


def _sync_error(change: Callable[[Json], Any] = lambda _: None, status: str = "202") -> set[str]:
    sent = sync_error(TOPIC, "e1", "DiagnosticReport-open", "Viewer")
    change(sent["event"]["context"][0]["resource"]["issue"][0])
    delivery = Delivery("e1", "DiagnosticReport-open", "", "", 0.0, answer={"status": status})
    return broken(judge_sync_error(Post(0.0, sent), [delivery]))


def test_sync_errors() -> None:
    """SYNC-02, SYNC-03, SYNC-04, SYNC-11: shape, words, codings, and only after a 202."""
    assert _sync_error() == set()
    assert _sync_error(lambda it: it.update(code="conflict")) == {"SYNC-02"}
    assert _sync_error(lambda it: it.update(severity="error")) == {"SYNC-03"}
    assert _sync_error(lambda it: it.update(diagnostics="it failed")) == {"SYNC-03"}
    assert _sync_error(lambda it: it["details"]["coding"].pop(0)) == {"SYNC-04", "SYNC-11"}
    assert _sync_error(status="200") == {"SYNC-11"}
    about_update = sync_error(TOPIC, "e1", "DiagnosticReport-update", "Viewer")
    assert broken(judge_sync_error(Post(0.0, about_update), [])) == {"SYNC-11"}


@pytest.mark.parametrize(("name", "row"), [("UserLogout", "INF-01"), ("UserHibernate", "INF-03")])
def test_logout_and_hibernate(name: str, row: str) -> None:
    """INF-01, INF-03: Parameters with one code; `hub` is a boolean."""

    def found(*parameters: Json) -> set[str]:
        resource = {"resourceType": "Parameters", "parameter": list(parameters)}
        return broken(
            judge_parameters(Post(0.0, message(TOPIC, name, [item("parameters", resource)])))
        )

    code = {"name": "code", "valueCoding": {"code": "user-initiated"}}
    assert found(code) == set()
    assert found(code, {"name": "hub", "valueBoolean": True}) == set()
    assert found(code, {"name": "hub", "valueString": "yes"}) == {row}
    assert found() == {row}
    assert broken(judge_parameters(Post(0.0, message(TOPIC, name, [])))) == {row}


@pytest.mark.parametrize("odd", [None, 1, "x", [], [1], {"key": None}, {"key": 1, "resource": []}])
def test_no_shape_breaks_a_judge(odd: Any) -> None:
    """A judge says what is wrong; it never falls over what an application sends."""
    for event in ("Patient-open", "DiagnosticReport-close", "DiagnosticReport-update", "SyncError"):
        for context in (odd, [odd], [item("updates", odd)], [item("operationoutcome", odd)]):
            post = Post(0.0, message(TOPIC, event, context))
            list(judge_message(post)), list(judge_context(post)), list(judge_subjects(post.event))
            list(judge_open(post)), list(judge_update(post, None, set()))
            list(judge_select(post, "", set())), list(judge_sync_error(post, []))
            list(judge_parameters(post))
    for entry in ({"request": odd}, {"resource": odd, "request": {"method": "PUT"}}):
        content_rows(entry)


# The catalogue of what is judged


def test_every_judged_row_is_a_requirement_with_an_occasion() -> None:
    """What the kit judges is in the catalogue, and some scenario gives the occasion."""
    played = {row for it in SCENARIOS for row in (*it.rows, *it.gives)}
    assert set(OCCASIONS) <= set(rows())
    assert played <= set(OCCASIONS)
    assert set(OCCASIONS) <= played


def test_rows_of_ira_bind_in_that_profile_only() -> None:
    """IRA-EC-02 binds one actor; a word that names no row is said."""
    assert not [it for it in judged_rows("base") if it.startswith("IRA")]
    assert "IRA-EC-02" not in judged_rows("ira")
    assert "IRA-EC-02" in judged_rows("ira", actor="stateless-evidence-creator")
    assert judged_rows("ira", ["ack", "SUB-05"]) == ["SUB-05", "ACK-01", "ACK-02", "ACK-04"]
    with pytest.raises(ValueError, match="IRA-PR"):
        judged_rows("base", ["IRA-PR"])


# The session that the hub keeps


def test_the_session_moves_as_a_hub_moves() -> None:
    """CTX-02, CTX-04, CONT-04, D-27: versions, current context, content, an older open."""
    session = Session(ira=True)
    opened = session.take(CASE.opens(TOPIC))["event"]["context.versionId"]
    other = new_case()
    session.take(other.opens(TOPIC, timestamp=stamp(ahead_seconds=-60)))
    assert session.current == target(CASE.report)
    updated = session.take(CASE.updates(TOPIC, opened, put(CASE.observation())))["event"]
    assert updated["context.priorVersionId"] == opened
    view = session.view()
    assert view["context.versionId"] == updated["context.versionId"]
    assert [target_of(it) for it in view["context"][:3]] == [target_of(it) for it in CASE.items()]
    session.take(CASE.closes(TOPIC))
    assert session.view()["context"] == []
