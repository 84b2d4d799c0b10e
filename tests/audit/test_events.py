"""From facts to AuditEvents: R4's demands, BALP's slices, nothing more than auditors need."""

from __future__ import annotations

from typing import Any

import audit_events as told
import msgspec
import pytest
from builders import NOON, TOPIC
from fhircast_hub.audit.events import audit_event
from fhircast_hub.audit.facts import Act, Caller, Fact, Origin, Outcome, act_of, caller_of
from fhircast_hub.protocol.events import parse_event_name
from hypothesis import given
from hypothesis import strategies as st

HUB = Origin("https://hub.example/api/hub", "hub.example", "fhircast-hub 1")
RADIOLOGIST = Caller("dr-1", "viewer", "192.0.2.7")
DCM = "http://dicom.nema.org/resources/ontology/DCM"


def event_of(act: Act, *, caller: Caller = RADIOLOGIST, **more: Any) -> dict[str, Any]:
    fact = Fact(act, NOON, caller, **{"topic": TOPIC, **more})
    return audit_event(fact, HUB)


@pytest.mark.parametrize(
    ("act", "transaction"),
    [(Act.SUBSCRIBE, "RAD-146"), (Act.UNSUBSCRIBE, "RAD-152"), (Act.READ, "RAD-153")],
)
def test_three_calls_are_query_information(act: Act, transaction: str) -> None:
    """IRA-HUB-22: DICOM's code for a query, the transaction, and what was asked for."""
    event = event_of(act, query="hub.topic=t")
    told.check_r4(event)
    assert told.coded(event, DCM, "110112")
    assert told.transaction(event) == transaction
    assert told.entity(event, "2")["description"] == "hub.topic=t"
    assert event["meta"]["profile"][0].endswith("IHE.BasicAudit.Query")


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize("status", [0, 202, 400, 401, 403, 409, 503])
@pytest.mark.parametrize("caller", [RADIOLOGIST, Caller("", "viewer", "::1"), Caller()])
def test_every_entry_is_an_audit_event(act: Act, status: int, caller: Caller) -> None:
    """R4 AuditEvent: what is required is there, whatever is known of the fact."""
    event = event_of(act, caller=caller, outcome=Outcome(status), query="q" if act.is_query else "")
    told.check_r4(event)
    assert told.act(event) == act.code


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(0, "0"), (206, "0"), (400, "4"), (403, "4"), (409, "4"), (401, "8"), (503, "8")],
)
def test_the_outcome_follows_the_answer(status: int, outcome: str) -> None:
    """R4 AuditEvent.outcome: 4 for a refusal, 8 for an unknown caller or a fault."""
    assert event_of(Act.OPEN, outcome=Outcome(status))["outcome"] == outcome


def test_a_refusal_says_why() -> None:
    event = event_of(Act.OPEN, outcome=Outcome(409, "context: not open"))
    assert event["outcomeDesc"] == "409 context: not open"
    assert "meta" not in event


@pytest.mark.parametrize(
    ("name", "act", "transaction"),
    [
        ("DiagnosticReport-open", Act.OPEN, "RAD-148"),
        ("DiagnosticReport-close", Act.CLOSE, "RAD-149"),
        ("DiagnosticReport-update", Act.UPDATE, "RAD-150"),
        ("DiagnosticReport-select", Act.SELECT, "RAD-151"),
        ("SyncError", Act.SYNC_ERROR, "RAD-156"),
        ("Patient-open", Act.OPEN, ""),
        ("UserLogout", Act.EVENT, ""),
        ("org.example.marker", Act.EVENT, ""),
    ],
)
def test_an_event_is_recorded_as_what_it_is(name: str, act: Act, transaction: str) -> None:
    """IRA knows contexts of reports only; the transaction is a subtype."""
    assert act_of(parse_event_name(name)) is act
    event = event_of(act, event=name, event_id="e-1", version_id="v1")
    assert told.transaction(event) == transaction
    assert told.details(event) == {"hub.event": name, "context.versionId": "v1"}
    assert event["action"] == ("U" if act is Act.UPDATE else "E")


def test_an_event_names_patient_context_and_id() -> None:
    """BALP: slices for the patient, the data and the transaction."""
    event = event_of(
        Act.OPEN,
        event="DiagnosticReport-open",
        event_id="e-1",
        anchor="DiagnosticReport/dr-1",
        patient="Patient/pt-1",
    )
    assert told.patient(event) == "Patient/pt-1"
    assert told.entity(event, "XrequestId")["what"]["identifier"]["value"] == "e-1"
    data = told.entity(event, "2")
    assert (data["what"]["reference"], data["role"]["code"]) == ("DiagnosticReport/dr-1", "3")
    assert told.topic(event) == TOPIC


def test_client_user_and_hub_are_agents() -> None:
    """BALP: client with its address, the user as the one who asked, the server."""
    event = event_of(Act.READ, query="q", patient="Patient/pt-1")
    told.check_r4(event)
    assert told.client(event)["network"] == {"address": "192.0.2.7", "type": "2"}
    assert told.client(event)["who"]["identifier"]["value"] == "viewer"
    assert told.agent(event, "IRCP")["requestor"]
    assert event["meta"]["profile"][0].endswith("IHE.BasicAudit.PatientQuery")


def test_of_an_unknown_caller_only_the_address_is_told() -> None:
    """401: nothing of the token, not even a digest of it."""
    outcome = Outcome(401, "Authorization: the token is not valid")
    event = event_of(
        Act.AUTHENTICATE, caller=Caller(address="192.0.2.9"), outcome=outcome, topic=""
    )
    told.check_r4(event)
    assert told.coded(event, DCM, "110114")
    assert told.client(event)["who"] == {"display": "not known"}
    assert told.client(event)["network"]["address"] == "192.0.2.9"
    assert "entity" not in event


def test_the_hub_is_the_requestor_of_what_it_does() -> None:
    event = event_of(Act.ENDED, outcome=Outcome(reason="lease ended"))
    assert told.agent(event, "110152")["requestor"]
    assert told.user(event) == "dr-1"
    assert (event["outcome"], event["outcomeDesc"]) == ("0", "lease ended")


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("https://as.example|dr-1|viewer", Caller("dr-1", "viewer", "::1", "https://as.example")),
        ("auth0%7C17|viewer", Caller("auth0|17", "viewer", "::1")),
        ("100%25|", Caller("100%", "", "::1")),
        ("|viewer", Caller("", "viewer", "::1")),
        ("token:5f3a", Caller(address="::1")),
        ("anonymous", Caller(address="::1")),
    ],
)
def test_issuer_user_and_client_are_told_apart(subject: str, expected: Caller) -> None:
    """A grant's subject joins the three, and each may hold what joins them."""
    assert caller_of(subject, "::1") == expected


_texts = st.text(st.characters(), max_size=40) | st.just("x" * 5000)


@given(_texts, _texts, _texts, _texts)
def test_any_text_makes_a_line(user: str, topic: str, reason: str, reference: str) -> None:
    """What comes from outside may be anything, lone surrogates too; a line stays short."""
    caller = Caller(user, "viewer", "::1")
    event = event_of(
        Act.OPEN,
        caller=caller,
        topic=topic,
        outcome=Outcome(409, reason),
        anchor=reference,
        patient=reference,
    )
    assert len(msgspec.json.encode(event)) < 60_000
