"""Asking about tokens and ending them (RFC 7662, RFC 7009; SMART-07, D-39)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from fhircast_demo.smart.client_auth import authenticate
from fhircast_demo.smart.errors import OAuthError, invalid_client, invalid_request
from fhircast_demo.smart.http import NO_STORE, answer, read_form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from fhircast_demo.smart.clients import Client
    from fhircast_demo.smart.grants import Grants
    from fhircast_demo.smart.tokens import Tokens


class Inspection:
    """`POST /auth/introspect` and `POST /auth/revoke`."""

    def __init__(self, clients: Mapping[str, Client], grants: Grants, tokens: Tokens) -> None:
        self._clients = clients
        self._grants = grants
        self._tokens = tokens

    async def introspect(self, request: Request) -> Response:
        """Tell a confidential client (a hub is one) what a token is good for."""
        form = await read_form(request)
        if not authenticate(request, form, self._clients).is_confidential:
            raise invalid_client("client_secret: only a confidential client may ask")
        return answer(self._tokens.introspected(_token_of(form)))

    async def revoke(self, request: Request) -> Response:
        """End the grant behind an access or refresh token of the client that asks."""
        form = await read_form(request)
        client = authenticate(request, form, self._clients)
        token = _token_of(form)
        claims = self._tokens.read(token)
        grant_id = claims["grant_id"] if claims else self._grants.grant_of_refresh(token)
        grant = self._grants.find(grant_id)
        if grant is not None and grant.client_id != client.client_id:
            raise OAuthError("unauthorized_client", "token: it was given to another application")
        if grant is not None:
            self._grants.revoke(grant_id)
        return Response(status_code=200, headers=NO_STORE)


def _token_of(form: Mapping[str, str]) -> str:
    token = form.get("token", "")
    if not token:
        raise invalid_request("token: which one is missing")
    return token
