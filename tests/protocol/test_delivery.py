"""Who gets what of one event, and what a subscriber shows afterwards (2.5, DER-01, DER-02)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import (
    ENCOUNTER,
    NOON,
    PATIENT,
    REPORT,
    TOPIC,
    case,
    close_event,
    event,
    open_case,
    open_event,
    update_event,
    value,
)
from fhircast_hub.protocol.channel import Outcome
from fhircast_hub.protocol.delivery import NOTHING_SHOWN, Deliveries, Delivery, news
from fhircast_hub.protocol.derive import Derive, contexts_of
from fhircast_hub.protocol.events import parse_event_name
from fhircast_hub.protocol.subscription import Subscription
from fhircast_hub.protocol.unanswered import Kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhircast_hub.protocol.messages import EventNotification

CASE_1, CASE_2 = contexts_of(open_case(1)), contexts_of(open_case(2))


def subscriber(*events: str) -> Subscription:
    return Subscription(TOPIC, "e", {it.lower(): it for it in events}, 60, "Viewer", "", NOON)


def deliveries(
    opened: EventNotification,
    *,
    derive: Derive = Derive.MISSING,
    sets_context: bool = True,
    is_resend: bool = False,
) -> Deliveries:
    return Deliveries(opened, sets_context=sets_context, derive=derive, is_resend=is_resend)


def names(group: Sequence[Delivery]) -> list[str]:
    return [it.name.spelling for it in group]


@pytest.mark.parametrize(
    ("derive", "events", "expected"),
    [
        (Derive.MISSING, ["Patient-open"], ["Patient-open"]),
        (Derive.MISSING, ["Patient-open", "DiagnosticReport-open"], ["DiagnosticReport-open"]),
        (Derive.MISSING, ["Patient-close", "SyncError"], []),
        (
            Derive.MISSING,
            ["ImagingStudy-open", "Patient-open"],
            ["Patient-open", "ImagingStudy-open"],
        ),
        (
            Derive.ALL,
            ["Patient-open", "DiagnosticReport-open"],
            ["Patient-open", "DiagnosticReport-open"],
        ),
        (Derive.OFF, ["Patient-open"], []),
        (Derive.OFF, ["Patient-open", "DiagnosticReport-open"], ["DiagnosticReport-open"]),
    ],
)
def test_who_gets_derived_opens(derive: Derive, events: list[str], expected: list[str]) -> None:
    """2.5: DER-01, DER-02, DER-03, REP-02, D-14; only what was granted, and the source last."""
    group = deliveries(open_case(1), derive=derive).to(subscriber(*events))
    assert names(group) == expected


def test_an_open_that_came_too_late_derives_nothing() -> None:
    """D-26, D-27: nobody follows it, and what they show then is not known."""
    late = deliveries(open_case(1), sets_context=False)
    assert late.to(subscriber("Patient-open")) == ()
    [source] = late.to(subscriber("DiagnosticReport-open"))
    assert source.shown_after(CASE_2) == NOTHING_SHOWN


def test_a_close_derives_nothing() -> None:
    """DER-04."""
    closes = deliveries(close_event(REPORT), sets_context=False)
    assert closes.to(subscriber("Patient-open", "Patient-close")) == ()


def test_each_subscriber_sees_its_own_spelling_and_equal_ones_share_a_frame() -> None:
    """D-30; encode once, send many."""
    both = deliveries(open_case(1))
    [one] = both.to(subscriber("patient-OPEN"))
    [same] = both.to(subscriber("patient-OPEN", "Home-open"))
    assert value(one.frame)["event"]["hub.event"] == "patient-OPEN"
    assert same is one


def test_who_gets_the_same_shares_one_group() -> None:
    """DER-01: with derived opens in it as well."""
    made = deliveries(open_case(1))
    group = made.to(subscriber("Patient-open", "ImagingStudy-open"))
    assert made.to(subscriber("ImagingStudy-open", "Patient-open", "SyncError")) is group
    assert made.to(subscriber("patient-open", "ImagingStudy-open"))[1] is group[1]


def test_two_with_the_very_same_events_and_one_with_others_between_them() -> None:
    """D-30: subscriptions with equal events share them; each still gets what it asked for."""
    made, one = deliveries(open_case(1)), subscriber("Patient-open")
    groups = [made.to(it) for it in (one, one, subscriber("SyncError"), one)]
    assert [names(it) for it in groups] == [
        ["Patient-open"],
        ["Patient-open"],
        [],
        ["Patient-open"],
    ]


# What is news (DER-02)


def test_what_a_subscriber_shows_already_is_no_news() -> None:
    """2.5: DER-02; the example of the row: Patient-open p1, then Encounter-open of p1."""
    [derived] = deliveries(open_event(ENCOUNTER, PATIENT)).to(subscriber("Patient-open"))
    assert news([derived], contexts_of(open_event(PATIENT))) == ()
    assert news([derived], CASE_2) == [derived]
    assert news([derived], NOTHING_SHOWN) == [derived]


def test_from_the_first_news_on_everything_goes_out() -> None:
    """D-13, DER-02: a new patient supersedes the study, so the study follows it again."""
    events = subscriber("Patient-open", "ImagingStudy-open")
    patient, study = deliveries(open_case(1)).to(events)
    assert news([patient, study], {**CASE_2, "ImagingStudy": "ImagingStudy/is-1"}) == [
        patient,
        study,
    ]
    assert news([patient, study], {**CASE_1, "ImagingStudy": "ImagingStudy/is-2"}) == [study]


def test_a_requested_event_always_goes_out() -> None:
    """EVT-04."""
    [source] = deliveries(open_event(PATIENT)).to(subscriber("Patient-open"))
    assert news([source], contexts_of(open_event(PATIENT))) == [source]


def test_a_resend_goes_out_again_with_what_follows_from_it() -> None:
    """D-28: somebody was out of step."""
    [derived] = deliveries(open_case(1), is_resend=True).to(subscriber("Patient-open"))
    assert news([derived], CASE_1) == [derived]


# What is shown afterwards


def test_of_several_studies_the_first_is_shown() -> None:
    """D-15."""
    studies = (case(it)[2] for it in (1, 2))
    event = open_event(REPORT, PATIENT, *studies)
    assert contexts_of(event)["ImagingStudy"] == "ImagingStudy/is-1"


def test_what_has_no_id_cannot_be_named() -> None:
    """DER-02: then it counts as not shown."""
    assert contexts_of(open_event(REPORT, {"resourceType": "Patient"})) == {
        "DiagnosticReport": "DiagnosticReport/dr-1"
    }


def test_an_open_shows_what_it_holds_and_nothing_else() -> None:
    """DER-02: a study of the patient before is not on the screen any more."""
    [source] = deliveries(open_event(PATIENT)).to(subscriber("Patient-open"))
    assert source.shown_after(CASE_2) == {"Patient": "Patient/pt-1"}


def test_home_shows_nothing() -> None:
    """INF-04, DER-02: afterwards the same patient is news again."""
    [home] = deliveries(event("Home-open")).to(subscriber("Home-open"))
    assert home.shown_after(CASE_1) == NOTHING_SHOWN


def test_a_close_of_what_is_shown_leaves_nothing() -> None:
    """DER-02: close, then open again."""
    [close] = deliveries(close_event(PATIENT), sets_context=False).to(subscriber("Patient-close"))
    assert close.shown_after(CASE_1) == NOTHING_SHOWN
    assert close.shown_after(CASE_2) == CASE_2


def test_other_events_change_nothing() -> None:
    """2.10."""
    update = deliveries(update_event(REPORT, "v1"), sets_context=False)
    [delivery] = update.to(subscriber("DiagnosticReport-update"))
    assert delivery.shown_after(CASE_1) == CASE_1
    bare = Delivery("e", parse_event_name("org.example.x"), b"", is_implied=True)
    assert bare.is_news(CASE_1)


def test_what_tells_of_somebody_out_of_step_raises_doubt() -> None:
    """ACK-04, INF-02: a SyncError, a logout; not what changes a context."""
    assert deliveries(event("UserLogout"), sets_context=False).raises_doubt
    assert not deliveries(open_case(1)).raises_doubt


def test_what_is_written_of_a_delivery_shows_nothing_of_its_frame() -> None:
    """SEC-03: a log or a traceback may hold it."""
    delivery = Delivery("e1", open_case(1).name, b"Doe^John")
    outcome = Outcome(frames=(b"Doe^John",))
    assert "Doe" not in f"{delivery!r} {outcome!r} {Kept(delivery, 1)!r}"
    assert "e1" in repr(delivery)
