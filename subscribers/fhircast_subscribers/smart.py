"""SMART App Launch for a subscriber: values to send and to read; the application does the sending.

    server = read_smart_configuration(document)  # GET {fhir}/.well-known/smart-configuration
    request = authorization_request(
        server.authorization_endpoint, client_id=…, redirect_uri=…, aud=fhir, scopes=…
    )
    # the user's browser goes to request.url and comes back to the redirect URI
    code = read_redirect(came_back_to, request)
    # POST token_form(code, request) to the token endpoint
    granted = read_token_answer(answer)  # token, hub.url, hub.topic
    # later: POST refresh_form(granted.refresh_token, client_id=…), read_token_answer again

Spec: 2.1, SMART App Launch 2.2.0; SMART-01 … SMART-06, SCO-04.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from fhircast_subscribers.launch import Launch, read_launch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_VERIFIER_BYTES = 48


WELL_KNOWN = "/.well-known/smart-configuration"


@dataclass(frozen=True, slots=True)
class SmartConfiguration:
    """Where a FHIR server lets applications be authorized.

    Attributes:
        authorization_endpoint: Where the user's browser goes.
        token_endpoint: Where the code goes.
        scopes: `scopes_supported`; empty if the server does not say.
    """

    authorization_endpoint: str
    token_endpoint: str
    scopes: tuple[str, ...] = ()


def read_smart_configuration(document: object) -> SmartConfiguration:
    """Return what a FHIR server's smart-configuration says (SMART-06).

    Raises:
        ValueError: An endpoint is missing, or the server does not check S256 (SMART-05).
    """
    told = document if isinstance(document, dict) else {}
    for name in ("authorization_endpoint", "token_endpoint"):
        if not isinstance(told.get(name), str) or not urlsplit(told[name]).netloc:
            raise ValueError(f"{name}: no absolute URL (SMART-06)")
    if "S256" not in _words(told.get("code_challenge_methods_supported")):
        raise ValueError("code_challenge_methods_supported: no S256 (SMART-05)")
    return SmartConfiguration(
        told["authorization_endpoint"],
        told["token_endpoint"],
        _words(told.get("scopes_supported")),
    )


def _words(value: object) -> tuple[str, ...]:
    return tuple(it for it in value if isinstance(it, str)) if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What an authorization was asked for with; keep it until the answer is there.

    Attributes:
        url: Where to send the user's browser.
        client_id: The application's.
        redirect_uri: Where the browser comes back to.
        state: Must come back unchanged.
        verifier: Proves to the token endpoint that we are who asked (PKCE).
    """

    url: str
    client_id: str
    redirect_uri: str
    state: str
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Granted:
    """What the authorization server granted.

    Attributes:
        token: Access token.
        launch: The session to join.
        scopes: Granted scopes; may be fewer than asked for.
        expires_in_seconds: Life of the token, None if the server does not say.
        refresh_token: For the next token, "" if there is none.
    """

    token: str = field(repr=False)
    launch: Launch
    scopes: tuple[str, ...]
    expires_in_seconds: int | None = None
    refresh_token: str = field(default="", repr=False)


def authorization_request(
    authorization_endpoint: str,
    *,
    client_id: str,
    redirect_uri: str,
    aud: str,
    scopes: Iterable[str],
    launch: str = "",
) -> AuthorizationRequest:
    """Return the request to send the user's browser with (SMART-02, SMART-05).

    Args:
        authorization_endpoint: From the server's smart-configuration.
        client_id: The application's.
        redirect_uri: Where the browser comes back to.
        aud: The FHIR server's base URL, exactly.
        scopes: FHIRcast scopes, e.g. `IMAGE_DISPLAY.scopes`; others may stand beside them.
        launch: The `launch` parameter of an EHR launch, "" for a standalone launch.

    Raises:
        ValueError: No FHIRcast scope is among them.
    """
    wanted = list(dict.fromkeys(scopes))
    if not any(it.startswith("fhircast/") for it in wanted):
        raise ValueError("scopes: at least one FHIRcast scope (SMART-02)")
    state, verifier = secrets.token_urlsafe(), secrets.token_urlsafe(_VERIFIER_BYTES)
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join((["launch"] if launch and "launch" not in wanted else []) + wanted),
        "state": state,
        "aud": aud,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    } | ({"launch": launch} if launch else {})
    separator = "&" if urlsplit(authorization_endpoint).query else "?"
    url = f"{authorization_endpoint}{separator}{urlencode(query)}"
    return AuthorizationRequest(url, client_id, redirect_uri, state, verifier)


def read_redirect(url: str, request: AuthorizationRequest) -> str:
    """Return the code that the browser came back with.

    Raises:
        ValueError: The answer is to another request, or authorization was refused.
    """
    values = {name: it[0] for name, it in parse_qs(urlsplit(url).query).items()}
    if not hmac.compare_digest(values.get("state", ""), request.state):
        raise ValueError("state: not the answer to this request (SMART-05)")
    if "code" not in values:
        raise ValueError(f"authorization was refused: {values.get('error', 'no code')}")
    return values["code"]


def token_form(code: str, request: AuthorizationRequest) -> dict[str, str]:
    """Return the form for the token endpoint."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": request.redirect_uri,
        "client_id": request.client_id,
        "code_verifier": request.verifier,
    }


def refresh_form(
    refresh_token: str, *, client_id: str, scopes: Iterable[str] = ()
) -> dict[str, str]:
    """Return the form that gets the next token; take the refresh token of its answer after that.

    Args:
        refresh_token: The newest one; servers take each one once.
        client_id: The application's.
        scopes: Fewer scopes than were granted, none for all of them.
    """
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "client_id": client_id,
    }
    return form | ({"scope": " ".join(scopes)} if scopes else {})


def read_token_answer(answer: Mapping[str, Any]) -> Granted:
    """Return what was granted (SMART-03, SMART-04).

    Raises:
        ValueError: No token, another kind of token, no session, or no FHIRcast scope.
    """
    token, kind = answer.get("access_token"), answer.get("token_type")
    if not isinstance(token, str) or not token or str(kind).lower() != "bearer":
        raise ValueError("access_token: no bearer token (SMART-04)")
    scopes = tuple(str(answer.get("scope", "")).split())
    if not any(it.startswith("fhircast/") for it in scopes):
        raise ValueError("scope: no FHIRcast scope was granted (SMART-03)")
    expires_in, refresh_token = answer.get("expires_in"), answer.get("refresh_token")
    return Granted(
        token,
        read_launch({name: it for name, it in answer.items() if isinstance(it, str)}),
        scopes,
        expires_in if isinstance(expires_in, int) else None,
        refresh_token if isinstance(refresh_token, str) else "",
    )
