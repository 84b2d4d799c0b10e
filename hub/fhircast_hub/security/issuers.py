"""Who issues the tokens that this hub believes, and with which keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fhircast_hub.protocol.errors import Unauthorized
from fhircast_hub.security.jws import is_signed_with

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_hub.security.claims import ClaimRules
    from fhircast_hub.security.jws import Unverified
    from fhircast_hub.security.key_sources import KeySource
    from fhircast_hub.security.keys import Key

_MAX_TRIES = 8
"""Keys tried for a token that names none; trying costs more than the token's sender paid."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer.

    Attributes:
        rules: What its tokens must say.
        source: Its keys.
    """

    rules: ClaimRules
    source: KeySource

    async def key_of(self, token: Unverified) -> Key:
        """Return the key of this issuer that verifies the token.

        Raises:
            Unauthorized: None does.
            Unavailable: The keys cannot be had now.
        """
        keys = await self.source.keys()
        verified = _verifying(token, keys)
        if verified is None and token.key_id not in {key.id for key in keys}:
            newer = await self.source.newer()
            verified = _verifying(token, newer) if newer != keys else None
        if verified is None:
            raise Unauthorized(
                "Authorization: no key of the issuer verifies the token", rule="SUB-10"
            )
        return verified


class Issuers:
    """All issuers; the `iss` of a token chooses one, and no other's keys are tried.

    Args:
        issuers: At most one without a name: it is for tokens whose issuer is not named by another.
    """

    def __init__(self, issuers: Iterable[Issuer]) -> None:
        self._by_name = {it.rules.issuer: it for it in issuers}

    def of(self, token: Unverified) -> Issuer:
        """Return the issuer that a token claims to be from.

        Raises:
            Unauthorized: None of them.
        """
        name = token.claims.get("iss")
        issuer = self._by_name.get(name) if isinstance(name, str) and name else None
        issuer = issuer or self._by_name.get("")
        if issuer is None:
            raise Unauthorized("Authorization: the token is of another issuer (iss)", rule="SUB-10")
        return issuer

    async def close(self) -> None:
        """Let go of connections."""
        for it in self._by_name.values():
            await it.source.close()


def _verifying(token: Unverified, keys: tuple[Key, ...]) -> Key | None:
    candidates = [it for it in keys if token.algorithm in it.algorithms and _is_named(it, token)]
    return next((it for it in candidates[:_MAX_TRIES] if is_signed_with(token, it)), None)


def _is_named(key: Key, token: Unverified) -> bool:
    """Tell whether a token may mean this key: one of both may lack an id."""
    return not key.id or token.key_id is None or key.id == token.key_id
