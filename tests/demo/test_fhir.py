"""The FHIR API over HTTP: interactions, errors, limits, what it says about itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import httpx
import pytest
from fhircast_demo.ehr import FhirError, FhirStore, fhir_app
from golden import of_kind, value
from golden_table import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BASE = "http://demo.test/fhir"
SECRET = "Secret-Name-In-Body"


def observation(**fields: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "preliminary", **fields}


def outcome(response: httpx.Response, status: int) -> str:
    """Check that the answer is an OperationOutcome with this status; return its words."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/fhir+json"
    body = response.json()
    assert body["resourceType"] == "OperationOutcome"
    return str(body["issue"][0]["diagnostics"])


async def test_capability_statement_names_the_hub(client: httpx.AsyncClient) -> None:
    """CAP-01: rest carries the FHIRcast extension with one hub.url, and its form of STU2."""
    statement = (await client.get("/fhir/metadata")).json()
    extension, older = statement["rest"][0]["extension"]
    assert extension == {
        "url": "http://fhircast.hl7.org/StructureDefinition/fhircast-configuration-extension",
        "extension": [{"url": "hub.url", "valueUrl": "http://demo.test/api/hub"}],
    }
    assert older == {
        "url": "http://fhircast.hl7.org/StructureDefinition/fhircast-configuration",
        "extension": [{"url": "hub.url", "valueUri": "http://demo.test/api/hub"}],
    }
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["implementation"]["url"] == BASE


async def test_capability_statement_names_the_hub_like_the_example(
    client: httpx.AsyncClient,
) -> None:
    """CAP-01: the same extension as in the guide's own CapabilityStatement, but for the URL."""
    (path,) = of_kind(Kind.CAPABILITY)
    (example,) = value(path)["rest"][0]["extension"]
    ours, _older = (await client.get("/fhir/metadata")).json()["rest"][0]["extension"]
    example["extension"][0]["valueUrl"] = ours["extension"][0]["valueUrl"]
    assert ours == example


async def test_created_resource_can_be_read_at_its_location(client: httpx.AsyncClient) -> None:
    made = await client.post("/fhir/Observation", json=observation())
    location = made.headers["location"].partition("/_history/")[0]
    assert (made.status_code, made.headers["etag"]) == (201, 'W/"1"')
    read = await client.get(location)
    assert read.json() == made.json()
    assert read.headers["last-modified"].endswith("GMT")


async def test_put_creates_then_updates(client: httpx.AsyncClient) -> None:
    answers = [await client.put("/fhir/Observation/o1", json=observation(id="o1")) for _ in "12"]
    assert [(a.status_code, a.headers["etag"]) for a in answers] == [(201, 'W/"1"'), (200, 'W/"2"')]


async def test_stale_version_is_412_and_changes_nothing(client: httpx.AsyncClient) -> None:
    await client.put("/fhir/Observation/o1", json=observation(id="o1"))
    await client.put("/fhir/Observation/o1", json=observation(id="o1"))
    late = observation(id="o1", status="final")
    answer = await client.put("/fhir/Observation/o1", json=late, headers={"If-Match": 'W/"1"'})
    outcome(answer, 412)
    assert (await client.get("/fhir/Observation/o1")).json()["status"] == "preliminary"


async def test_unchanged_resource_is_304(client: httpx.AsyncClient) -> None:
    etag = (await client.get("/fhir/Patient/ada-fictional")).headers["etag"]
    again = await client.get("/fhir/Patient/ada-fictional", headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


async def test_deleted_resource_is_410(client: httpx.AsyncClient) -> None:
    await client.put("/fhir/Observation/o1", json=observation(id="o1"))
    assert (await client.delete("/fhir/Observation/o1")).status_code == 204
    assert (await client.delete("/fhir/Observation/never-there")).status_code == 204
    outcome(await client.get("/fhir/Observation/o1"), 410)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/fhir/Foo", 404),
        ("GET", "/fhir/Foo/1", 404),
        ("GET", "/fhir/patient", 404),
        ("GET", "/fhir/Patient/nobody", 404),
        ("GET", "/fhir/Patient/ada-fictional/_history", 404),
        ("PATCH", "/fhir/Patient/ada-fictional", 405),
        ("DELETE", "/fhir/Foo/1", 404),
        ("GET", "/fhir/Patient?_format=xml", 406),
    ],
)
async def test_what_is_not_here(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    outcome(await client.request(method, path), status)


async def test_unknown_parameter_is_named(client: httpx.AsyncClient) -> None:
    words = outcome(await client.get("/fhir/ServiceRequest?colour=red"), 400)
    assert "'colour'" in words
    assert "red" not in words.replace("authored", "")


@pytest.mark.parametrize(
    "body",
    [
        f'{{"resourceType": "Observation", "x": "{SECRET}"',
        f'["{SECRET}"]',
        f'"{SECRET}"',
        "",
        "null",
        f'{{"resourceType": "Patient", "x": "{SECRET}"}}',
        f'{{"x": "{SECRET}"}}',
        f'{{"resourceType": "Observation", "meta": "{SECRET}"}}',
        '{"resourceType": "Observation", "value": NaN}',
        '{"resourceType": "Observation", "value": 1e999}',
        '{"resourceType": "Observation", "value": "\\ud800"}',
        '{"resourceType": "Observation", "value": ' + "[" * 100 + "]" * 100 + "}",
        "[" * 50_000,
        "9" * 5_000,
        "\x00\xff",
    ],
)
async def test_broken_bodies_are_400_without_echo(client: httpx.AsyncClient, body: str) -> None:
    """No error text repeats what the body said: it may be a patient's data."""
    headers = {"Content-Type": "application/fhir+json"}
    answer = await client.post("/fhir/Observation", content=body, headers=headers)
    outcome(answer, 400)
    assert SECRET not in answer.text


@pytest.mark.parametrize("body", [observation(), observation(id="other"), observation(id=7)])
async def test_id_in_the_body_must_be_that_of_the_url(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    outcome(await client.put("/fhir/Observation/o1", json=body), 400)


async def test_large_body_is_413_with_and_without_a_length(client: httpx.AsyncClient) -> None:
    body = json.dumps(observation(note="x" * 200_000)).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    headers = {"Content-Type": "application/json"}
    outcome(await client.post("/fhir/Observation", content=body, headers=headers), 413)
    outcome(await client.post("/fhir/Observation", content=chunks(), headers=headers), 413)


async def test_other_media_types_are_415(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/fhir+xml"}
    outcome(await client.post("/fhir/Patient", content="<Patient/>", headers=headers), 415)


async def test_conditional_create_is_refused_not_ignored(client: httpx.AsyncClient) -> None:
    headers = {"If-None-Exist": "identifier=1"}
    outcome(await client.post("/fhir/Observation", json=observation(), headers=headers), 400)


async def test_worklist_in_one_request(client: httpx.AsyncClient) -> None:
    """The README's worklist query: orders first, then whom and what they are about."""
    query = (
        "/fhir/ServiceRequest?status=active&_sort=authored&_include=ServiceRequest:patient"
        "&_revinclude=ImagingStudy:basedon&_revinclude=DiagnosticReport:based-on"
    )
    bundle = (await client.get(query)).json()
    modes = [(e["search"]["mode"], e["resource"]["resourceType"]) for e in bundle["entry"]]
    assert bundle["total"] == modes.count(("match", "ServiceRequest")) == 5
    assert modes.count(("include", "Patient")) == 5
    assert modes.count(("include", "ImagingStudy")) == 5
    assert modes.count(("include", "DiagnosticReport")) == 5


async def test_pages_are_followed_by_their_links(client: httpx.AsyncClient) -> None:
    url, seen = f"{BASE}/Patient?_count=2&_sort=_id", []
    while url:
        bundle = (await client.get(url)).json()
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        assert links["self"] == url
        seen += [entry["fullUrl"] for entry in bundle["entry"]]
        url = links.get("next", "")
    assert len(seen) == len(set(seen)) == bundle["total"] == 5
    assert (await client.get(seen[0])).status_code == 200


async def test_empty_result_is_a_bundle_without_entries(client: httpx.AsyncClient) -> None:
    bundle = (await client.get("/fhir/Observation")).json()
    assert bundle["total"] == 0
    assert "entry" not in bundle


async def test_search_by_form(client: httpx.AsyncClient) -> None:
    form = {"gender": "male", "_sort": "family"}
    bundle = (await client.post("/fhir/Patient/_search", data=form)).json()
    assert [e["resource"]["id"] for e in bundle["entry"]] == ["dario-imaginary", "bruno-madeup"]


async def test_poller_sees_the_order_completed(client: httpx.AsyncClient) -> None:
    """A report that becomes final changes the worklist row for everyone who polls."""
    orders = (await client.get("/fhir/ServiceRequest?_sort=-_lastUpdated&_count=1")).json()
    newest = orders["entry"][0]["resource"]["meta"]["lastUpdated"]
    report = (await client.get("/fhir/DiagnosticReport/dr-chest-cr")).json()
    await client.put("/fhir/DiagnosticReport/dr-chest-cr", json={**report, "status": "final"})
    poll = await client.get("/fhir/ServiceRequest", params={"_lastUpdated": f"gt{newest}"})
    (entry,) = poll.json()["entry"]
    assert (entry["resource"]["id"], entry["resource"]["status"]) == ("sr-chest-cr", "completed")


async def test_links_follow_the_address_that_was_asked(client: httpx.AsyncClient) -> None:
    answer = await client.get("https://ehr.example.org/fhir/Patient/_search")
    assert answer.status_code == 404  # read of an id, GET has no _search
    bundle = (await client.get("https://ehr.example.org:8443/fhir/Patient?_count=1")).json()
    assert bundle["entry"][0]["fullUrl"].startswith("https://ehr.example.org:8443/fhir/Patient/")


async def test_full_store_is_507() -> None:
    app = fhir_app(FhirStore(max_resources=0))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        words = outcome(await client.post("http://demo.test/Observation", json=observation()), 507)
    assert "0 resources" in words


async def test_authorize_guards_all_but_metadata() -> None:
    def refuse(_request: object) -> NoReturn:
        raise FhirError(401, "login", "a token is needed", {"WWW-Authenticate": "Bearer"})

    security = {"service": [{"text": "SMART"}]}
    app = fhir_app(FhirStore(), security=security, authorize=refuse)
    root = "http://demo.test"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=root) as client:
        refused = [
            await client.get("/Patient"),
            await client.get("/Patient/1"),
            await client.post("/", json={}),
        ]
        open_page = await client.get("/metadata")
    assert [answer.headers["www-authenticate"] for answer in refused] == ["Bearer"] * 3
    assert [answer.status_code for answer in refused] == [401] * 3
    assert open_page.json()["rest"][0]["security"] == security
