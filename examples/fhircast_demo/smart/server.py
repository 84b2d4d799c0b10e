"""The development authorization server: its state, its parts, its routes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from fhircast_demo.smart import documents
from fhircast_demo.smart.authorize import Authorization
from fhircast_demo.smart.clients import OWN_CLIENT, registered
from fhircast_demo.smart.desk import OWN_SCOPES, Desk
from fhircast_demo.smart.errors import OAuthError
from fhircast_demo.smart.goodbye import Goodbye
from fhircast_demo.smart.grants import Grant, Grants
from fhircast_demo.smart.guard import Guard
from fhircast_demo.smart.http import answer, with_cors
from fhircast_demo.smart.inspection import Inspection
from fhircast_demo.smart.sessions import Sessions
from fhircast_demo.smart.token_endpoint import TokenEndpoint
from fhircast_demo.smart.tokens import Tokens
from fhircast_demo.smart.users import USERS

if TYPE_CHECKING:
    from starlette.requests import Request

    from fhircast_demo.smart.keys import Keys
    from fhircast_demo.smart.settings import SmartSettings

Handler = Callable[["Request"], Awaitable[Response]]


class DevelopmentServer:
    """An authorization server for trying things out: made-up users, no passwords, loopback only.

    Attributes:
        settings: Addresses and limits.
        keys: What tokens are signed with.
        desk: Sign-in and the EHR's page.
        guard: Lets in to FHIR and DICOMweb.

    Args:
        settings: Addresses and limits.
        keys: What tokens are signed with.
        now: Seconds since 1970.
    """

    def __init__(
        self, settings: SmartSettings, keys: Keys, now: Callable[[], float] = time.time
    ) -> None:
        clients = registered(
            settings.origin,
            service_secret=settings.service_secret,
            redirect_uris=settings.redirect_uris,
        )
        sessions = Sessions(settings, now)
        grants = Grants(settings, sessions, now)
        tokens = Tokens(settings, keys, grants, now)
        self.settings = settings
        self.keys = keys
        self.desk = Desk(
            settings, clients, sessions, grants, tokens, Goodbye(settings.hub_url, grants, tokens)
        )
        self.guard = Guard(tokens)
        self._authorization = Authorization(settings, clients, sessions, grants, now)
        self._token_endpoint = TokenEndpoint(clients, grants, tokens)
        self._inspection = Inspection(clients, grants, tokens)

    def own_client(self) -> dict[str, Any]:
        """Return a token for a client of one's own that joins the first sign-in's session."""
        topic = self.settings.first_topic or str(uuid4())
        grant = Grant(OWN_CLIENT, OWN_SCOPES, topic, USERS["radiologist"])
        return self.desk.values_of(grant)

    def routes(self) -> list[BaseRoute]:
        """Return everything but the guarded apps and the pages."""
        return [
            Route("/login", self.desk.show_sign_in, methods=["GET"]),
            Route("/login", self.desk.sign_in, methods=["POST"]),
            Route("/logout", self.desk.sign_out, methods=["POST"]),
            Route("/ehr/session", self.desk.show_session, methods=["GET"]),
            Route("/ehr/own-client", self.desk.give_own_client, methods=["POST"]),
            Route("/auth/authorize", self._authorization.authorize, methods=["GET"]),
            Route("/auth/consent", self._authorization.consent, methods=["POST"]),
            _open("/auth/token", _told(self._token_endpoint.token), "POST"),
            _open("/auth/introspect", _told(self._inspection.introspect), "POST"),
            _open("/auth/revoke", _told(self._inspection.revoke), "POST"),
            _open("/auth/jwks", _document(self.keys.jwks()), "GET"),
            _open(
                "/auth/.well-known/openid-configuration",
                _document(documents.openid_configuration(self.settings)),
                "GET",
            ),
            _open(
                "/fhir/.well-known/smart-configuration",
                _document(documents.smart_configuration(self.settings)),
                "GET",
            ),
        ]


def _open(path: str, handler: Handler, method: str) -> Route:
    """Return a route that pages of any origin may call."""
    return Route(path, handler, methods=[method, "OPTIONS"], middleware=[Middleware(with_cors)])


def _document(value: dict[str, Any]) -> Handler:
    async def show(_request: Request) -> Response:
        return JSONResponse(value, headers={"Cache-Control": "no-cache"})

    return show


def _told(handler: Handler) -> Handler:
    """Turn a refusal into the standard's answer."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except OAuthError as error:
            # A 401 names the scheme that would have been understood (RFC 6749 5.2).
            headers = {"WWW-Authenticate": 'Basic realm="demo"'} if error.status == 401 else {}
            return answer(error.answer(), error.status, headers)

    return handle
