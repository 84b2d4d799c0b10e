"""Batch and transaction Bundles over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx
    from fhircast_demo.ehr import FhirStore

Json = dict[str, Any]


def entry(method: str, url: str, resource: Json | None = None, **request: str) -> Json:
    made: Json = {"request": {"method": method, "url": url, **request}}
    return made if resource is None else made | {"resource": resource}


def observation(**fields: Any) -> Json:
    return {"resourceType": "Observation", "status": "preliminary", **fields}


async def post(client: httpx.AsyncClient, kind: str, *entries: Json) -> httpx.Response:
    bundle = {"resourceType": "Bundle", "type": kind, "entry": list(entries)}
    return await client.post("/fhir/", json=bundle)


async def test_transaction_answers_in_the_order_it_was_asked(client: httpx.AsyncClient) -> None:
    answer = await post(
        client,
        "transaction",
        entry("GET", "Observation/o1"),
        entry("GET", "Patient?family=fictional"),
        entry("PUT", "Observation/o1", observation(id="o1")),
        entry("POST", "Observation", observation()),
        entry("DELETE", "Observation/o9"),
    )
    entries = answer.json()["entry"]
    assert answer.json()["type"] == "transaction-response"
    assert [e["response"]["status"][:3] for e in entries] == ["200", "200", "201", "201", "204"]
    assert entries[0]["resource"]["id"] == "o1"
    assert entries[1]["resource"]["total"] == 1


async def test_new_resources_can_refer_to_each_other(client: httpx.AsyncClient) -> None:
    """R4 3.1.0.11.2: a reference to a fullUrl becomes one to the id that was given."""
    study = {"resourceType": "ImagingStudy", "status": "available"}
    measured = observation(derivedFrom=[{"reference": "urn:uuid:1"}], note=[{"text": "urn:uuid:1"}])
    answer = await post(
        client,
        "transaction",
        entry("POST", "Observation", measured) | {"fullUrl": "urn:uuid:2"},
        entry("POST", "ImagingStudy", study) | {"fullUrl": "urn:uuid:1"},
    )
    urls = [e["response"]["location"].partition("/_history")[0] for e in answer.json()["entry"]]
    kept = (await client.get(urls[0])).json()
    assert urls[1].endswith(kept["derivedFrom"][0]["reference"])
    assert kept["note"] == [{"text": "urn:uuid:1"}]


@pytest.mark.parametrize(
    ("broken", "status"),
    [
        (entry("PUT", "Observation/o2", observation(id="o3")), 400),
        (entry("POST", "Foo", {"resourceType": "Foo"}), 404),
        (entry("GET", "Patient/nobody"), 404),
        (entry("GET", "Patient?colour=red"), 400),
        (entry("PUT", "Observation/o2", observation(id="o2"), ifMatch='W/"5"'), 412),
        (entry("POST", "Observation", observation(), ifNoneExist="identifier=1"), 400),
        (entry("POST", "Observation/o2", observation()), 400),
        (entry("PUT", "Observation", observation()), 400),
        (entry("PUT", "Observation/o2"), 400),
        (entry("PATCH", "Observation/o2", observation()), 400),
        (entry("DELETE", "Patient"), 400),
        ({"resource": observation()}, 400),
        ({"request": {"method": ["POST"], "url": 3}}, 400),
        (entry("PUT", "Observation/o1", observation(id="o1")), 400),
    ],
)
async def test_one_bad_entry_undoes_the_transaction(
    client: httpx.AsyncClient, store: FhirStore, broken: Json, status: int
) -> None:
    before = len(store)
    answer = await post(
        client,
        "transaction",
        entry("DELETE", "Patient/ada-fictional"),
        entry("PUT", "Observation/o1", observation(id="o1")),
        broken,
    )
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert len(store) == before
    assert (await client.get("/fhir/Patient/ada-fictional")).status_code == 200


async def test_order_completed_by_a_transaction_is_undone_with_it(
    client: httpx.AsyncClient, store: FhirStore
) -> None:
    """What the EHR does by itself belongs to the same step."""
    report = {**store.read("DiagnosticReport", "dr-chest-cr").resource, "status": "final"}
    await post(
        client,
        "transaction",
        entry("PUT", "DiagnosticReport/dr-chest-cr", report),
        entry("GET", "Patient/nobody"),
    )
    assert store.read("ServiceRequest", "sr-chest-cr").resource["status"] == "active"
    assert store.read("DiagnosticReport", "dr-chest-cr").resource["status"] == "registered"


async def test_batch_entries_stand_alone(client: httpx.AsyncClient) -> None:
    answer = await post(
        client,
        "batch",
        entry("GET", "Patient/nobody"),
        entry("PUT", "Observation/o1", observation(id="o1")),
        {"request": 3},
    )
    responses = [e["response"] for e in answer.json()["entry"]]
    assert [r["status"][:3] for r in responses] == ["404", "201", "400"]
    assert responses[0]["outcome"]["resourceType"] == "OperationOutcome"
    assert (await client.get("/fhir/Observation/o1")).status_code == 200


@pytest.mark.parametrize(
    ("bundle", "status"),
    [
        ({"resourceType": "Patient"}, 400),
        ({"resourceType": "Bundle"}, 400),
        ({"resourceType": "Bundle", "type": "document"}, 400),
        ({"resourceType": "Bundle", "type": "batch", "entry": {}}, 400),
        ({"resourceType": "Bundle", "type": "batch", "entry": [1]}, 400),
        ({"resourceType": "Bundle", "type": "batch", "entry": [{}] * 501}, 413),
        ({"resourceType": "Bundle", "type": "batch"}, 200),
    ],
)
async def test_bundle_itself_is_checked(
    client: httpx.AsyncClient, bundle: Json, status: int
) -> None:
    assert (await client.post("/fhir/", json=bundle)).status_code == status
