"""What the builders make meets the profiles, in R4 and R5; and the validator can tell."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from builders import ENCOUNTER, NOON, PATIENT, REPORT, STUDY, TOPIC, accession, case, mrn
from fhircast_subscribers import (
    FhirVersion,
    InvalidContext,
    OpenContext,
    encounter_context,
    measurement,
    patient_context,
    report_context,
    study_context,
    text_note,
)
from fhircast_subscribers.builders import close_items, reference_item, reopen_items
from fhircast_subscribers.content import (
    ASSOCIATED_STUDY,
    comparisons_of,
    imaging_selection,
    updates_bundle,
    with_comparison,
    without_comparison,
)
from fhircast_subscribers.fhir import new_id
from fhircast_subscribers.wire import decode, write_notification
from subscribers.profiles import violations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fhircast_subscribers.builders import Openable

Json = dict[str, Any]
VISIT = {**ENCOUNTER, "identifier": [{"value": "r2r22345"}]}
PRIOR = {**case(7)[2], "subject": {"reference": "Patient/pt-1"}}


def sent(event: str, items: Sequence[Json], version_id: str = "") -> Json:
    """A request as it leaves."""
    value: Json = decode(
        write_notification(
            id=new_id(),
            happened_at=NOON,
            topic=TOPIC,
            event_name=event,
            items=items,
            version_id=version_id,
        )
    )
    return value


def opened(context: Openable) -> OpenContext:
    items = context.open_items()
    anchor = f"{context.anchor_type}/{items[0]['resource']['id']}"
    return OpenContext(anchor=anchor, anchor_type=context.anchor_type, items=tuple(items))


def report_of(fhir: FhirVersion = FhirVersion.R4, **fields: Any) -> Openable:
    return report_context(REPORT, PATIENT, STUDY, fhir=fhir, **fields)


def update(context: OpenContext, *puts: Json) -> Json:
    bundle = updates_bundle(puts)
    items = [reference_item("report", context.anchor), {"key": "updates", "resource": bundle}]
    return sent("DiagnosticReport-update", items, "v1")


@pytest.mark.parametrize("fhir", list(FhirVersion))
def test_report_context_meets_every_profile(fhir: FhirVersion) -> None:
    """PROF-01, PROF-02, PROF-03, PROF-04, PROF-05, PROF-08, PROF-09, PROF-10, PROF-11.

    EVT-16, EVT-20, IRA-PR-01, IRA-PR-02, IRA-PR-03: open, reopen and close.
    """
    context = report_of(fhir, encounter=VISIT)
    known = opened(context)
    for event, items in (
        ("DiagnosticReport-open", context.open_items()),
        ("DiagnosticReport-open", reopen_items(known)),
        ("DiagnosticReport-close", close_items(known)),
    ):
        assert violations(sent(event, items), fhir=fhir.value) == []


@pytest.mark.parametrize(
    "context",
    [
        patient_context(PATIENT),
        encounter_context(VISIT, PATIENT),
        study_context(STUDY, PATIENT),
        study_context({**STUDY, "subject": {"reference": "Device/phantom"}}),
    ],
)
def test_other_anchors_meet_their_profiles(context: Openable) -> None:
    """PROF-01, PROF-02, PROF-04, PROF-05, PROF-06, PROF-07, EVT-15, EVT-16: open and close."""
    name = context.anchor_type
    known = opened(context)
    assert violations(sent(f"{name}-open", context.open_items()), ira=False) == []
    assert violations(sent(f"{name}-close", close_items(known)), ira=False) == []


def test_study_of_a_patient_cannot_be_opened_without_the_patient() -> None:
    """PROF-06."""
    with pytest.raises(InvalidContext, match="PROF-06"):
        study_context(STUDY)


def test_encounter_says_what_is_not_known() -> None:
    """PROF-04: status and class are always there."""
    bare = {name: it for name, it in VISIT.items() if name not in {"status", "class"}}
    visit = encounter_context(bare, PATIENT).items[0]["resource"]
    assert (visit["status"], visit["class"]["code"]) == ("unknown", "UNK")


@pytest.mark.parametrize(
    ("encounter", "rule"),
    [
        ({**VISIT, "identifier": []}, "PROF-04"),
        ({**VISIT, "subject": {"reference": "Patient/pt-2"}}, "PROF-03"),
        ({**VISIT, "id": ""}, "PROF-13"),
    ],
)
def test_encounter_that_cannot_be_resolved_is_refused(encounter: Json, rule: str) -> None:
    """PROF-03, PROF-04, EVT-17."""
    with pytest.raises(InvalidContext, match=rule):
        encounter_context(encounter, PATIENT)


def test_ira_report_has_exactly_one_study() -> None:
    """IRA-PR-01, D-37: a comparison is shared, not opened; plain FHIRcast takes several."""
    with pytest.raises(InvalidContext, match="IRA-PR-01"):
        report_context(REPORT, PATIENT, STUDY, PRIOR)
    context = report_context(REPORT, PATIENT, STUDY, PRIOR, ira=False)
    assert violations(sent("DiagnosticReport-open", context.open_items()), ira=False) == []


def test_close_repeats_identifiers_and_newest_status() -> None:
    """PROF-02, PROF-07, PROF-10: SHOULD, so that everybody knows what is closed."""
    known = opened(report_of())
    report, patient, study = (it["resource"] for it in close_items(known))
    assert report["identifier"] == REPORT["identifier"]
    assert [it["value"] for it in patient["identifier"]] == ["441"]
    assert accession("GH1") in study["identifier"]


def test_what_others_added_is_not_repeated() -> None:
    """EVT-16, IRA-SUB-10: we reopen and close with the event's own keys only."""
    known = opened(report_of())
    extra = {"key": "vendor", "resource": {"resourceType": "Basic", "id": "b-1"}}
    known = OpenContext(known.anchor, known.anchor_type, (*known.items, extra))
    assert "vendor" not in {it["key"] for it in (*reopen_items(known), *close_items(known))}


@pytest.mark.parametrize("fhir", list(FhirVersion))
def test_content_meets_its_profiles(fhir: FhirVersion) -> None:
    """CONT-08, CONT-09, CONT-10, CONT-12, CONT-21, IRA-CC-02, IRA-PR-04: each kind has its own."""
    context = opened(report_of(fhir))
    region = ("polyline", [0.25, 0.25, 0.75, 0.25])
    image = imaging_selection(
        context, study_uid="1", series_uid="1.2", instance_uid="1.2.3", region=region
    )
    length = measurement(
        context,
        8,
        "mm",
        measured_at=NOON,
        derived_from=f"ImagingSelection/{image['id']}",
        members=["Observation/ob-9"],
    )
    note = text_note(context, "spiculated", written_at=NOON)
    study, report = with_comparison(context, PRIOR)
    message = update(context, image, length, note, study, report)
    assert violations(message, fhir=fhir.value) == []
    kinds = [it["resourceType"] for it in (image, length, note, report)]
    assert kinds == ["ImagingSelection", "Observation", "Observation", "DiagnosticReport"]


def test_measurement_names_what_it_comes_from_and_what_belongs_to_it() -> None:
    """CONT-21: derivedFrom and hasMember."""
    shared = measurement(
        opened(report_of()), 8, "mm", measured_at=NOON, members=["Observation/ob-2"]
    )
    assert shared["derivedFrom"] == [{"reference": "ImagingStudy/is-1"}]
    assert shared["hasMember"] == [{"reference": "Observation/ob-2"}]


def test_changed_measurement_keeps_id_and_identifier() -> None:
    """CONT-20: the same resource for as long as it lives; a new one has a UUID (PROF-13)."""
    context = opened(report_of())
    first = measurement(context, 8, "mm", measured_at=NOON)
    known = OpenContext(
        context.anchor,
        context.anchor_type,
        context.items,
        content={f"Observation/{first['id']}": first},
    )
    second = measurement(known, 9, "mm", measured_at=NOON, id=first["id"])
    assert (second["id"], second["identifier"]) == (first["id"], first["identifier"])


def test_comparison_is_named_by_the_report_and_goes_again() -> None:
    """CONT-15, IRA-CC-02, IRA-PR-04: the associatedStudy extension; the study is content."""
    context = opened(report_of())
    study, report = with_comparison(context, PRIOR)
    assert report["extension"][0]["url"] == ASSOCIATED_STUDY
    shared = {"ImagingStudy/is-7": study, "DiagnosticReport/dr-1": report}
    known = OpenContext(context.anchor, context.anchor_type, context.items, content=shared)
    assert comparisons_of(known) == (study,)
    assert "extension" not in without_comparison(known, "ImagingStudy/is-7")


def test_comparison_of_another_patient_is_refused() -> None:
    """PROF-03, EVT-17: the wrong patient must not happen."""
    with pytest.raises(InvalidContext, match="PROF-03"):
        with_comparison(opened(report_of()), case(7)[2])


def test_what_is_not_known_is_left_out() -> None:
    """PROF-12: gender and birth date are sent if known, and missed without an error."""
    known = {**PATIENT, "gender": "female", "birthDate": "1978-11-03", "name": [{"family": "S"}]}
    told = report_context(REPORT, known, STUDY).patient
    assert (told["gender"], told["birthDate"], told["name"]) == (
        "female",
        "1978-11-03",
        [{"family": "S"}],
    )
    assert "gender" not in report_context(REPORT, PATIENT, STUDY).patient


def test_r5_keeps_supporting_info_and_the_accession_in_based_on() -> None:
    """PROF-11: what R5 adds is passed on as the application wrote it."""
    report = {**REPORT, "supportingInfo": [{"reference": {"reference": "ImagingStudy/is-7"}}]}
    study = {**STUDY, "basedOn": [{"type": "ServiceRequest", "identifier": accession("GH1")}]}
    context = report_context(report, PATIENT, study, fhir=FhirVersion.R5)
    assert context.report["supportingInfo"] == report["supportingInfo"]
    assert context.studies[0]["basedOn"] == study["basedOn"]


# The validator itself: each of these faults has to be found


def report_item(message: Json, key: str) -> Json:
    found: Json = next(it["resource"] for it in message["event"]["context"] if it["key"] == key)
    return found


def _without(key: str) -> Callable[[Json], object]:
    def change(message: Json) -> None:
        context = message["event"]["context"]
        message["event"]["context"] = [it for it in context if it["key"] != key]

    return change


@pytest.mark.parametrize(
    ("fault", "row"),
    [
        (lambda it: it.update(id="e-1"), "D-50"),
        (lambda it: it["event"].pop("hub.topic"), "EVT-02"),
        (lambda it: it["event"].update(context={}), "EVT-02"),
        (lambda it: it.update(timestamp="2026-03-02T12:00:00+00:00"), "EVT-09"),
        (lambda it: it["event"].update({"hub.event": "org.example-thing"}), "EVT-13"),
        (lambda it: it["event"].update({"hub.event": "thing"}), "EVT-13"),
        (lambda it: it["event"].update({"context.versionId": "v1"}), "CONT-02"),
        (_without("patient"), "EVT-16"),
        (lambda it: it["event"]["context"].append({"key": "Report", "resource": {}}), "EVT-16"),
        (lambda it: report_item(it, "patient").update(identifier=[]), "PROF-01"),
        (lambda it: report_item(it, "patient").update(identifier=[mrn("1")]), "IRA-PR-02"),
        (lambda it: report_item(it, "study").update(subject={"reference": "Patient/x"}), "PROF-03"),
        (lambda it: report_item(it, "study")["identifier"].pop(0), "IRA-PR-03"),
        (lambda it: report_item(it, "report").update(status="final"), "IRA-PR-01"),
        (lambda it: report_item(it, "report").update(study=[]), "PROF-11"),
        (lambda it: report_item(it, "report").update(imagingStudy=[]), "PROF-08"),
        (lambda it: report_item(it, "report").update(basedOn=[], identifier=[]), "PROF-08"),
    ],
)
def test_validator_finds_faults(fault: Callable[[Json], object], row: str) -> None:
    """EVT-02, EVT-09, EVT-13, EVT-16: a check that cannot fail is none."""
    message = deepcopy(sent("DiagnosticReport-open", report_of().open_items()))
    assert violations(message) == []
    fault(message)
    assert any(it.startswith(row) for it in violations(message))


@pytest.mark.parametrize(
    ("change", "row"),
    [
        ({"type": "batch"}, "CONT-09"),
        ({"entry": [{"request": {"method": "POST", "url": "Observation/o"}}]}, "CONT-12"),
        ({"entry": [{"request": {"method": "DELETE"}}]}, "CONT-11"),
        ({"entry": [{"request": {"method": "PUT", "url": "Observation/o"}}]}, "CONT-10"),
    ],
)
def test_validator_finds_faults_of_updates(change: Json, row: str) -> None:
    """CONT-09, CONT-10, CONT-11, CONT-12."""
    context = opened(report_of())
    message = update(context, measurement(context, 8, "mm", measured_at=NOON))
    report_item(message, "updates").update(change)
    assert any(it.startswith(row) for it in violations(message))
