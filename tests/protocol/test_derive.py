"""What an open means to those who do not get it: derived opens (2.5, DER-01 … DER-04)."""

from __future__ import annotations

from uuid import UUID

import pytest
from builders import (
    ENCOUNTER,
    PATIENT,
    REPORT,
    STUDY,
    STUDY_2,
    TOPIC,
    after,
    event,
    item,
    open_case,
    open_event,
    ref,
    value,
)
from fhircast_hub.protocol.derive import contexts_of, derived_id, derived_opens, is_derived_from
from fhircast_hub.protocol.messages import EventNotification, encode_notification
from msgspec.structs import replace


def test_what_an_open_shows_stands_under_its_own_key() -> None:
    """DER-02, EVT-14: the first of each type; another type under a key is not it."""
    odd = event(
        "ImagingStudy-open",
        item(STUDY),
        item(STUDY_2),
        ref("Practitioner/x", "patient"),
        ref("Patient/other", "note"),
    )
    assert contexts_of(odd) == {"ImagingStudy": f"ImagingStudy/{STUDY['id']}"}


REPORT_ONLY = event("DiagnosticReport-open", item(REPORT), ref("Patient/pt-1", "patient"))


def keys_of(derived: EventNotification) -> list[str]:
    return [entry.key for entry in derived.context]


def names(opened: EventNotification) -> list[str]:
    return [it.name.spelling for it in derived_opens(opened)]


def test_an_open_derives_one_open_for_each_type_it_holds() -> None:
    """2.5: DER-01, D-15; the most specific last, the anchor itself not again."""
    everything = open_event(REPORT, STUDY, PATIENT, ENCOUNTER)
    assert names(everything) == ["Patient-open", "Encounter-open", "ImagingStudy-open"]
    assert names(open_event(ENCOUNTER, PATIENT)) == ["Patient-open"]
    assert names(open_event(PATIENT)) == []


def test_a_derived_open_holds_its_own_keys_only() -> None:
    """DER-04, 3.3 to 3.5: the anchor first, as it came."""
    patient, encounter, study = derived_opens(open_event(REPORT, STUDY, PATIENT, ENCOUNTER))
    assert keys_of(patient) == ["patient"]
    assert keys_of(encounter) == ["encounter", "patient"]
    assert keys_of(study) == ["study", "patient", "encounter"]
    assert value(encode_notification(study))["event"]["context"][0] == item(STUDY)


def test_a_derived_open_has_no_version() -> None:
    """DER-04: the hub's current context is not its own."""
    for it in derived_opens(open_case(1).with_versions("v1", "v0")):
        assert (it.version_id, it.prior_version_id, it.topic) == ("", "", TOPIC)


def test_of_several_studies_the_first_is_derived() -> None:
    """D-15."""
    _, study = derived_opens(open_event(REPORT, PATIENT, STUDY, STUDY_2))
    assert study.context[0].target == "ImagingStudy/is-1"
    assert keys_of(study).count("study") == 1


@pytest.mark.parametrize(
    "opened",
    [
        REPORT_ONLY,
        event("DiagnosticReport-open", item(REPORT), item(PATIENT, "subject")),
        event("Encounter-open", item(ENCOUNTER), item(STUDY, "encounter")),
        event("DiagnosticReport-open", item(REPORT), item({"resourceType": "Patient"})),
        event("Home-open"),
    ],
    ids=["reference", "subject", "another type", "no id", "home"],
)
def test_what_is_no_resource_under_its_own_key_is_not_derived(opened: EventNotification) -> None:
    """2.3: EVT-20, DER-01."""
    assert derived_opens(opened) == ()


def test_the_moment_is_that_of_the_source_written_with_z() -> None:
    """D-50: as exact as it came, in UTC."""
    source = replace(open_case(1, at=after(0.25)), timestamp="2026-03-02T13:00:00.250001+01:00")
    source = replace(source, happened_at=source.happened_at.replace(microsecond=250001))
    for it in derived_opens(source):
        assert it.timestamp == "2026-03-02T12:00:00.250001Z"
        assert it.happened_at == source.happened_at
    assert derived_opens(open_case(1))[0].timestamp == "2026-03-02T12:00:00Z"


def test_the_id_is_a_uuid_that_follows_from_the_source() -> None:
    """EVT-08, REP-03, DER-04, D-50: the same in every process, another for whatever differs."""
    source = open_case(1, id="e-1").with_versions("v1")
    again = open_case(1, id="e-1").with_versions("v1")
    ids = [it.id for it in derived_opens(source)]
    assert ids == [it.id for it in derived_opens(again)]
    others = [replace(source, id="e-2"), replace(source, topic="t"), source.with_versions("v2")]
    ids += [derived_id(it, "Patient") for it in others]
    assert len(set(ids)) == 5
    for it in ids:
        assert UUID(it).version == 5
        assert str(UUID(it)) == it


def test_an_id_tells_its_source() -> None:
    """D-28: a SyncError names the derived id; what can be resent is the source."""
    source = open_case(1).with_versions("v1")
    patient, study = derived_opens(source)
    assert is_derived_from(source, patient.id)
    assert is_derived_from(source, study.id)
    assert not is_derived_from(source, source.id)


def test_what_an_open_shows() -> None:
    """DER-02: anchor, patient, encounter and study, be they resources or references."""
    assert contexts_of(open_case(1)) == {
        "DiagnosticReport": "DiagnosticReport/dr-1",
        "Patient": "Patient/pt-1",
        "ImagingStudy": "ImagingStudy/is-1",
    }
    assert contexts_of(REPORT_ONLY)["Patient"] == "Patient/pt-1"
    assert contexts_of(event("Home-open")) == {}
