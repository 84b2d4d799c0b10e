from __future__ import annotations

import pytest
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.events import (
    CATALOGUE,
    HOME_OPEN,
    SYNC_ERROR,
    EventKind,
    context_key,
    parse_event_name,
    parse_subscribed_name,
    required_keys,
)

REQUIRED = {
    "Patient-open": ["patient"],
    "Patient-close": ["patient"],
    "Encounter-open": ["encounter"],
    "Encounter-close": ["encounter"],
    "ImagingStudy-open": ["study"],
    "ImagingStudy-close": ["study"],
    "DiagnosticReport-open": ["report", "patient"],
    "DiagnosticReport-close": ["report"],
    "DiagnosticReport-update": ["report", "updates"],
    "DiagnosticReport-select": ["report"],
    "SyncError": ["operationoutcome"],
    "UserLogout": [],
    "UserHibernate": [],
    "Home-open": [],
}


def test_the_catalogue_has_the_14_events_of_the_standard() -> None:
    """2.7, 3: what eventsSupported lists (WK-02)."""
    assert [entry.spelling for entry in CATALOGUE] == list(REQUIRED)


@pytest.mark.parametrize("spelling", ["PATIENT-OPEN", "patient-open", "Patient-Open"])
def test_names_are_compared_without_regard_to_case(spelling: str) -> None:
    """2.3: GEN-03; shown in the catalogue's spelling (D-30)."""
    name = parse_event_name(spelling)
    assert name == parse_event_name("Patient-open")
    assert name.spelling == "Patient-open"


@pytest.mark.parametrize("spelling", list(REQUIRED))
def test_every_catalogued_event_keeps_its_spelling(spelling: str) -> None:
    """2.3: D-30."""
    assert parse_event_name(spelling.swapcase()).spelling == spelling


@pytest.mark.parametrize(
    ("text", "kind", "anchor_key"),
    [
        ("Appointment-open", EventKind.OPEN, "appointment"),
        ("ImagingSelection-close", EventKind.CLOSE, "imagingselection"),
        ("ServiceRequest-update", EventKind.UPDATE, "servicerequest"),
        ("ImagingStudy-select", EventKind.SELECT, "study"),
        ("DiagnosticReport-open", EventKind.OPEN, "report"),
    ],
)
def test_every_resource_type_can_be_an_anchor(text: str, kind: EventKind, anchor_key: str) -> None:
    """2.3: EVT-12; the key is the lower-case type but for two legacy ones (EVT-14)."""
    name = parse_event_name(text)
    assert (name.kind, name.anchor_key) == (kind, anchor_key)
    assert text == f"{name.anchor_type}-{kind.value}"


@pytest.mark.parametrize("text", ["SyncError", "UserLogout", "UserHibernate", "org.example.thing"])
def test_infrastructure_and_proprietary_events_have_no_anchor(text: str) -> None:
    """2.3: EVT-13, INF-*."""
    name = parse_event_name(text)
    assert name.kind in {EventKind.INFRASTRUCTURE, EventKind.PROPRIETARY}
    assert (name.spelling, name.anchor_type, name.anchor_key) == (text, None, "")


def test_the_named_events_equal_the_parsed_ones() -> None:
    """SYNC-14, D-21: code that asks for them finds them, wherever they were parsed."""
    assert parse_event_name("syncerror") == SYNC_ERROR
    assert parse_event_name("HOME-open") == HOME_OPEN
    assert HOME_OPEN.kind is EventKind.OPEN
    assert HOME_OPEN.anchor_type is None


@pytest.mark.parametrize(
    "text",
    [
        "Foo-open",
        "Patient-zap",
        "Patient-",
        "-open",
        "Patient",
        "thing",
        "org.example-thing",
        "org.example.",
        ".example",
        "*-open",
        "Patient-*",
        "*",
        "",
        "Patient-open ",
        "Patient-open,Patient-close",
        "org." + "x" * 130,
        "Tas\u212a-open",
    ],
)
def test_what_is_no_event_name_is_refused(text: str) -> None:
    """2.3: EVT-12, EVT-13, SUB-07."""
    with pytest.raises(InvalidRequest) as caught:
        parse_event_name(text)
    assert caught.value.field == "hub.event"
    assert text not in str(caught.value) or len(text) < 6


@pytest.mark.parametrize(("spelling", "keys"), REQUIRED.items())
def test_required_keys_are_those_of_the_catalogue(spelling: str, keys: list[str]) -> None:
    """2.3, 3: EVT-14, EVT-15, CONT-08, PROF-09."""
    assert list(required_keys(parse_event_name(spelling), ira=False)) == keys


@pytest.mark.parametrize(
    ("spelling", "extra"),
    [("DiagnosticReport-open", "study"), ("DiagnosticReport-select", "select")],
)
def test_ira_requires_more_keys(spelling: str, extra: str) -> None:
    """RAD-148, RAD-151: IRA-HUB-07, IRA-HUB-12."""
    name = parse_event_name(spelling)
    assert required_keys(name, ira=True) == (*required_keys(name, ira=False), extra)


@pytest.mark.parametrize(
    ("spelling", "keys"),
    [
        ("Appointment-close", ("appointment",)),
        ("Encounter-update", ("encounter", "updates")),
        ("Encounter-select", ("encounter",)),
        ("org.example.thing", ()),
    ],
)
def test_events_beyond_the_catalogue_require_their_anchor(
    spelling: str, keys: tuple[str, ...]
) -> None:
    """2.3: EVT-12, CONT-08; a proprietary event defines its own context (EVT-13)."""
    assert required_keys(parse_event_name(spelling), ira=False) == keys


@pytest.mark.parametrize(("type_", "key"), [("Patient", "patient"), ("ImagingStudy", "study")])
def test_context_keys(type_: str, key: str) -> None:
    """2.3: EVT-14."""
    assert context_key(type_) == key


@pytest.mark.parametrize("text", ["Patient-OPEN", "Foo-open", "org.example-thing", "com.x.y"])
def test_a_subscription_may_name_what_no_event_is_called(text: str) -> None:
    """2.3: D-36, IRA-HUB-03; deployed clients ask for such names."""
    assert parse_subscribed_name(text) == text.lower()


@pytest.mark.parametrize("text", ["*", "*-open", "Patient-*", "", "a b", "ä-open", "x" * 129, "1x"])
def test_wildcards_and_garbage_are_refused_in_a_subscription(text: str) -> None:
    """2.3: SUB-07."""
    with pytest.raises(InvalidRequest, match=r"hub\.events"):
        parse_subscribed_name(text)
