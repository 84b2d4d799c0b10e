"""The token endpoint: codes, refresh tokens and secrets become access tokens.

Spec: RFC 6749 4.1.3, 4.4, 5, 6; RFC 7636 4.6; SMART App Launch 2.2.0; SMART-03, SMART-04, D-39.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fhircast_demo.smart.client_auth import authenticate
from fhircast_demo.smart.errors import OAuthError, invalid_grant, invalid_request
from fhircast_demo.smart.grants import Grant
from fhircast_demo.smart.http import answer, read_form
from fhircast_demo.smart.scopes import has_fhircast, narrow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from fhircast_demo.smart.clients import Client
    from fhircast_demo.smart.grants import Grants
    from fhircast_demo.smart.tokens import Tokens

Json = dict[str, Any]
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_TOPIC = re.compile(r"[!-~]{1,256}")


class TokenEndpoint:
    """`POST /auth/token`."""

    def __init__(self, clients: Mapping[str, Client], grants: Grants, tokens: Tokens) -> None:
        self._clients = clients
        self._grants = grants
        self._tokens = tokens

    async def token(self, request: Request) -> Response:
        """Answer one request."""
        form = await read_form(request)
        client = authenticate(request, form, self._clients)
        match form.get("grant_type"):
            case "authorization_code":
                return answer(self._of_code(form, client))
            case "refresh_token":
                return answer(self._of_refresh(form, client))
            case "client_credentials":
                return answer(self._of_service(form, client))
        raise OAuthError(
            "unsupported_grant_type",
            "grant_type must be authorization_code, refresh_token or client_credentials",
        )

    def _of_code(self, form: Mapping[str, str], client: Client) -> Json:
        text = form.get("code", "")
        code = self._grants.redeem(text)  # whoever fails below has used it up
        if code is None:
            raise invalid_grant("code: not known, used before, or too old")
        if code.grant.client_id != client.client_id:
            raise invalid_grant("client_id: the code was given to another application")
        if code.redirect_uri != form.get("redirect_uri"):
            raise invalid_grant("redirect_uri: not the one that the code was sent to")
        if not _proves(form.get("code_verifier", ""), code.challenge):
            raise invalid_grant("code_verifier: does not fit the code_challenge")
        grant_id = self._grants.add(code.grant)
        self._grants.spend(text, grant_id)
        told = self._tokens.answer(grant_id, code.grant)
        if code.grant.is_refreshable:
            told["refresh_token"] = self._grants.new_refresh(grant_id)
        return told

    def _of_refresh(self, form: Mapping[str, str], client: Client) -> Json:
        text = form.get("refresh_token", "")
        found = self._grants.refreshed_grant(text)
        if found is None:
            raise invalid_grant("refresh_token: not known, used before, revoked, or too old")
        grant_id, grant = found
        if grant.client_id != client.client_id:
            raise invalid_grant("client_id: the refresh token was given to another application")
        scopes = narrow(form["scope"].split(), grant.scopes) if form.get("scope") else grant.scopes
        if not scopes:
            raise OAuthError("invalid_scope", "scope: nothing of it was granted before")
        told = self._tokens.answer(grant_id, grant, scopes=scopes)
        return {**told, "refresh_token": self._grants.rotate(text, grant_id)}

    def _of_service(self, form: Mapping[str, str], client: Client) -> Json:
        """A service names the topic it joins, or is given a new one.

        Clients in the field read the topic from `topic` as well.
        """
        if not client.is_confidential:
            raise OAuthError("unauthorized_client", "client_credentials needs a client secret")
        topic = form.get("hub.topic") or form.get("topic") or str(uuid4())
        if not _TOPIC.fullmatch(topic):
            raise invalid_request("hub.topic: 1 to 256 visible ASCII characters")
        asked = form.get("scope", "").split() or client.scopes
        scopes = narrow(asked, client.scopes)
        if not scopes:
            raise OAuthError("invalid_scope", "scope: nothing of it can be granted")
        grant = Grant(client.client_id, scopes, topic)
        told = self._tokens.answer(self._grants.add(grant), grant)
        return {**told, "topic": topic} if has_fhircast(scopes) else told


def _proves(verifier: str, challenge: str) -> bool:
    """Tell whether this is the verifier of the challenge (RFC 7636 4.6, S256)."""
    if not _VERIFIER.fullmatch(verifier):
        return False
    made = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return hmac.compare_digest(made, challenge)
