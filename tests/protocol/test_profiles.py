from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builders import (
    ENCOUNTER,
    PATIENT,
    REPORT,
    STUDY,
    Json,
    event,
    identifier,
    item,
    judge,
    new_session,
    open_case,
    open_event,
    ref,
)
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.profiles import profile_faults
from fhircast_hub.protocol.session import Rules

if TYPE_CHECKING:
    from fhircast_hub.protocol.messages import EventNotification

FULL_ENCOUNTER: Json = {
    **ENCOUNTER,
    "identifier": [identifier("v-1", system="urn:oid:2.999.1.8")],
    "class": {"code": "AMB"},
}


def without(resource: Json, *elements: str) -> Json:
    return {key: it for key, it in resource.items() if key not in elements}


def faults(notification: EventNotification) -> list[tuple[str, str]]:
    return [(it.rule, str(it)) for it in profile_faults(notification)]


@pytest.mark.parametrize(
    "notification",
    [
        open_case(),
        event("DiagnosticReport-close", item(REPORT), item(PATIENT)),
        open_event(PATIENT),
        open_event(STUDY),
        open_event(STUDY, PATIENT, FULL_ENCOUNTER),
        open_event(FULL_ENCOUNTER, PATIENT),
        event("Encounter-close", item(without(FULL_ENCOUNTER, "identifier")), item(PATIENT)),
        event("DiagnosticReport-open", *map(item, (REPORT, PATIENT, STUDY, STUDY))),
        event("Patient-open", item(PATIENT), {"key": "extension", "data": {"x": 1}}),
        event("Appointment-open", item({"resourceType": "Appointment", "id": "a"}), item(REPORT)),
        event("Home-open"),
        event("UserLogout", {"key": "anything"}),
        event("DiagnosticReport-select", ref("DiagnosticReport/dr-1", "report"), {"key": "more"}),
    ],
)
def test_what_the_profiles_allow(notification: EventNotification) -> None:
    """Section 15: PROF-01, PROF-04, PROF-05, PROF-08, PROF-09, EVT-16, GEN-04."""
    assert faults(notification) == []


@pytest.mark.parametrize(
    ("resource", "missing", "rule"),
    [
        (PATIENT, "identifier", "PROF-01"),
        (STUDY, "identifier", "PROF-05"),
        (STUDY, "status", "PROF-05"),
        (STUDY, "subject", "PROF-05"),
        (REPORT, "status", "PROF-08"),
        (REPORT, "subject", "PROF-08"),
        (FULL_ENCOUNTER, "identifier", "PROF-04"),
        (FULL_ENCOUNTER, "status", "PROF-04"),
        (FULL_ENCOUNTER, "class", "PROF-04"),
        (FULL_ENCOUNTER, "subject", "PROF-04"),
    ],
)
def test_an_open_lacks_an_element_of_its_profile(resource: Json, missing: str, rule: str) -> None:
    """Profiles *Open: PROF-01, PROF-04, PROF-05, PROF-08; the fault names the element."""
    full = [PATIENT, STUDY, REPORT, FULL_ENCOUNTER]
    context = [without(it, missing) if it is resource else it for it in full]
    key = item(resource)["key"]
    sent = event("DiagnosticReport-open", *map(item, context))
    assert faults(sent) == [(rule, f"context.{key}.{missing}: missing")]


def test_an_open_resource_needs_an_id() -> None:
    """Profiles *Open: PROF-05; also where it is not the anchor."""
    [(rule, text)] = faults(open_event(REPORT, PATIENT, without(STUDY, "id")))
    assert (rule, text) == ("PROF-05", "context.study.id: missing")


def test_a_report_has_an_identifier_or_a_request() -> None:
    """Profiles DiagnosticReportOpen: PROF-08, one of the two is enough."""
    neither = without(REPORT, "identifier", "basedOn")
    assert [it for it, _ in faults(open_event(neither, PATIENT))] == ["PROF-08"]
    for one in ("identifier", "basedOn"):
        assert faults(open_event(without(REPORT, one), PATIENT)) == []


def test_the_value_of_a_study_uid_is_an_oid() -> None:
    """Profiles ImagingStudyOpen: PROF-05."""
    bare = {**STUDY, "identifier": [identifier("2.999.9.1", system="urn:dicom:uid")]}
    [(rule, text)] = faults(open_event(bare))
    assert (rule, "2.999" in text) == ("PROF-05", False)


def test_an_encounter_is_the_patients() -> None:
    """Profiles EncounterOpen, EncounterClose: PROF-04."""
    other = {**FULL_ENCOUNTER, "subject": {"reference": "Patient/pt-2"}}
    for name in ("Encounter-open", "Encounter-close"):
        assert [it for it, _ in faults(event(name, item(other), item(PATIENT)))] == ["PROF-04"]


@pytest.mark.parametrize(
    ("notification", "rule"),
    [
        (event("Patient-open", item(PATIENT), {"key": "note", "string": "x"}), "EVT-16"),
        (event("Patient-open", item(PATIENT), item(STUDY)), "EVT-16"),
        (event("Encounter-open", item(without(FULL_ENCOUNTER))), "EVT-16"),
        (event("DiagnosticReport-close", item(REPORT)), "EVT-16"),
        (open_event(REPORT, PATIENT, FULL_ENCOUNTER, FULL_ENCOUNTER), "PROF-09"),
        (event("Home-open", item(PATIENT)), "INF-04"),
    ],
)
def test_a_context_with_other_keys_than_its_event_has(
    notification: EventNotification, rule: str
) -> None:
    """2.3, the catalogue: EVT-16, PROF-09; no key is quoted."""
    [(found, text)] = faults(notification)
    assert found == rule
    assert "note" not in text


def test_an_element_of_another_shape_is_a_fault_and_not_quoted() -> None:
    """GEN-05, SEC-03."""
    [(rule, text)] = faults(open_event({**PATIENT, "identifier": "4438001"}))
    assert (rule, "4438001" in text) == ("PROF-01", False)


FAULTY: Any = open_event(without(PATIENT, "identifier"))


def test_a_fault_is_forwarded_with_a_remark() -> None:
    """D-31: the hub is no FHIR validator; what it saw is for the log."""
    decision = judge(new_session(), FAULTY)
    assert decision.broadcast is not None
    assert decision.remarks == ("PROF-01 context.patient.identifier: missing",)


def test_a_switch_makes_a_fault_a_refusal() -> None:
    """D-31: strict."""
    with pytest.raises(InvalidRequest, match=r"^context\.patient\.identifier: missing"):
        judge(new_session(), FAULTY, rules=Rules(refuses_profile_faults=True))
    assert judge(new_session(), open_case(), rules=Rules(refuses_profile_faults=True)).remarks == ()
