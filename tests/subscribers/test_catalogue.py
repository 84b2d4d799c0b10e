"""No request leaves that the event catalogue does not allow."""

from __future__ import annotations

from typing import Any

import pytest
from builders import PATIENT, REPORT, STUDY, item, ref
from fhircast_hub.protocol.events import CATALOGUE
from fhircast_subscribers import InvalidContext
from fhircast_subscribers.catalogue import KEYS, check_request

Json = dict[str, Any]
REPORT_ITEMS = [item(REPORT), item(PATIENT), item(STUDY)]


def test_every_event_of_the_standard_has_its_table() -> None:
    """EVT-16: the 14 events of chapter 3."""
    assert set(KEYS) == {entry.spelling.lower() for entry in CATALOGUE}


@pytest.mark.parametrize(
    ("event", "items"),
    [
        ("DiagnosticReport-open", REPORT_ITEMS),
        ("diagnosticreport-OPEN", [*REPORT_ITEMS, item(STUDY)]),
        ("DiagnosticReport-open", [*REPORT_ITEMS, {"key": "extension", "data": {"x": 1}}]),
        ("DiagnosticReport-close", [item(REPORT)]),
        ("Appointment-open", [item({"resourceType": "Appointment", "id": "a-1"})]),
        ("org.example.thing", [{"key": "anything"}]),
        ("Home-open", []),
    ],
)
def test_what_is_allowed(event: str, items: list[Json]) -> None:
    """EVT-12, EVT-13, EVT-16, GEN-03, GEN-04."""
    check_request(event, items)


@pytest.mark.parametrize(
    ("event", "items", "rule"),
    [
        ("org.example-thing", [], "EVT-13"),
        ("thing", [], "EVT-13"),
        ("Patient-zap", [], "EVT-13"),
        ("Patient-open", [], "EVT-15"),
        ("Appointment-open", [], "EVT-15"),
        ("Patient-open", [{"key": "patient", "value": PATIENT}], "EVT-15"),
        ("Patient-open", [item(PATIENT), item(PATIENT)], "EVT-16"),
        ("Patient-open", [item(PATIENT), item(STUDY)], "EVT-16"),
        ("DiagnosticReport-open", [item(REPORT, "Report"), item(PATIENT)], "EVT-15"),
        ("DiagnosticReport-open", [item(REPORT), item(PATIENT, "subject")], "EVT-15"),
        ("ImagingStudy-open", [item(STUDY, "imagingstudy")], "EVT-15"),
        ("DiagnosticReport-update", [ref("DiagnosticReport/dr-1", "report")], "EVT-15"),
        ("DiagnosticReport-select", [item(REPORT), ref("Patient/pt-1", "select")], "EVT-15"),
        ("Home-open", [item(PATIENT)], "EVT-16"),
        ("UserLogout", [], "EVT-15"),
    ],
)
def test_what_is_not(event: str, items: list[Json], rule: str) -> None:
    """EVT-12, EVT-13, EVT-14, EVT-15, EVT-16, EVT-20: refused before it leaves, with the rule."""
    with pytest.raises(InvalidContext, match=rule):
        check_request(event, items)
