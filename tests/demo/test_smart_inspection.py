"""Asking the demo's server about tokens, ending them, and what it says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from smart_browser import FHIR, HUB_URL, ORIGIN, Application, Json, authorized

if TYPE_CHECKING:
    import httpx
    from smart_browser import ClockAtHand

SERVICE = ("demo-service", "secret-of-the-service")


async def introspected(browser: httpx.AsyncClient, token: str) -> Json:
    answer = await browser.post("/auth/introspect", data={"token": token}, auth=SERVICE)
    told: Json = answer.json()
    return told


async def test_introspection_tells_what_a_hub_needs(browser: httpx.AsyncClient) -> None:
    """SMART-07, D-39: active, scope, client, end, launch context, issuer and subject."""
    app = Application(scope="openid fhirUser fhircast/*.*")
    granted = await authorized(browser, app)
    told = await introspected(browser, granted["access_token"])
    assert told["active"] is True
    assert told["scope"] == granted["scope"]
    assert (told["client_id"], told["sub"], told["iss"]) == (
        "my-app",
        "radiologist",
        f"{ORIGIN}/auth",
    )
    assert told["exp"] - told["iat"] == granted["expires_in"]
    assert (told["hub.topic"], told["hub.url"]) == (granted["hub.topic"], HUB_URL)
    assert told["fhirUser"] == f"{FHIR}/Practitioner/ada-reader"


@pytest.mark.parametrize("token", ["made-up", "a.b.c", "x" * 9000])
async def test_anything_else_is_inactive(browser: httpx.AsyncClient, token: str) -> None:
    """SMART-07: and no more is told."""
    assert await introspected(browser, token) == {"active": False}


async def test_expired_and_foreign_tokens_are_inactive(
    browser: httpx.AsyncClient, clock: ClockAtHand
) -> None:
    """SMART-07: past its end, or changed by one character."""
    token = (await authorized(browser))["access_token"]
    changed = token[:-6] + ("A" if token[-6] != "A" else "B") + token[-5:]
    assert await introspected(browser, changed) == {"active": False}
    clock.seconds += 3600
    assert await introspected(browser, token) == {"active": False}


@pytest.mark.parametrize("end", ["logout", "new sign-in", "session expiry"])
async def test_tokens_end_with_the_sign_in(
    browser: httpx.AsyncClient, clock: ClockAtHand, end: str
) -> None:
    """SMART-07: whoever leaves takes along what was launched for them."""
    if end == "session expiry":
        await authorized(browser)
        clock.seconds += 12 * 3600 - 10
        answer = await browser.post("/ehr/own-client")
        token = answer.json()["access_token"]
        clock.seconds += 10
    else:
        token = (await authorized(browser))["access_token"]
        await (
            browser.post("/logout")
            if end == "logout"
            else browser.post("/login", data={"user": "student"})
        )
    assert await introspected(browser, token) == {"active": False}


@pytest.mark.parametrize(
    "form", [{"client_id": "my-app"}, {"client_id": "demo-service", "client_secret": "wrong"}]
)
async def test_only_a_confidential_client_may_ask(
    browser: httpx.AsyncClient, form: dict[str, str]
) -> None:
    """SMART-07, RFC 7662 2.1: or anybody could try tokens out."""
    answer = await browser.post("/auth/introspect", data={"token": "t", **form})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("path", ["/auth/introspect", "/auth/revoke"])
async def test_which_token_must_be_said(browser: httpx.AsyncClient, path: str) -> None:
    """SMART-07."""
    answer = await browser.post(path, data={"x": "y"}, auth=SERVICE)
    assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_revoking_either_token_ends_both(browser: httpx.AsyncClient, which: str) -> None:
    """SMART-07, RFC 7009: of one's own; twice is fine."""
    told = await authorized(browser, Application(scope="fhircast/*.* online_access"))
    form = {"token": told[which], "client_id": "my-app"}
    answers = [await browser.post("/auth/revoke", data=form) for _ in range(2)]
    assert [it.status_code for it in answers] == [200, 200]
    assert await introspected(browser, told["access_token"]) == {"active": False}
    refresh = {
        "grant_type": "refresh_token",
        "refresh_token": told["refresh_token"],
        "client_id": "my-app",
    }
    assert (await browser.post("/auth/token", data=refresh)).json()["error"] == "invalid_grant"


async def test_another_applications_token_cannot_be_revoked(browser: httpx.AsyncClient) -> None:
    """SMART-07, RFC 7009 2.1."""
    token = (await authorized(browser))["access_token"]
    form = {"token": token, "client_id": "demo-viewer"}
    assert (await browser.post("/auth/revoke", data=form)).status_code == 400
    assert (await introspected(browser, token))["active"] is True


async def test_smart_configuration_is_complete_and_open_to_every_page(
    browser: httpx.AsyncClient,
) -> None:
    """SMART-06: no token needed; absolute URLs; S256 and not plain; the FHIRcast scopes."""
    answer = await browser.get(
        "/fhir/.well-known/smart-configuration", headers={"Origin": "http://app.example.org"}
    )
    told = answer.json()
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["content-type"] == "application/json"
    for name in ("authorization", "token", "introspection", "revocation"):
        assert told[f"{name}_endpoint"].startswith(f"{ORIGIN}/auth/")
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert "authorization_code" in told["grant_types_supported"]
    assert {"launch-ehr", "launch-standalone", "client-public"} <= {*told["capabilities"]}
    assert "fhircast/*.*" in told["scopes_supported"]
    document = (await browser.get("/auth/.well-known/openid-configuration")).json()
    assert document["issuer"] == told["issuer"]
    assert (await browser.get(told["jwks_uri"])).status_code == 200


async def test_capability_statement_names_the_endpoints(browser: httpx.AsyncClient) -> None:
    """SMART-06, CAP-01: clients that know no smart-configuration look here."""
    rest = (await browser.get("/fhir/metadata")).json()["rest"][0]
    (uris,) = rest["security"]["extension"]
    told = {it["url"]: it["valueUri"] for it in uris["extension"]}
    assert told["authorize"] == f"{ORIGIN}/auth/authorize"
    assert told["token"] == f"{ORIGIN}/auth/token"
    assert rest["extension"][0]["extension"][0]["valueUrl"] == HUB_URL


@pytest.mark.parametrize("path", ["/auth/token", "/fhir/Patient", "/dicomweb/studies"])
async def test_pages_of_other_origins_may_ask_first(browser: httpx.AsyncClient, path: str) -> None:
    """SMART-06: preflights are answered without a token, and without leave to send cookies."""
    answer = await browser.options(
        path,
        headers={
            "Origin": "http://app.example.org",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    assert answer.status_code == 200
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers
