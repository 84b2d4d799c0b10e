"""Nobody reads the EHR or the images without a token of this server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse

from fhircast_demo.ehr import FhirError
from fhircast_demo.smart.http import NO_STORE
from fhircast_demo.smart.scopes import permits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from fhircast_demo.ehr.permitted import May
    from fhircast_demo.smart.tokens import Tokens

_SEARCHES = ("studies", "series", "instances")


class Guard:
    """Reads the token of a request to FHIR or DICOMweb."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def rights_of(self, request: Request) -> May:
        """Return the check that goes with the request's token.

        Raises:
            FhirError: 401, there is no token that holds.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise FhirError(
                401,
                "login",
                "Authorization: a bearer token is needed",
                {"WWW-Authenticate": "Bearer"},
            )
        claims = self._tokens.read(token.strip())
        if claims is None:
            challenge = 'Bearer error="invalid_token"'
            raise FhirError(
                401,
                "login",
                "Authorization: the token is not valid, or no longer",
                {"WWW-Authenticate": challenge},
            )
        scopes = tuple(str(claims["scope"]).split())

        def may(resource_type: str, action: str) -> None:
            if not permits(scopes, resource_type, action):
                needed = f"user/{resource_type}.{action}"
                challenge = f'Bearer error="insufficient_scope", scope="{needed}"'
                raise FhirError(
                    403,
                    "forbidden",
                    f"Authorization: the token has no scope {needed}",
                    {"WWW-Authenticate": challenge},
                )

        return may

    def images(self, app: ASGIApp) -> ASGIApp:
        """Let in to the image source who may read, or search, ImagingStudy."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                request = Request(scope)
                is_search = request.url.path.rstrip("/").rpartition("/")[2] in _SEARCHES
                try:
                    self.rights_of(request)("ImagingStudy", "s" if is_search else "r")
                except FhirError as error:
                    response = JSONResponse(
                        error.outcome(),
                        error.status,
                        {**NO_STORE, **error.headers},
                        "application/fhir+json",
                    )
                    await response(scope, receive, send)
                    return
            await app(scope, receive, send)

        return guarded
