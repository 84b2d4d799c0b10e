"""Bearer tokens: a header becomes a grant, or the caller is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import jwt

from fhircast_hub.protocol.errors import Unauthorized
from fhircast_hub.protocol.scopes import parse_scopes
from fhircast_hub.security.grant import ANYBODY, Grant

_PUBLIC_KEY_ALGORITHMS = ("RS256", "ES256", "EdDSA")


class Verifier(Protocol):
    """Turns an Authorization header into a grant."""

    async def verify(self, authorization: str) -> Grant:
        """Return what the caller may do.

        Args:
            authorization: The header's value, "" if there is none.

        Raises:
            Unauthorized: No bearer token, or one that is not valid.
        """
        ...


class NoAuthentication:
    """Everybody may do everything: for trying things out on one machine."""

    async def verify(self, authorization: str) -> Grant:
        """Return a grant for everything, whatever the header says."""
        return ANYBODY


class JwtVerifier:
    """JSON Web Tokens signed with one key that both sides know, or with its private half.

    The algorithm is fixed by the kind of key and never taken from the token.
    """

    def __init__(self, key: str, *, issuer: str = "", audience: str = "") -> None:
        self._key, self._algorithms = _load_key(key)
        self._issuer = issuer or None
        self._audience = audience or None

    async def verify(self, authorization: str) -> Grant:
        """See `Verifier.verify`.

        Spec: SUB-10, SMART-08.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("Authorization: a bearer token is needed", rule="SUB-10")
        try:
            claims = jwt.decode(
                token.strip(),
                self._key,
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                options={"require": ["exp"], "verify_aud": self._audience is not None},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthorized("Authorization: the token has expired", rule="SUB-10") from None
        except jwt.PyJWTError:
            raise Unauthorized("Authorization: the token is not valid", rule="SUB-10") from None
        return _grant(claims)


_LAST_SECOND = 253_402_300_799
"""Of the year 9999: some issuers count in milliseconds, and dates end there."""


def _grant(claims: dict[str, Any]) -> Grant:
    subject, client = str(claims.get("sub", "")), str(claims.get("client_id", ""))
    return Grant(
        subject=f"{subject}|{client}",
        client_name=client or subject or "subscriber",
        scopes=parse_scopes(str(claims.get("scope", ""))),
        topic=str(claims.get("hub.topic", "")),
        expires_at=datetime.fromtimestamp(min(int(claims["exp"]), _LAST_SECOND), UTC),
    )


def _load_key(key: str) -> tuple[Any, tuple[str, ...]]:
    """Return the key and the algorithms of its kind: a PEM file's, or a shared secret's."""
    if key.endswith(".pem"):
        return Path(key).read_text(), _PUBLIC_KEY_ALGORITHMS
    return key, ("HS256",)
