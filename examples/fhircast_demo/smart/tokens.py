"""Access tokens and id tokens, and the answer that carries them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import jwt

from fhircast_demo.smart.scopes import has_fhircast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fhircast_demo.smart.grants import Grant, Grants
    from fhircast_demo.smart.keys import Keys
    from fhircast_demo.smart.settings import SmartSettings
    from fhircast_demo.smart.users import User

Json = dict[str, Any]
_MAX_TOKEN_CHARACTERS = 8192
_REQUIRED = ["exp", "iat", "jti", "iss", "aud", "grant_id"]


class Tokens:
    """Makes tokens and reads them."""

    def __init__(
        self, settings: SmartSettings, keys: Keys, grants: Grants, now: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._grants = grants
        self._now = now

    def answer(
        self, grant_id: str, grant: Grant, *, scopes: Iterable[str] | None = None, seconds: int = 0
    ) -> Json:
        """Return the token answer of a grant, without a refresh token (SMART-03, SMART-04, D-39).

        Args:
            grant_id: Its id.
            grant: The grant.
            scopes: Fewer scopes, if the application asked for fewer.
            seconds: Life of the token; 0 is the usual one.
        """
        granted = grant.scopes if scopes is None else tuple(scopes)
        seconds = seconds or self._settings.access_seconds
        answer: Json = {
            "access_token": self._access_token(grant_id, grant, granted, seconds),
            "token_type": "Bearer",
            "expires_in": seconds,
            "scope": " ".join(granted),
            **self._session(granted, grant.topic),
        }
        if "openid" in granted and grant.user is not None:
            answer["id_token"] = self._id_token(grant, grant.user, granted)
        return answer

    def _access_token(
        self, grant_id: str, grant: Grant, scopes: tuple[str, ...], seconds: int
    ) -> str:
        now = int(self._now())
        claims = {
            "iss": self._settings.issuer,
            "aud": [self._settings.hub_url, self._settings.fhir_base],
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "jti": str(uuid4()),
            "sub": grant.user.id if grant.user else grant.client_id,
            "client_id": grant.client_id,
            "scope": " ".join(scopes),
            "grant_id": grant_id,
        }
        if has_fhircast(scopes):
            claims["hub.topic"] = grant.topic
        return self._keys.access.sign(claims)

    def _id_token(self, grant: Grant, user: User, scopes: tuple[str, ...]) -> str:
        now = int(self._now())
        claims = {
            "iss": self._settings.issuer,
            "aud": grant.client_id,
            "sub": user.id,
            "iat": now,
            "exp": now + self._settings.access_seconds,
        }
        if grant.nonce:
            claims["nonce"] = grant.nonce
        if "profile" in scopes:
            claims["name"] = user.name
        if "fhirUser" in scopes:
            claims["fhirUser"] = self._practitioner(user)
        return self._keys.identity.sign(claims)

    def _practitioner(self, user: User) -> str:
        return f"{self._settings.fhir_base}/Practitioner/{user.practitioner}"

    def _session(self, scopes: Iterable[str], topic: str) -> Json:
        """Return the session to join; without a FHIRcast scope there is none (SMART-03)."""
        if not has_fhircast(scopes):
            return {}
        return {"hub.url": self._settings.hub_url, "hub.topic": topic}

    def read(self, token: str) -> Json | None:
        """Return the claims of an access token that holds now, None for anything else."""
        key = self._keys.access
        if len(token) > _MAX_TOKEN_CHARACTERS:
            return None
        try:
            claims: Json = jwt.decode(
                token,
                key.checks,
                algorithms=[key.algorithm],
                audience=self._settings.fhir_base,
                issuer=self._settings.issuer,
                # The times are looked at below, by the same clock that wrote them.
                options={
                    "require": _REQUIRED,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError):
            return None
        holds = claims["exp"] > self._now() and self._grants.find(claims["grant_id"]) is not None
        return claims if holds else None

    def introspected(self, token: str) -> Json:
        """Return what is told of a token (RFC 7662, SMART-07; D-39: with topic and hub)."""
        claims = self.read(token)
        grant = self._grants.find(claims["grant_id"]) if claims else None
        if claims is None or grant is None:
            return {"active": False}
        scopes = str(claims["scope"]).split()
        told = {name: it for name, it in claims.items() if name != "grant_id"}
        answer = {"active": True, "token_type": "Bearer", **told}
        answer |= self._session(scopes, grant.topic)
        if "fhirUser" in scopes and grant.user is not None:
            answer["fhirUser"] = self._practitioner(grant.user)
        return answer
