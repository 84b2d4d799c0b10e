"""The EHR's desk: signing in and out, and what its page is told about the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fhircast_demo.smart.clients import APPS, OWN_CLIENT, client_of
from fhircast_demo.smart.errors import OAuthError
from fhircast_demo.smart.grants import Grant
from fhircast_demo.smart.html import error_page, sign_in_page
from fhircast_demo.smart.http import (
    COOKIE,
    answer,
    is_from_elsewhere,
    is_local_path,
    read_form,
    to,
)
from fhircast_demo.smart.scopes import narrow
from fhircast_demo.smart.users import USERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from fhircast_demo.smart.clients import Client
    from fhircast_demo.smart.goodbye import Goodbye
    from fhircast_demo.smart.grants import Grants
    from fhircast_demo.smart.sessions import LoginSession, Sessions
    from fhircast_demo.smart.settings import SmartSettings
    from fhircast_demo.smart.tokens import Tokens

_ELSEWHERE = "Origin: this form was not sent by a page of the demo"
OWN_SCOPES = ("fhircast/*.*", "user/*.cruds")


class Desk:
    """Sign-in, sign-out, `/ehr/session`, `/ehr/own-client`."""

    def __init__(
        self,
        settings: SmartSettings,
        clients: Mapping[str, Client],
        sessions: Sessions,
        grants: Grants,
        tokens: Tokens,
        goodbye: Goodbye,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._sessions = sessions
        self._grants = grants
        self._tokens = tokens
        self._goodbye = goodbye

    def session_of(self, request: Request) -> LoginSession | None:
        """Return who is signed in in this browser."""
        return self._sessions.of_cookie(request.cookies.get(COOKIE, ""))

    async def show_sign_in(self, request: Request) -> Response:
        """`GET /login`."""
        next_path = request.query_params.get("next", "/")
        return sign_in_page(USERS.values(), next_path if is_local_path(next_path) else "/")

    async def sign_in(self, request: Request) -> Response:
        """`POST /login`: a new session with a topic of its own; an earlier one ends."""
        try:
            form = await read_form(request)
        except OAuthError as error:
            return error_page(error.description, error.status)
        user, next_path = USERS.get(form.get("user", "")), form.get("next", "/")
        if is_from_elsewhere(request, self._settings.origin):
            return error_page(_ELSEWHERE, 403)
        if user is None:
            return error_page(f"user: must be one of {', '.join(USERS)}")
        if not is_local_path(next_path):
            return error_page("next: must be a path of the demo")
        await self._end_session(request)
        cookie, _ = self._sessions.sign_in(user)
        response = to(next_path)
        life = int(self._settings.session_seconds)
        response.set_cookie(COOKIE, cookie, max_age=life, httponly=True, samesite="lax")
        return response

    async def sign_out(self, request: Request) -> Response:
        """`POST /logout`: the session ends, every token that hangs on it, and the hub is told."""
        if is_from_elsewhere(request, self._settings.origin):
            return error_page(_ELSEWHERE, 403)
        await self._end_session(request)
        response = to("/login")
        response.delete_cookie(COOKIE, httponly=True, samesite="lax")
        return response

    async def _end_session(self, request: Request) -> None:
        session = self._sessions.sign_out(request.cookies.get(COOKIE, ""))
        if session is not None:
            await self._goodbye.say(session)

    async def show_session(self, request: Request) -> Response:
        """`GET /ehr/session`: the session, and a new launch for each application."""
        session = self.session_of(request)
        if session is None:
            return _sign_in_first()
        return answer(
            {
                "user": {"id": session.user.id, "name": session.user.name},
                "iss": self._settings.fhir_base,
                "hub.url": self._settings.hub_url,
                "hub.topic": session.topic,
                "apps": {app: self._launch(app, session) for app in APPS},
            }
        )

    def _launch(self, app: str, session: LoginSession) -> dict[str, str]:
        client_id = client_of(app)
        launch = self._sessions.new_launch(session, client_id)
        query = urlencode({"iss": self._settings.fhir_base, "launch": launch})
        return {"launch": launch, "url": f"/{app}?{query}", "client_id": client_id}

    async def give_own_client(self, request: Request) -> Response:
        """`POST /ehr/own-client`: a token without the dance, for a client of one's own."""
        session = self.session_of(request)
        if session is None:
            return _sign_in_first()
        if is_from_elsewhere(request, self._settings.origin):
            return answer({"error": "access_denied", "error_description": _ELSEWHERE}, 403)
        scopes = narrow(OWN_SCOPES, session.user.scopes)
        grant = Grant(OWN_CLIENT, scopes, session.topic, session.user, session.id)
        return answer(self.values_of(grant))

    def values_of(self, grant: Grant) -> dict[str, Any]:
        """Return a token and the places to use it at."""
        seconds = self._settings.own_client_seconds
        return {
            **self._tokens.answer(self._grants.add(grant), grant, seconds=seconds),
            "fhirBaseUrl": self._settings.fhir_base,
            "dicomwebUrl": f"{self._settings.origin}/dicomweb",
        }


def _sign_in_first() -> Response:
    error = OAuthError("login_required", "nobody is signed in in this browser", status=401)
    return answer({**error.answer(), "login": "/login"}, error.status)
