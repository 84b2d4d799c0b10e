"""The values of a session (TAB-01, CONT-13, EVT-06)."""

from __future__ import annotations

from builders import (
    PATIENT,
    REPORT,
    item,
    judge,
    message,
    new_session,
    opened,
    parsed,
    ref,
    value,
)
from fhircast_hub.protocol.channel import Outcome
from fhircast_hub.protocol.content import Change, SharedResource
from fhircast_hub.protocol.delivery import Delivery
from fhircast_hub.protocol.events import HOME_OPEN


def test_a_context_tells_what_was_opened_in_it() -> None:
    """CONT-13: resources, and what is only referred to."""
    study = ref("ImagingStudy/is-1", "study")
    sent = message("DiagnosticReport-open", [item(REPORT), item(PATIENT), study])
    context = judge(new_session(), parsed(sent)).session.current_context
    assert context is not None
    resources = context.resources()
    assert {key: it and value(it) for key, it in resources.items()} == {
        "DiagnosticReport/dr-1": REPORT,
        "Patient/pt-1": PATIENT,
        "ImagingStudy/is-1": b"",
    }
    assert len(resources) == 3
    assert (context.holds("Patient/pt-1"), context.holds("ImagingStudy/is-1")) == (True, False)


def test_a_broadcast_may_be_for_one_subject_only() -> None:
    """EVT-06: the SyncError of a late rejection."""
    decision = judge(opened(), parsed(message("UserLogout", [])))
    assert decision.for_only("") is decision
    alone = decision.for_only("user|client")
    assert (alone.only_for, alone.session) == ("user|client", decision.session)


def test_nothing_that_is_shared_is_in_the_text_of_a_value() -> None:
    """SEC-03: neither a log nor a traceback may tell what was shared."""
    delivery = Delivery("e-1", HOME_OPEN, b"8.2", shows={"Observation": "8.2"})
    values = [Change("Observation/1", b"8.2"), SharedResource(b"8.2", "", 1), delivery]
    assert "8.2" not in repr([*values, Outcome((b"8.2",))])
