"""The authorization endpoint of the demo: who gets a code, and what is told to whom does not."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from smart_browser import (
    FHIR,
    ORIGIN,
    Application,
    answer_of,
    consent,
    consent_form,
    sign_in,
)

if TYPE_CHECKING:
    import httpx
    from smart_browser import ClockAtHand

VIEWER = Application("demo-viewer", f"{ORIGIN}/viewer", "launch fhircast/*.read user/*.rs")


async def launch_of(browser: httpx.AsyncClient, app: str = "viewer") -> str:
    session = (await browser.get("/ehr/session")).json()
    return str(session["apps"][app]["launch"])


async def test_ehr_launch_gives_a_code_without_asking_the_user(browser: httpx.AsyncClient) -> None:
    """SMART-01: the EHR has vouched for the application; code and state come back."""
    await sign_in(browser)
    query = VIEWER.query(launch=await launch_of(browser))
    told = answer_of(await browser.get("/auth/authorize", params=query))
    assert set(told) == {"code", "state"}
    assert told["state"] == VIEWER.state


async def test_standalone_launch_signs_in_asks_and_gives_a_code(browser: httpx.AsyncClient) -> None:
    """SMART-01: without a session the request is gone on with after the sign-in."""
    app = Application(scope="fhircast/Patient-open.read user/Patient.rs")
    first = await browser.get("/auth/authorize", params=app.query())
    sign_in_page = await browser.get(first.headers["location"])
    form = consent_form(sign_in_page.text) | {"user": "radiologist"}
    after = await browser.post("/login", data=form)
    page = await browser.get(after.headers["location"])
    assert "be told of Patient-open" in page.text
    assert "code" in answer_of(await browser.post("/auth/consent", data=consent_form(page.text)))


async def test_user_may_say_no(browser: httpx.AsyncClient) -> None:
    """SMART-01: access_denied goes back, with the state."""
    await sign_in(browser)
    app = Application()
    told = await consent(browser, app.query(), "deny")
    assert (told["error"], told["state"]) == ("access_denied", app.state)
    assert "code" not in told


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "stranger"},
        {"client_id": None},
        {"client_id": "demo-service"},
        {"redirect_uri": "http://127.0.0.1:9999/callback/"},
        {"redirect_uri": "http://evil.example.org/"},
        {"redirect_uri": f"{ORIGIN}/viewer"},
        {"redirect_uri": None},
        {"redirect_uri": ""},
    ],
)
async def test_wrong_client_or_redirect_is_shown_and_never_sent_on(
    browser: httpx.AsyncClient, changed: dict[str, str | None]
) -> None:
    """SMART-05: redirect URIs are compared to the letter; an error page, no redirect."""
    await sign_in(browser)
    page = await browser.get("/auth/authorize", params=Application().query(**changed))
    assert page.status_code == 400
    assert "location" not in page.headers
    assert "This cannot go on" in page.text


@pytest.mark.parametrize(
    ("changed", "error", "field"),
    [
        ({"response_type": "token"}, "unsupported_response_type", "response_type"),
        ({"response_type": None}, "unsupported_response_type", "response_type"),
        ({"state": None}, "invalid_request", "state"),
        ({"state": "x" * 2049}, "invalid_request", "state"),
        ({"aud": None}, "invalid_request", "aud"),
        ({"aud": f"{FHIR}/"}, "invalid_request", "aud"),
        ({"aud": "http://other.example.org/fhir"}, "invalid_request", "aud"),
        ({"code_challenge_method": "plain"}, "invalid_request", "code_challenge_method"),
        ({"code_challenge_method": None}, "invalid_request", "code_challenge_method"),
        ({"code_challenge": None}, "invalid_request", "code_challenge"),
        ({"code_challenge": "too-short"}, "invalid_request", "code_challenge"),
        ({"scope": None}, "invalid_scope", "scope"),
        ({"scope": "patient/*.read system/*.rs"}, "invalid_scope", "scope"),
        ({"scope": " ".join(f"s{n}" for n in range(101))}, "invalid_scope", "scope"),
        ({"launch": "made-up"}, "invalid_request", "launch"),
    ],
)
async def test_other_mistakes_are_told_to_the_application(
    browser: httpx.AsyncClient, changed: dict[str, str | None], error: str, field: str
) -> None:
    """SMART-05: S256, state and exact aud are needed; the reason names the parameter."""
    await sign_in(browser)
    app = Application()
    query = app.query(**changed)
    told = answer_of(await browser.get("/auth/authorize", params=query))
    assert told["error"] == error
    assert told["error_description"].startswith(field)
    assert told.get("state") == query.get("state")
    assert "code" not in told


async def test_a_parameter_that_comes_twice_is_refused(browser: httpx.AsyncClient) -> None:
    """SMART-05: nobody may guess which redirect URI was meant."""
    query = urlencode(Application().query())
    page = await browser.get(f"/auth/authorize?{query}&redirect_uri=http://evil.example.org/")
    assert (page.status_code, "location" in page.headers) == (400, False)


async def test_launch_works_once_and_for_its_application_only(browser: httpx.AsyncClient) -> None:
    """SMART-01: a launch id is bound to one application and used up by it."""
    await sign_in(browser)
    launch = await launch_of(browser, "worklist")
    query = VIEWER.query(launch=launch)
    assert "error" in answer_of(await browser.get("/auth/authorize", params=query))
    worklist = Application("demo-worklist", f"{ORIGIN}/worklist", "launch fhircast/*.read")
    query = worklist.query(launch=launch)
    assert "code" in answer_of(await browser.get("/auth/authorize", params=query))
    assert "error" in answer_of(await browser.get("/auth/authorize", params=query))


async def test_launch_is_bound_to_its_sign_in_and_short(
    browser: httpx.AsyncClient, clock: ClockAtHand
) -> None:
    """SMART-01: another session, or none, cannot use it; neither can anybody later."""
    await sign_in(browser)
    old = await launch_of(browser)
    await sign_in(browser)
    late = await launch_of(browser)
    clock.seconds += 121
    for launch in (old, late):
        told = answer_of(await browser.get("/auth/authorize", params=VIEWER.query(launch=launch)))
        assert told["error"] == "invalid_request"


async def test_consent_needs_the_page_the_session_and_happens_once(
    browser: httpx.AsyncClient,
) -> None:
    """SMART-01: a form from elsewhere, a wrong token or a second answer hands nothing out."""
    await sign_in(browser)
    page = await browser.get("/auth/authorize", params=Application().query())
    form = consent_form(page.text)
    foreign = {"Origin": "http://evil.example.org"}
    refused = [
        await browser.post("/auth/consent", data=form, headers=foreign),
        await browser.post("/auth/consent", data=form | {"csrf": "wrong"}),
        await browser.post("/auth/consent", data=form, headers={"Cookie": ""}),
        await browser.post("/auth/consent", json=form),
    ]
    assert [it.status_code for it in refused] == [403, 403, 403, 400]
    assert "code" in answer_of(await browser.post("/auth/consent", data=form))
    assert (await browser.post("/auth/consent", data=form)).status_code == 400


async def test_consent_is_not_taken_over_into_another_sign_in(browser: httpx.AsyncClient) -> None:
    """SMART-01: the question was put to somebody else."""
    await sign_in(browser)
    old = consent_form((await browser.get("/auth/authorize", params=Application().query())).text)
    await sign_in(browser, "student")
    new = consent_form((await browser.get("/auth/authorize", params=Application().query())).text)
    answer = await browser.post("/auth/consent", data=new | {"request": old["request"]})
    assert answer.status_code == 400


async def test_consent_page_says_what_is_refused_and_runs_no_script(
    browser: httpx.AsyncClient,
) -> None:
    """SMART-04: granted scopes may be fewer than asked; the policy lets the answer go its way."""
    await sign_in(browser, "student")
    app = Application(scope="fhircast/*.read fhircast/Patient-open.write <b>patient/*.read</b>")
    page = await browser.get("/auth/authorize", params=app.query())
    refused = page.text.partition('data-testid="refused"')[2]
    assert "fhircast/Patient-open.write" in refused
    assert "&lt;b&gt;patient/*.read&lt;/b&gt;" in refused
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' http://127.0.0.1:9999" in policy
