"""FHIR search with plain values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from fhircast_demo.ehr import dates
from fhircast_demo.ehr.errors import FhirError, Json
from fhircast_demo.ehr.search import search
from fhircast_demo.ehr.store import FhirStore

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def ticking() -> FhirStore:
    minutes = count()
    return FhirStore(now=lambda: NOON + timedelta(minutes=next(minutes)))


def put(store: FhirStore, kind: str, resource_id: str, **fields: object) -> None:
    store.update(kind, resource_id, {"resourceType": kind, "id": resource_id, **fields})


def worklist() -> FhirStore:
    """Two patients; orders o1 (12:02), o2 (12:03), o3 (12:04); one study (12:05)."""
    store = ticking()
    put(store, "Patient", "p1", name=[{"family": "Fictional", "given": ["Ada"]}])
    put(store, "Patient", "p2", birthDate="1970-05-06")
    acsn: Json = {"type": {"coding": [{"code": "ACSN"}]}, "system": "urn:acc", "value": "A1"}
    put(
        store,
        "ServiceRequest",
        "o1",
        status="active",
        subject={"reference": "Patient/p1"},
        identifier=[acsn],
        authoredOn="2026-03-02T08:00:00+01:00",
    )
    put(
        store,
        "ServiceRequest",
        "o2",
        status="active",
        subject={"reference": "Patient/p2"},
        identifier=[{"value": "A1"}],
        authoredOn="2026-03-02T07:30:00Z",
    )
    put(
        store,
        "ServiceRequest",
        "o3",
        status="completed",
        subject={"reference": "http://x/fhir/Patient/p1"},
    )
    put(
        store,
        "ImagingStudy",
        "s1",
        basedOn=[{"reference": "ServiceRequest/o1"}],
        subject={"reference": "Patient/p1"},
        modality=[{"system": "dcm", "code": "MR"}],
    )
    put(
        store,
        "DiagnosticReport",
        "r1",
        imagingStudy=[{"reference": "ImagingStudy/s1"}],
        basedOn=[{"identifier": acsn, "reference": "ServiceRequest/o1"}],
    )
    return store


def found(store: FhirStore, kind: str, *query: tuple[str, str]) -> list[str]:
    return [item.resource["id"] for item in search(store, kind, query).matches]


@pytest.mark.parametrize(
    ("name", "value", "ids"),
    [
        ("status", "active", ["o1", "o2"]),
        ("status", "active,completed", ["o1", "o2", "o3"]),
        ("status:not", "completed", ["o1", "o2"]),
        ("patient", "p1", ["o1", "o3"]),
        ("patient", "Patient/p1", ["o1", "o3"]),
        ("patient", "http://x/fhir/Patient/p2", ["o2"]),
        ("patient", "Group/p1", []),
        ("subject:Patient", "p2", ["o2"]),
        ("subject:Group", "p2", []),
        ("identifier", "A1", ["o1", "o2"]),
        ("identifier", "urn:acc|A1", ["o1"]),
        ("identifier", "|A1", ["o2"]),
        ("identifier", "urn:acc|", ["o1"]),
        ("accession", "urn:acc|A1", ["o1"]),
        ("identifier", "a1", []),
        ("_id", "o2,o3", ["o2", "o3"]),
        ("authored", "2026-03-02", ["o1", "o2"]),
        ("authored", "lt2026-03-02T07:15:00Z", ["o1"]),
    ],
)
def test_service_request_is_found(name: str, value: str, ids: list[str]) -> None:
    assert found(worklist(), "ServiceRequest", (name, value)) == ids


@pytest.mark.parametrize(
    ("kind", "name", "value", "ids"),
    [
        ("Patient", "name", "fict", ["p1"]),
        ("Patient", "given", "ADA", ["p1"]),
        ("Patient", "family:exact", "fictional", []),
        ("Patient", "family:contains", "TION", ["p1"]),
        ("Patient", "birthdate", "ge1970-05", ["p2"]),
        ("ImagingStudy", "modality", "dcm|MR", ["s1"]),
        ("ImagingStudy", "basedon", "ServiceRequest/o1", ["s1"]),
        ("DiagnosticReport", "study", "s1", ["r1"]),
        ("DiagnosticReport", "based-on", "ServiceRequest/o1", ["r1"]),
        ("DiagnosticReport", "based-on:identifier", "urn:acc|A1", ["r1"]),
        ("DiagnosticReport", "accession", "A1", ["r1"]),
        ("DiagnosticReport", "accession", "A2", []),
    ],
)
def test_other_types_are_found(kind: str, name: str, value: str, ids: list[str]) -> None:
    assert found(worklist(), kind, (name, value)) == ids


@pytest.mark.parametrize(
    ("limits", "ids"),
    [
        (["gt2026-03-02T12:03:00.000Z"], ["o3"]),
        (["ge2026-03-02T12:03:00.000Z"], ["o2", "o3"]),
        (["le2026-03-02T12:03:00.000Z"], ["o1", "o2"]),
        (["lt2026-03-02T12:03:00.000Z"], ["o1"]),
        (["eq2026-03-02T12:03"], ["o2"]),
        (["2026-03-02T12:03"], ["o2"]),
        (["ne2026-03-02T12:03"], ["o1", "o3"]),
        (["gt2026-03-02T12:02:00Z", "lt2026-03-02T12:04:00Z"], ["o2"]),
        (["ge2026-03-02T13:03:00+01:00"], ["o2", "o3"]),
        (["ge2026-03-02T13:03:00 01:00"], ["o2", "o3"]),
    ],
)
def test_last_updated(limits: list[str], ids: list[str]) -> None:
    query = [("_lastUpdated", limit) for limit in limits]
    assert found(worklist(), "ServiceRequest", *query) == ids


def test_and_between_parameters() -> None:
    assert found(worklist(), "ServiceRequest", ("status", "active"), ("patient", "p1")) == ["o1"]


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("_lastUpdated", ["o1", "o2", "o3"]),
        ("-_lastUpdated", ["o3", "o2", "o1"]),
        ("authored", ["o1", "o2", "o3"]),
        ("-authored", ["o2", "o1", "o3"]),
        ("-status,-_id", ["o3", "o2", "o1"]),
    ],
)
def test_sort_by_the_moment_not_the_text(order: str, ids: list[str]) -> None:
    """08:00+01:00 is before 07:30Z; what has no value comes last."""
    assert found(worklist(), "ServiceRequest", ("_sort", order)) == ids


def test_pages_cover_everything_once() -> None:
    store, query, seen = worklist(), [("_count", "2")], []
    first = search(store, "ServiceRequest", query)
    assert (first.total, first.next_query) == (3, "_count=2&_offset=2")
    second = search(store, "ServiceRequest", [("_count", "2"), ("_offset", "2")])
    seen = [item.resource["id"] for page in (first, second) for item in page.matches]
    assert (seen, second.next_query) == (["o1", "o2", "o3"], None)


def test_count_zero_gives_only_the_total() -> None:
    page = search(worklist(), "ServiceRequest", [("_count", "0")])
    assert (page.total, page.matches, page.next_query) == (3, (), None)


def test_include_brings_each_companion_once() -> None:
    page = search(worklist(), "ServiceRequest", [("_include", "ServiceRequest:patient")])
    assert [item.key for item in page.included] == [("Patient", "p1"), ("Patient", "p2")]
    assert page.total == 3


def test_revinclude_brings_what_refers_to_the_matches() -> None:
    query = [("_revinclude", "ImagingStudy:basedon"), ("_revinclude", "DiagnosticReport:based-on")]
    page = search(worklist(), "ServiceRequest", query)
    assert [item.key for item in page.included] == [
        ("ImagingStudy", "s1"),
        ("DiagnosticReport", "r1"),
    ]


def test_include_can_name_a_target_type() -> None:
    query = [("_include", "ServiceRequest:subject:Group")]
    assert search(worklist(), "ServiceRequest", query).included == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("colour", "red"),
        ("status:above", "x"),
        ("status", ""),
        ("_lastUpdated", "yesterday"),
        ("_lastUpdated", "gt2026-13-01"),
        ("_lastUpdated", "gt2026-03-02T25:00:00Z"),
        ("_lastUpdated:exact", "2026"),
        ("_count", "-1"),
        ("_count", "many"),
        ("_count", "9" * 30),
        ("_offset", "9999999"),
        ("_sort", "colour"),
        ("_sort", ""),
        ("_include", "ServiceRequest"),
        ("_include", "ServiceRequest:status"),
        ("_include:iterate", "ServiceRequest:patient"),
        ("patient:missing", "true"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(name: str, value: str) -> None:
    """An ignored parameter would show a reader the wrong list."""
    with pytest.raises(FhirError) as caught:
        search(worklist(), "ServiceRequest", [(name, value)])
    assert caught.value.status == 400
    assert name.partition(":")[0].lstrip("_") in caught.value.diagnostics or name == "_sort"


def test_unknown_types_are_404() -> None:
    for query in ([], [("_revinclude", "Foo:subject")]):
        with pytest.raises(FhirError) as caught:
            search(worklist(), "Patient" if query else "Foo", query)
        assert caught.value.status == 404


def test_odd_resources_do_not_break_a_search() -> None:
    """Resources are plain JSON: a field may hold anything."""
    store = ticking()
    odd: list[object] = [7, None, True, "x", [], {}, [[1]], [{"coding": [None, 3]}], {"value": 5}]
    for number, value in enumerate(odd):
        fields = dict.fromkeys(("identifier", "subject", "code", "authoredOn", "basedOn"), value)
        put(store, "ServiceRequest", f"o{number}", **fields)
    names = ("identifier", "subject", "patient", "code", "authored", "based-on")
    values = ("2026", "2026|x")
    for name in names:
        value = values[0] if name == "authored" else values[1]
        assert found(store, "ServiceRequest", (name, value)) == []
        assert len(found(store, "ServiceRequest", ("_sort", name))) == len(odd)
    assert search(store, "ServiceRequest", [("_include", "ServiceRequest:subject")]).included == ()


@pytest.mark.parametrize(
    ("text", "low", "seconds"),
    [
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC), 86400),
        ("2026-12", datetime(2026, 12, 1, tzinfo=UTC), 31 * 86400),
        ("2026", datetime(2026, 1, 1, tzinfo=UTC), 365 * 86400),
        ("2026-03-02T12:00", NOON, 60),
        ("2026-03-02T12:00:00Z", NOON, 1),
        ("2026-03-02T12:00:00.5Z", NOON + timedelta(milliseconds=500), 0.1),
        ("2026-03-02T12:00:00.123456789Z", NOON + timedelta(microseconds=123456), 1e-6),
        ("2026-03-02T07:30:00-04:30", NOON, 1),
    ],
)
def test_dates_are_intervals(text: str, low: datetime, seconds: float) -> None:
    """R4 3.1.1.4.5: a date stands for all the moments it can mean."""
    interval = dates.parse(text)
    assert interval is not None
    assert interval.low == low
    assert (interval.high - interval.low).total_seconds() == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "26",
        "2026-02-30",
        "2026-03-02T",
        "2026-03-02T12",
        "9999-12-31T23:59:60Z",
        "9999",
        "0000",
    ],
)
def test_no_dates(text: str) -> None:
    assert dates.parse(text) is None
