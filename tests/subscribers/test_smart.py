"""SMART App Launch: what is asked for, and what is believed."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fhircast_subscribers.actors import ACTORS, Actor
from fhircast_subscribers.smart import (
    AuthorizationRequest,
    authorization_request,
    read_redirect,
    read_smart_configuration,
    read_token_answer,
    refresh_form,
    token_form,
)

ANSWER: dict[str, Any] = {
    "access_token": "t-1",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "fhircast/Patient-open.read",
    "hub.url": "https://hub.example.org/fhircast",
    "hub.topic": "topic-1",
}


def asked(actor: Actor = ACTORS[0], launch: str = "") -> AuthorizationRequest:
    return authorization_request(
        "https://as.example.org/authorize",
        client_id="viewer",
        redirect_uri="https://viewer.example.org/back",
        aud="https://fhir.example.org/r4",
        scopes=actor.scopes,
        launch=launch,
    )


def query_of(request: AuthorizationRequest) -> dict[str, str]:
    return {name: it[0] for name, it in parse_qs(urlsplit(request.url).query).items()}


@pytest.mark.parametrize("actor", ACTORS, ids=lambda it: it.slug)
def test_authorize_request_asks_for_exactly_its_events(actor: Actor) -> None:
    """SCO-04, SMART-02: of each reference application."""
    assert query_of(asked(actor))["scope"].split() == list(actor.scopes)


def test_pkce_state_and_audience_are_sent() -> None:
    """SMART-05: S256 of a verifier that stays here; state and verifier new for each request."""
    request = asked()
    query = query_of(request)
    digest = sha256(request.verifier.encode()).digest()
    assert query["code_challenge"] == urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert query["code_challenge_method"] == "S256"
    assert query["aud"] == "https://fhir.example.org/r4"
    assert request.verifier not in request.url
    assert request.verifier not in repr(request)
    assert (asked().state, asked().verifier) != (request.state, request.verifier)


def test_ehr_launch_passes_its_parameter_on() -> None:
    """SMART-01: `launch` as parameter and as scope; a standalone launch has neither."""
    query = query_of(asked(launch="xyz"))
    assert (query["launch"], query["scope"].split()[0]) == ("xyz", "launch")
    assert "launch" not in query_of(asked())


def test_request_without_a_fhircast_scope_is_refused() -> None:
    """SMART-02."""
    with pytest.raises(ValueError, match="SMART-02"):
        authorization_request(
            "https://as.example.org/", client_id="v", redirect_uri="x", aud="y", scopes=["openid"]
        )


def test_code_is_read_and_proved() -> None:
    """SMART-05: the token request carries the verifier."""
    request = asked()
    code = read_redirect(f"{request.redirect_uri}?code=c-1&state={request.state}", request)
    form = token_form(code, request)
    assert (form["code"], form["code_verifier"]) == ("c-1", request.verifier)


@pytest.mark.parametrize("query", ["code=c-1", "code=c-1&state=other", "error=access_denied"])
def test_answer_to_another_request_is_not_believed(query: str) -> None:
    """SMART-05: state."""
    request = asked()
    with pytest.raises(ValueError, match="state"):
        read_redirect(f"{request.redirect_uri}?{query}", request)


def test_refusal_is_told() -> None:
    """SMART-01: the server's own word."""
    request = asked()
    with pytest.raises(ValueError, match="access_denied"):
        read_redirect(f"{request.redirect_uri}?error=access_denied&state={request.state}", request)


def test_token_answer_brings_the_session() -> None:
    """SMART-03, SMART-04, IRA-SUB-02: token, scopes, hub.url, hub.topic; no token in its repr."""
    granted = read_token_answer(ANSWER)
    assert (granted.token, granted.launch.topic) == ("t-1", "topic-1")
    assert granted.expires_in_seconds == 300
    assert "t-1" not in repr(granted)


@pytest.mark.parametrize("missing", ["access_token", "token_type", "scope", "hub.url", "hub.topic"])
def test_token_answer_without_what_it_shall_hold_is_refused(missing: str) -> None:
    """SMART-03, SMART-04."""
    with pytest.raises(ValueError, match=r"SMART|IRA"):
        read_token_answer({name: it for name, it in ANSWER.items() if name != missing})


def test_the_next_token_is_asked_for_with_the_newest_refresh_token() -> None:
    """SMART-04: kept out of the repr; fewer scopes may be asked for."""
    granted = read_token_answer(ANSWER | {"refresh_token": "r-1"})
    assert granted.refresh_token not in repr(granted)
    form = refresh_form(granted.refresh_token, client_id="viewer")
    assert form == {"grant_type": "refresh_token", "refresh_token": "r-1", "client_id": "viewer"}
    fewer = refresh_form("r-1", client_id="viewer", scopes=["fhircast/Patient-open.read"])
    assert fewer["scope"] == "fhircast/Patient-open.read"
    assert read_token_answer(ANSWER).refresh_token == ""


CONFIGURATION: dict[str, Any] = {
    "authorization_endpoint": "https://as.example.org/authorize",
    "token_endpoint": "https://as.example.org/token",
    "code_challenge_methods_supported": ["S256"],
    "scopes_supported": ["fhircast/*.*", 7],
}


def test_endpoints_are_found() -> None:
    """SMART-06: what is not known or not of its kind is passed over."""
    found = read_smart_configuration(CONFIGURATION | {"x": 1})
    assert found.token_endpoint == "https://as.example.org/token"
    assert found.scopes == ("fhircast/*.*",)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"token_endpoint": None}, "SMART-06"),
        ({"authorization_endpoint": "/authorize"}, "SMART-06"),
        ({"code_challenge_methods_supported": ["plain"]}, "SMART-05"),
        ({"code_challenge_methods_supported": None}, "SMART-05"),
    ],
)
def test_a_server_that_cannot_launch_safely_is_refused(changed: dict[str, Any], rule: str) -> None:
    """SMART-05, SMART-06."""
    with pytest.raises(ValueError, match=rule):
        read_smart_configuration(CONFIGURATION | changed)
    with pytest.raises(ValueError, match="SMART-06"):
        read_smart_configuration([])
