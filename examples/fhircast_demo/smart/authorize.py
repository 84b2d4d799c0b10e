"""The authorization endpoint: a browser comes with a request and leaves with a code.

Spec: SMART App Launch 2.2.0; RFC 6749 4.1, RFC 7636; SMART-01, SMART-05.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from fhircast_demo.smart.errors import BadRedirect, OAuthError, invalid_request
from fhircast_demo.smart.expiring import Expiring
from fhircast_demo.smart.grants import Code, Grant
from fhircast_demo.smart.html import consent_page, error_page
from fhircast_demo.smart.http import COOKIE, is_from_elsewhere, read_form, single, to
from fhircast_demo.smart.scopes import narrow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from fhircast_demo.smart.clients import Client
    from fhircast_demo.smart.grants import Grants
    from fhircast_demo.smart.sessions import LoginSession, Sessions
    from fhircast_demo.smart.settings import SmartSettings

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_MAX_STATE = 2048
_MAX_SCOPES = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorization request, checked."""

    client: Client
    redirect_uri: str
    state: str
    scopes: tuple[str, ...]
    challenge: str
    launch: str
    nonce: str


@dataclass(frozen=True, slots=True)
class _Pending:
    """A request that waits for the user's answer on the consent page."""

    asked: Asked
    session_id: str


def find_client(values: Mapping[str, str], clients: Mapping[str, Client]) -> Client:
    """Return the application, if the answer may go where it says.

    Raises:
        BadRedirect: It is not known, or that is not its redirect URI to the letter.
    """
    client = clients.get(values.get("client_id", ""))
    if client is None:
        raise BadRedirect("client_id: there is no such application here")
    if values.get("redirect_uri", "") not in client.redirect_uris:
        raise BadRedirect("redirect_uri: not one that this application has registered")
    return client


def read_request(values: Mapping[str, str], client: Client, *, aud: str) -> Asked:
    """Return the rest of the request.

    Raises:
        OAuthError: What is told to the application.
    """
    if values.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "response_type must be code")
    state = values.get("state", "")
    if not 0 < len(state) <= _MAX_STATE:
        raise invalid_request(f"state: 1 to {_MAX_STATE} characters are needed")
    if values.get("aud") != aud:
        raise invalid_request(f"aud must be {aud}")
    if values.get("code_challenge_method") != "S256":
        raise invalid_request("code_challenge_method must be S256")
    challenge = values.get("code_challenge", "")
    if not _CHALLENGE.fullmatch(challenge):
        raise invalid_request("code_challenge must be a SHA-256 in base64url, 43 characters")
    scopes = tuple(dict.fromkeys(values.get("scope", "").split()))
    if not 0 < len(scopes) <= _MAX_SCOPES:
        raise OAuthError("invalid_scope", f"scope: 1 to {_MAX_SCOPES} scopes are needed")
    return Asked(
        client,
        values["redirect_uri"],
        state,
        scopes,
        challenge,
        values.get("launch", ""),
        values.get("nonce", ""),
    )


class Authorization:
    """The endpoint and its consent page."""

    def __init__(
        self,
        settings: SmartSettings,
        clients: Mapping[str, Client],
        sessions: Sessions,
        grants: Grants,
        now: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._sessions = sessions
        self._grants = grants
        self._pending: Expiring[_Pending] = Expiring(
            now, life_seconds=settings.consent_seconds, limit=settings.max_pending
        )

    async def authorize(self, request: Request) -> Response:
        """GET: straight on after an EHR launch, else ask the user."""
        try:
            values = single(request.query_params.multi_items())
            client = find_client(values, self._clients)
        except (OAuthError, BadRedirect) as error:
            return error_page(str(error))
        redirect_uri = values["redirect_uri"]
        try:
            asked = read_request(values, client, aud=self._settings.fhir_base)
            return self._decide(request, asked)
        except OAuthError as error:
            return _back(redirect_uri, {**error.answer(), "state": values.get("state", "")})

    def _decide(self, request: Request, asked: Asked) -> Response:
        session = self._sessions.of_cookie(request.cookies.get(COOKIE, ""))
        if asked.launch and not self._sessions.use_launch(
            asked.launch, session, asked.client.client_id
        ):
            raise invalid_request("launch: not one of this sign-in, or used, or too old")
        if session is None:
            here = f"{request.url.path}?{request.url.query}"
            return to(f"/login?{urlencode({'next': here})}")
        granted = _granted(asked, session)
        if asked.launch:
            return self._hand_out(asked, session)
        request_id = secrets.token_urlsafe(24)
        self._pending.put(request_id, _Pending(asked, session.id))
        return consent_page(
            asked.client,
            session.user,
            granted=granted,
            refused=[it for it in asked.scopes if it not in granted],
            request_id=request_id,
            csrf=session.csrf,
            redirect_uri=asked.redirect_uri,
        )

    async def consent(self, request: Request) -> Response:
        """POST: the user's answer; it counts once, and from our own page only."""
        try:
            form = await read_form(request)
        except OAuthError as error:
            return error_page(error.description, error.status)
        session = self._sessions.of_cookie(request.cookies.get(COOKIE, ""))
        if (
            session is None
            or is_from_elsewhere(request, self._settings.origin)
            or not hmac.compare_digest(form.get("csrf", "").encode(), session.csrf.encode())
        ):
            return error_page("csrf: this answer does not come from a page of this sign-in", 403)
        pending = self._pending.take(form.get("request", ""))
        if pending is None or pending.session_id != session.id:
            return error_page("request: it was answered before, or that took too long")
        asked = pending.asked
        if form.get("decision") != "allow":
            denied = OAuthError("access_denied", "the user did not allow it")
            return _back(asked.redirect_uri, {**denied.answer(), "state": asked.state})
        return self._hand_out(asked, session)

    def _hand_out(self, asked: Asked, session: LoginSession) -> Response:
        grant = Grant(
            client_id=asked.client.client_id,
            scopes=_granted(asked, session),
            topic=session.topic,
            user=session.user,
            session_id=session.id,
            nonce=asked.nonce,
        )
        code = self._grants.new_code(Code(grant, asked.redirect_uri, asked.challenge))
        return _back(asked.redirect_uri, {"code": code, "state": asked.state})


def _granted(asked: Asked, session: LoginSession) -> tuple[str, ...]:
    """Return what the application may ever get and this user may give.

    Raises:
        OAuthError: That is nothing.
    """
    wanted = [it for it in asked.scopes if it != "launch" or asked.launch]
    granted = narrow(narrow(wanted, asked.client.scopes), session.user.scopes)
    if not granted:
        raise OAuthError("invalid_scope", "scope: nothing of it can be granted")
    return granted


def _back(redirect_uri: str, values: Mapping[str, str]) -> Response:
    separator = "&" if urlsplit(redirect_uri).query else "?"
    return to(f"{redirect_uri}{separator}{urlencode({k: v for k, v in values.items() if v})}")
