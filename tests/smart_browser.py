"""A user's browser, played with httpx, and the requests an application makes."""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

ORIGIN = "http://demo.test"
FHIR = f"{ORIGIN}/fhir"
HUB_URL = "http://hub.test/api/hub"
REDIRECT = "http://127.0.0.1:9999/callback"
SCOPE = "fhircast/*.* user/*.cruds"
Json = dict[str, Any]


class ClockAtHand:
    """Seconds since 1970 that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass(frozen=True)
class Application:
    """What an application keeps of one request."""

    client_id: str = "my-app"
    redirect_uri: str = REDIRECT
    scope: str = SCOPE
    state: str = field(default_factory=secrets.token_urlsafe)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def query(self, **changed: str | None) -> dict[str, str]:
        """Return the authorization request; None leaves a parameter out."""
        digest = sha256(self.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": self.state,
            "aud": FHIR,
            "code_challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        } | changed
        return {name: it for name, it in query.items() if it is not None}

    def form(self, code: str, **changed: str) -> dict[str, str]:
        """Return the token request."""
        return {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": self.verifier,
        } | changed


async def sign_in(browser: httpx.AsyncClient, user: str = "radiologist") -> Json:
    """Sign in and return what the EHR's page is told."""
    answer = await browser.post("/login", data={"user": user, "next": "/"})
    assert answer.status_code == 303, answer.text
    session: Json = (await browser.get("/ehr/session")).json()
    return session


def answer_of(response: httpx.Response) -> dict[str, str]:
    """Return the parameters that a redirect carries back to the application."""
    assert response.status_code == 303, response.text
    query = parse_qs(urlsplit(response.headers["location"]).query)
    return {name: it[0] for name, it in query.items()}


def consent_form(page: str, decision: str = "allow") -> dict[str, str]:
    """Return the form of a consent page, answered."""
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in hidden} | {"decision": decision}


async def consent(
    browser: httpx.AsyncClient, query: Mapping[str, str], decision: str = "allow"
) -> dict[str, str]:
    """Go through a standalone launch and return what comes back."""
    page = await browser.get("/auth/authorize", params=query)
    assert page.status_code == 200, page.text
    return answer_of(await browser.post("/auth/consent", data=consent_form(page.text, decision)))


async def authorized(
    browser: httpx.AsyncClient, app: Application | None = None, *, user: str = "radiologist"
) -> Json:
    """Sign in, allow the application, and return the token answer."""
    app = app or Application()
    await sign_in(browser, user)
    code = (await consent(browser, app.query()))["code"]
    answer = await browser.post("/auth/token", data=app.form(code))
    assert answer.status_code == 200, answer.text
    told: Json = answer.json()
    return told
