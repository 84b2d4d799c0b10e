"""What a token of the demo's server opens in FHIR and DICOMweb."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from smart_browser import Application, Json, authorized

if TYPE_CHECKING:
    import httpx
    from smart_browser import ClockAtHand

OBSERVATION: Json = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


async def header_for(
    browser: httpx.AsyncClient, scope: str, user: str = "radiologist"
) -> dict[str, str]:
    told = await authorized(browser, Application(scope=scope), user=user)
    return {"Authorization": f"Bearer {told['access_token']}"}


def transaction(*entries: Json) -> Json:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def entry(method: str, url: str, resource: Json | None = None) -> Json:
    told: Json = {"request": {"method": method, "url": url}}
    return told | ({"resource": resource} if resource else {})


@pytest.mark.parametrize("path", ["/fhir/Patient", "/fhir/Patient/x", "/dicomweb/studies"])
@pytest.mark.parametrize("header", ["", "Basic eDp5", "Bearer", "Bearer made-up"])
async def test_without_a_good_token_there_is_nothing(
    browser: httpx.AsyncClient, path: str, header: str
) -> None:
    """SMART-08: 401 as OperationOutcome, with a challenge."""
    answer = await browser.get(path, headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_an_expired_token_opens_nothing(
    browser: httpx.AsyncClient, clock: ClockAtHand
) -> None:
    """SMART-08."""
    header = await header_for(browser, "user/*.rs")
    clock.seconds += 3600
    answer = await browser.get("/fhir/Patient", headers=header)
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    ("scope", "method", "path", "allowed"),
    [
        ("user/*.rs", "GET", "/fhir/Patient", True),
        ("user/*.read", "GET", "/fhir/Patient", True),
        ("user/Patient.rs", "GET", "/fhir/Patient", True),
        ("user/Patient.r", "GET", "/fhir/Patient", False),
        ("user/Patient.s", "GET", "/fhir/Patient", True),
        ("user/Observation.rs", "GET", "/fhir/Patient", False),
        ("fhircast/*.*", "GET", "/fhir/Patient", False),
        ("user/*.rs", "POST", "/fhir/Observation", False),
        ("user/*.write", "POST", "/fhir/Observation", True),
        ("user/Observation.c", "POST", "/fhir/Observation", True),
        ("user/Observation.c", "PUT", "/fhir/Observation/o-1", True),
        ("user/Observation.u", "PUT", "/fhir/Observation/o-1", False),
        ("user/Observation.cru", "DELETE", "/fhir/Observation/o-1", False),
        ("user/*.*", "DELETE", "/fhir/Observation/o-1", True),
        ("user/ImagingStudy.rs", "GET", "/dicomweb/studies", True),
        ("user/ImagingStudy.r", "GET", "/dicomweb/studies", False),
        ("user/Patient.rs", "GET", "/dicomweb/studies", False),
    ],
)
async def test_scope_decides(
    browser: httpx.AsyncClient, scope: str, method: str, path: str, allowed: bool
) -> None:
    """SMART-08: type by type and right by right, in both spellings; 403 names what is missing."""
    header = await header_for(browser, scope)
    body = OBSERVATION | ({"id": "o-1"} if method == "PUT" else {})
    content = body if method in ("POST", "PUT") else None
    answer = await browser.request(method, path, headers=header, json=content)
    assert answer.is_success is allowed
    if not allowed:
        assert answer.status_code == 403
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
        assert "user/" in answer.json()["issue"][0]["diagnostics"]


async def test_a_bundle_gets_nothing_past_the_scopes(browser: httpx.AsyncClient) -> None:
    """SMART-08: each entry is checked; a transaction then changes nothing."""
    header = await header_for(browser, "user/Observation.cruds")
    good = entry("POST", "Observation", OBSERVATION)
    bad = entry("GET", "Patient")
    refused = await browser.post("/fhir/", json=transaction(good, bad), headers=header)
    assert refused.status_code == 403
    batch = transaction(good, bad) | {"type": "batch"}
    told = (await browser.post("/fhir/", json=batch, headers=header)).json()["entry"]
    assert [it["response"]["status"][:3] for it in told] == ["201", "403"]
    found = (await browser.get("/fhir/Observation", headers=header)).json()
    assert found["total"] == 1


@pytest.mark.parametrize(
    "query",
    [
        "ServiceRequest?_include=ServiceRequest:patient",
        "Patient?_revinclude=ServiceRequest:patient",
    ],
)
async def test_includes_get_nothing_past_the_scopes(browser: httpx.AsyncClient, query: str) -> None:
    """SMART-08: what comes along must be readable, too."""
    kind = query.partition("?")[0]
    header = await header_for(browser, f"user/{kind}.rs")
    assert (await browser.get(f"/fhir/{query}", headers=header)).status_code == 403
    header = await header_for(browser, "user/*.rs")
    assert (await browser.get(f"/fhir/{query}", headers=header)).status_code == 200


async def test_a_student_writes_nothing(browser: httpx.AsyncClient) -> None:
    """SMART-04, SMART-08: an application can do no more than its user."""
    header = await header_for(browser, "user/*.cruds", "student")
    assert (await browser.get("/fhir/Patient", headers=header)).status_code == 200
    answer = await browser.post("/fhir/Observation", json=OBSERVATION, headers=header)
    assert answer.status_code == 403
