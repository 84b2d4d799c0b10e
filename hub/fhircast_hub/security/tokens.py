"""Bearer tokens: a header becomes a grant, or the caller is refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from fhircast_hub.protocol.errors import Unauthorized, Unavailable
from fhircast_hub.security.claims import grant_of
from fhircast_hub.security.grant import ANYBODY, Grant
from fhircast_hub.security.jws import read_token
from fhircast_hub.security.policy import ALLOW_ALL
from fhircast_hub.security.remembered import Remembered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_hub.clock import Clock
    from fhircast_hub.security.issuers import Issuer, Issuers
    from fhircast_hub.security.keys import Key
    from fhircast_hub.security.policy import Policy


class Verifier(Protocol):
    """Turns an Authorization header into a grant.

    Attributes:
        watch_seconds: How often the tokens of subscriptions are to be looked at again, 0 for never:
            then they end at their end and not before.
    """

    watch_seconds: float

    async def verify(self, authorization: str) -> Grant:
        """Return what the caller may do.

        Args:
            authorization: The header's value, "" if there is none.

        Raises:
            Unauthorized: No bearer token, or one that is not valid.
            Forbidden: A token that is bound to no topic, where that is demanded.
            Unavailable: It cannot be told now.
        """
        ...

    def recall(self, token_id: str) -> Grant | None:
        """Return the grant of a token, by its digest, that was verified and holds still.

        None if that cannot be told at once, or is not so: then `verify` tells.
        """
        ...

    async def is_withdrawn(self, token_id: str) -> bool:
        """Tell whether a token, by its digest, was valid and is so no more.

        One that is not known here is not withdrawn as far as anybody can tell.

        Raises:
            Unavailable: There is nobody to ask now.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class NoAuthentication:
    """Everybody may do everything: for trying things out on one machine.

    Args:
        policy: The site's own rules.
    """

    watch_seconds = 0.0

    def __init__(self, policy: Policy = ALLOW_ALL) -> None:
        self._grant = ANYBODY if policy is ALLOW_ALL else replace(ANYBODY, policy=policy)

    async def verify(self, authorization: str) -> Grant:
        """Return a grant for everything, whatever the header says."""
        return self._grant

    def recall(self, token_id: str) -> Grant:
        """See `Verifier.recall`."""
        return self._grant

    async def is_withdrawn(self, token_id: str) -> bool:
        """See `Verifier.is_withdrawn`."""
        return False

    async def close(self) -> None:
        """See `Verifier.close`."""


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """Bounds of what is read and remembered.

    Attributes:
        max_bytes: Length of a token; a longer one is refused unread.
        max_cached: Verified tokens that are remembered.
    """

    max_bytes: int = 8192
    max_cached: int = 10_000


@dataclass(frozen=True, slots=True)
class _Verified:
    grant: Grant
    issuer: Issuer
    key: Key


class JwtVerifier:
    """JSON Web Tokens that are signed with a key of a trusted issuer.

    What was verified once is remembered until its end, and holds as long as the issuer has the key.

    Args:
        issuers: Whom to believe.
        clock: Where the time comes from.
        limits: Bounds.
        watch_seconds: How often to look whether keys were withdrawn.
    """

    def __init__(
        self,
        issuers: Issuers,
        *,
        clock: Clock,
        limits: TokenLimits | None = None,
        watch_seconds: float = 0,
    ) -> None:
        self._issuers = issuers
        self._clock = clock
        self._limits = limits or TokenLimits()
        self._known: Remembered[_Verified] = Remembered(self._limits.max_cached)
        self.watch_seconds = watch_seconds

    async def verify(self, authorization: str) -> Grant:
        """See `Verifier.verify`.

        Spec: SUB-10, SMART-07, SMART-08.
        """
        text = bearer_token(authorization, self._limits.max_bytes)
        token_id = digest(text)
        known = self._known.get(token_id)
        if known is not None and await self._holds(known):
            return known.grant
        token = read_token(text)
        issuer = self._issuers.of(token)
        key = await issuer.key_of(token)
        now = self._clock.utc()
        grant = grant_of(token.claims, issuer.rules, now=now, token_id=token_id)
        self._known.put(token_id, _Verified(grant, issuer, key))
        return grant

    def recall(self, token_id: str) -> Grant | None:
        """See `Verifier.recall`."""
        known = self._known.get(token_id)
        if known is None or known.grant.has_expired(self._clock.utc()):
            return None
        return known.grant if _is_among(known.key, known.issuer.source.held() or ()) else None

    async def is_withdrawn(self, token_id: str) -> bool:
        """See `Verifier.is_withdrawn`: the issuer does not have its key any more.

        While the keys cannot be had it is not: to ask again for each token would bring no others.
        """
        known = self._known.get(token_id)
        try:
            return known is not None and not await _has_key(known)
        except Unavailable:
            return False

    async def close(self) -> None:
        """See `Verifier.close`."""
        await self._issuers.close()

    async def _holds(self, known: _Verified) -> bool:
        return not known.grant.has_expired(self._clock.utc()) and await _has_key(known)


async def _has_key(verified: _Verified) -> bool:
    return _is_among(verified.key, await verified.issuer.source.keys())


def _is_among(key: Key, keys: Iterable[Key]) -> bool:
    return any(it.thumbprint == key.thumbprint for it in keys)


def bearer_token(authorization: str, max_bytes: int) -> str:
    """Return the token of an Authorization header (RFC 6750, 2.1).

    Raises:
        Unauthorized: There is none, or it is too long.
    """
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("Authorization: a bearer token is needed", rule="SUB-10")
    if len(token) > max_bytes:
        raise Unauthorized(
            f"Authorization: the token is longer than {max_bytes} bytes", rule="SUB-10"
        )
    return token


def digest(token: str) -> str:
    """Return what stands for a token where it must not be kept."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()
