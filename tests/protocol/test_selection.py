from __future__ import annotations

import pytest
from builders import REPORT, Json, event, ref, target, value
from fhircast_hub.protocol.messages import EventNotification, encode_notification
from fhircast_hub.protocol.selection import without_unknown

KNOWN = "Observation/ob-1"
UNKNOWN = "Observation/none"


def is_known(key: str) -> bool:
    return key == KNOWN


def select(*items: Json) -> EventNotification:
    return event("DiagnosticReport-select", ref(target(REPORT), "report"), *items)


def old_form(*references: str) -> Json:
    """One item with an array of references, as in older IRA messages (D-09)."""
    return {"key": "select", "reference": [{"reference": it} for it in references]}


def new_form(reference: str) -> Json:
    return ref(reference, "select")


def selected(notification: EventNotification) -> list[Json]:
    frame = value(encode_notification(notification))
    context: list[Json] = frame["event"]["context"]
    assert context[0]["key"] == "report"
    return context[1:]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([old_form(KNOWN, UNKNOWN)], [old_form(KNOWN)]),
        ([old_form(UNKNOWN)], [old_form()]),
        ([new_form(KNOWN), new_form(UNKNOWN)], [new_form(KNOWN)]),
        ([new_form(UNKNOWN)], [old_form()]),
        ([old_form(UNKNOWN), new_form(KNOWN)], [new_form(KNOWN)]),
        ([new_form("http://x.example/fhir/" + UNKNOWN)], [old_form()]),
    ],
)
def test_unknown_references_are_dropped(sent: list[Json], kept: list[Json]) -> None:
    """RAD-151: IRA-HUB-12, D-09, one by one or in an array."""
    assert selected(without_unknown(select(*sent), is_known)) == kept


@pytest.mark.parametrize(
    "sent",
    [
        [old_form(KNOWN, KNOWN)],
        [new_form(KNOWN)],
        [old_form()],
        [{"key": "select"}],
        [{"key": "select", "resource": []}],
        [{"key": "select", "reference": [{"display": "by eye"}]}],
        [{"key": "select", "reference": {"identifier": {"value": "1"}}}],
        [],
    ],
)
def test_what_is_known_or_cannot_be_judged_passes_unchanged(sent: list[Json]) -> None:
    """RAD-151: IRA-HUB-12, D-09."""
    notification = select(*sent)
    assert without_unknown(notification, is_known) is notification


def test_other_fields_of_an_array_item_stay() -> None:
    """CONT-22, IRA-HUB-12: only the unknown references go."""
    sent = {**old_form(KNOWN, UNKNOWN), "extension": {"x": 1}}
    assert selected(without_unknown(select(sent), is_known)) == [
        {"key": "select", "reference": [{"reference": KNOWN}], "extension": {"x": 1}}
    ]
