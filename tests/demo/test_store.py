"""The resource store with plain values: versions, bounds, atomic steps, the finished report."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fhircast_demo.ehr.errors import FhirError, Json
from fhircast_demo.ehr.r4_types import R4_TYPES
from fhircast_demo.ehr.store import FhirStore

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
ACSN: Json = {"system": "urn:oid:2.999.1.6", "value": "A1"}


def empty(max_resources: int = 100) -> FhirStore:
    return FhirStore(now=lambda: NOON, max_resources=max_resources)


def order(order_id: str = "o1") -> Json:
    return {
        "resourceType": "ServiceRequest",
        "id": order_id,
        "status": "active",
        "identifier": [ACSN],
    }


def report(status: str, based_on: object) -> Json:
    return {"resourceType": "DiagnosticReport", "id": "r1", "status": status, "basedOn": based_on}


def test_r4_has_all_its_types() -> None:
    """R4 (4.0.1) has 148 resource types; two of them (Resource, DomainResource) are abstract."""
    assert len(R4_TYPES) == 146
    assert {"Patient", "ImagingStudy", "VisionPrescription"} <= R4_TYPES
    assert "ImagingSelection" not in R4_TYPES


def test_create_gives_an_id_and_version_one() -> None:
    item = empty().create("Patient", {"resourceType": "Patient", "id": "mine"})
    assert item.resource["id"] != "mine"
    assert item.resource["meta"] == {"versionId": "1", "lastUpdated": "2026-03-02T12:00:00.123Z"}


def test_update_counts_versions_and_keeps_tags() -> None:
    store = empty()
    tagged = {"resourceType": "Patient", "id": "p", "meta": {"tag": [{"code": "x"}]}}
    assert store.update("Patient", "p", tagged)[1] is True
    item, created = store.update("Patient", "p", tagged)
    assert (created, item.version) == (False, 2)
    assert item.resource["meta"]["tag"] == [{"code": "x"}]


def test_last_updated_never_repeats() -> None:
    """A poller that asks for newer than the newest it saw must miss nothing."""
    store = empty()
    stamps = [store.create("Patient", {"resourceType": "Patient"}).last_updated for _ in range(5)]
    assert sorted(set(stamps)) == stamps


@pytest.mark.parametrize("tag", ['W/"2"', '"2"', "2", 'W/"7", W/"2"', "*"])
def test_if_match_of_the_current_version_is_accepted(tag: str) -> None:
    store = empty()
    store.update("ServiceRequest", "o1", order())
    store.update("ServiceRequest", "o1", order())
    assert store.update("ServiceRequest", "o1", order(), if_match=tag)[0].version == 3


@pytest.mark.parametrize("tag", ['W/"2"', "*", "nonsense"])
def test_if_match_of_something_absent_is_412(tag: str) -> None:
    with pytest.raises(FhirError) as caught:
        empty().update("ServiceRequest", "o1", order(), if_match=tag)
    assert caught.value.status == 412


def test_deleted_is_gone_and_its_versions_go_on() -> None:
    store = empty()
    store.update("ServiceRequest", "o1", order())
    store.delete("ServiceRequest", "o1")
    with pytest.raises(FhirError) as caught:
        store.read("ServiceRequest", "o1")
    assert caught.value.status == 410
    assert store.update("ServiceRequest", "o1", order())[0].version == 2
    assert store.read("ServiceRequest", "o1").version == 2


def test_full_store_refuses_new_but_takes_updates() -> None:
    store = empty(max_resources=1)
    store.update("ServiceRequest", "o1", order())
    with pytest.raises(FhirError) as caught:
        store.create("Patient", {"resourceType": "Patient"})
    assert caught.value.status == 507
    assert store.update("ServiceRequest", "o1", order())[0].version == 2


def test_what_was_given_may_change_afterwards() -> None:
    store, given = empty(), order()
    store.update("ServiceRequest", "o1", given)
    given["identifier"].clear()
    assert store.read("ServiceRequest", "o1").resource["identifier"] == [ACSN]


@pytest.mark.parametrize("resource_id", ["", "a b", "a/b", "x" * 65, "ä"])
def test_illegal_ids_are_refused(resource_id: str) -> None:
    with pytest.raises(FhirError) as caught:
        empty().update("ServiceRequest", resource_id, order(resource_id))
    assert caught.value.status == 400


@pytest.mark.parametrize("status", ["final", "amended", "corrected", "appended"])
def test_finished_report_completes_its_order(status: str) -> None:
    """The worklist row of a reported case changes for everybody who polls."""
    store = empty()
    before = store.update("ServiceRequest", "o1", order())[0]
    store.update("DiagnosticReport", "r1", report(status, [{"reference": "ServiceRequest/o1"}]))
    after = store.read("ServiceRequest", "o1")
    assert after.resource["status"] == "completed"
    assert after.last_updated > before.last_updated


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "http://demo.test/fhir/ServiceRequest/o1"},
        {"type": "ServiceRequest", "identifier": ACSN},
    ],
)
def test_order_is_found_by_url_or_accession_number(reference: Json) -> None:
    """PROF-08: basedOn may carry only the accession number."""
    store = empty()
    store.update("ServiceRequest", "o1", order())
    store.update("DiagnosticReport", "r1", report("final", [reference]))
    assert store.read("ServiceRequest", "o1").resource["status"] == "completed"


@pytest.mark.parametrize("status", ["registered", "preliminary", "cancelled"])
def test_unfinished_report_leaves_its_order(status: str) -> None:
    store = empty()
    store.update("ServiceRequest", "o1", order())
    store.update("DiagnosticReport", "r1", report(status, [{"reference": "ServiceRequest/o1"}]))
    assert store.read("ServiceRequest", "o1").version == 1


@pytest.mark.parametrize(
    "based_on",
    [
        None,
        "ServiceRequest/o1",
        [None, 3, {}],
        [{"reference": 7}],
        [{"identifier": {"system": "urn:oid:2.999.1.6"}}],
        [{"identifier": {"system": "urn:other", "value": "A1"}}],
        [{"reference": "CarePlan/o1"}],
    ],
)
def test_report_based_on_something_else_completes_nothing(based_on: object) -> None:
    store = empty()
    store.update("ServiceRequest", "o1", order())
    store.update("DiagnosticReport", "r1", report("final", based_on))
    assert store.read("ServiceRequest", "o1").version == 1


def test_atomic_block_undoes_everything() -> None:
    store = empty()
    store.update("ServiceRequest", "o1", order())

    def fail_half_way() -> None:
        with store.atomic():
            store.delete("ServiceRequest", "o1")
            store.create("Patient", {"resourceType": "Patient"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert store.read("ServiceRequest", "o1").version == 1
    assert len(store) == 1
