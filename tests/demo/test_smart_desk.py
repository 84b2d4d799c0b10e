"""Signing in to the demo, and what the EHR's page is told."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from smart_browser import FHIR, HUB_URL, sign_in

if TYPE_CHECKING:
    import httpx
    from smart_browser import ClockAtHand


async def test_the_ehr_page_needs_a_sign_in(browser: httpx.AsyncClient) -> None:
    """SMART-01: the EHR launches for somebody."""
    page = await browser.get("/")
    assert (page.status_code, page.headers["location"]) == (303, "/login?next=/")
    assert (await browser.get("/ehr/session")).status_code == 401
    assert (await browser.post("/ehr/own-client")).status_code == 401
    await sign_in(browser)
    assert (await browser.get("/")).status_code == 200


async def test_sign_in_sets_a_cookie_that_scripts_and_other_sites_do_not_get(
    browser: httpx.AsyncClient,
) -> None:
    """SEC-01: the session is as good as its cookie."""
    answer = await browser.post("/login", data={"user": "radiologist", "next": "/viewer?a=b"})
    assert answer.headers["location"] == "/viewer?a=b"
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("fhircast_demo_session=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


@pytest.mark.parametrize(
    "target", ["http://evil.example.org/", "//evil.example.org", "/\\evil.example.org", "", "/\n"]
)
async def test_sign_in_leads_nowhere_else(browser: httpx.AsyncClient, target: str) -> None:
    """SMART-01: next is a path of the demo; the page forgets any other one."""
    answer = await browser.post("/login", data={"user": "radiologist", "next": target})
    assert (answer.status_code, "set-cookie" in answer.headers) == (400, False)
    page = await browser.get("/login", params={"next": target})
    assert 'name="next" value="/"' in page.text


@pytest.mark.parametrize("path", ["/login", "/logout", "/ehr/own-client"])
async def test_forms_of_other_pages_do_nothing(browser: httpx.AsyncClient, path: str) -> None:
    """SMART-01: nobody is signed in, signed out or given a token from elsewhere."""
    await sign_in(browser)
    headers = {"Origin": "http://evil.example.org"}
    answer = await browser.post(path, data={"user": "student", "next": "/"}, headers=headers)
    assert answer.status_code == 403
    told = (await browser.get("/ehr/session")).json()
    assert told["user"]["id"] == "radiologist"


@pytest.mark.parametrize("form", [{"user": "nobody"}, {}, {"user": ["student", "radiologist"]}])
async def test_only_the_made_up_people_sign_in(
    browser: httpx.AsyncClient, form: dict[str, str]
) -> None:
    """SMART-01."""
    assert (await browser.post("/login", data=form)).status_code == 400


async def test_the_page_is_told_the_session_and_launches(browser: httpx.AsyncClient) -> None:
    """SMART-01, SEC-01: a UUIDv4 topic; each application with its launch; new ones each time."""
    told = await sign_in(browser)
    assert told["user"] == {"id": "radiologist", "name": "Dr. Ada Reader"}
    assert (told["iss"], told["hub.url"]) == (FHIR, HUB_URL)
    assert UUID(told["hub.topic"]).version == 4
    viewer = told["apps"]["viewer"]
    query = parse_qs(urlsplit(viewer["url"]).query)
    assert query == {"iss": [FHIR], "launch": [viewer["launch"]]}
    assert viewer["client_id"] == "demo-viewer"
    again = await browser.get("/ehr/session")
    assert again.headers["cache-control"] == "no-store"
    assert again.json()["apps"]["viewer"]["launch"] != viewer["launch"]
    assert again.json()["hub.topic"] == told["hub.topic"]


async def test_every_sign_in_has_its_own_topic_and_ends_the_one_before(
    browser: httpx.AsyncClient,
) -> None:
    """SEC-01: two sessions never share one."""
    first = await sign_in(browser)
    cookie = browser.cookies["fhircast_demo_session"]
    second = await sign_in(browser, "student")
    assert first["hub.topic"] != second["hub.topic"]
    browser.cookies.clear()
    old = {"Cookie": f"fhircast_demo_session={cookie}"}
    assert (await browser.get("/ehr/session", headers=old)).status_code == 401


async def test_sign_out_and_time_end_the_session(
    browser: httpx.AsyncClient, clock: ClockAtHand
) -> None:
    """SEC-01: on the server, whatever the browser keeps."""
    await sign_in(browser)
    cookie = {"Cookie": f"fhircast_demo_session={browser.cookies['fhircast_demo_session']}"}
    assert (await browser.post("/logout")).headers["location"] == "/login"
    assert (await browser.get("/ehr/session", headers=cookie)).status_code == 401
    await sign_in(browser)
    clock.seconds += 12 * 3600
    assert (await browser.get("/ehr/session")).status_code == 401


@pytest.mark.parametrize(
    ("user", "scope"),
    [("radiologist", "fhircast/*.* user/*.cruds"), ("student", "fhircast/*.read user/*.rs")],
)
async def test_a_client_of_ones_own_gets_what_its_user_may(
    browser: httpx.AsyncClient, user: str, scope: str
) -> None:
    """SMART-03, SMART-04: token, session and the places to use it at."""
    session = await sign_in(browser, user)
    told = (await browser.post("/ehr/own-client")).json()
    assert told["scope"] == scope
    assert told["hub.topic"] == session["hub.topic"]
    header = {"Authorization": f"Bearer {told['access_token']}"}
    for url in (f"{told['fhirBaseUrl']}/Patient", f"{told['dicomwebUrl']}/studies"):
        assert (await browser.get(url, headers=header)).status_code == 200


async def test_there_is_one_spelling_of_the_address(browser: httpx.AsyncClient) -> None:
    """SMART-05: cookie, redirect URIs and aud agree; other names are sent there or refused."""
    other = {"Host": "localhost:8000"}
    page = await browser.get("/viewer?iss=x", headers=other)
    assert page.headers["location"] == "http://demo.test/viewer?iss=x"
    answer = await browser.post("/login", data={"user": "student"}, headers=other)
    assert answer.status_code == 421


async def test_there_are_no_launch_values_without_a_sign_in(browser: httpx.AsyncClient) -> None:
    """SMART-03: nobody gets a token for the asking."""
    for path in ("/launch", "/launch/viewer"):
        assert (await browser.get(path)).status_code == 404
