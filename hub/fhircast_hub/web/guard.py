"""Bad tokens: how many one address may try, and how nobody else behind that address suffers.

A hospital comes from one address, and one broken application there may ask ten times a second with
a token that is not valid. Three things keep the others out of its way:

- What has been verified before is never put off: only tokens that are not known yet are.
- A bad token counts once in a while, however often it is sent: it is remembered and refused without
  a second look. One broken application has one token, so it never uses the address's count up.
- The count is of different bad tokens, which only a guesser has many of, and comes back evenly. A
  genuine token whose time is over is no guess: on Monday morning a whole site may come with those.

While somebody guesses from the same address, a new user there may be put off for a moment.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from fhircast_hub.protocol.errors import LimitReached, TokenExpired, Unauthorized
from fhircast_hub.security.remembered import Remembered
from fhircast_hub.security.tokens import digest
from fhircast_hub.web.peers import RateLimit

if TYPE_CHECKING:
    from fhircast_hub.security.grant import Grant
    from fhircast_hub.security.tokens import Verifier

_MAX_REMEMBERED = 10_000
_REFUSED_SECONDS = 5.0
"""How long a bad token is remembered: short, since it may become good (nbf, a new key)."""


class TokenGuard:
    """Stands before a verifier and bounds what one peer can make it do."""

    def __init__(self, verifier: Verifier, *, max_bad_per_minute: int) -> None:
        self._verifier = verifier
        self._bad = RateLimit(max_bad_per_minute)
        self._known: Remembered[bool] = Remembered(_MAX_REMEMBERED)
        self._refused: Remembered[tuple[float, Unauthorized]] = Remembered(_MAX_REMEMBERED)

    async def verify(self, authorization: str, peer: str, now: float) -> Grant:
        """Return what the caller may do.

        Args:
            authorization: The header's value, "" if there is none.
            peer: Key of the caller's address.
            now: Monotonic seconds.

        Raises:
            Unauthorized: No bearer token, or one that is not valid.
            LimitReached: Too many bad tokens came from this address, and this one is not known.
        """
        if " " not in authorization:  # no token, so nothing is tried
            return await self._verifier.verify(authorization)
        token_id = digest(authorization)
        if self._known.get(token_id) is None:
            self._require_unrefused(token_id, now)
            self._require_patience(peer, now)
        try:
            grant = await self._verifier.verify(authorization)
        except Unauthorized as refusal:
            self._known.drop(token_id)
            if not isinstance(refusal, TokenExpired):
                self._bad.wait_seconds(peer, now)
            self._refused.put(token_id, (now + _REFUSED_SECONDS, refusal))
            raise
        self._known.put(token_id, True)
        return grant

    def _require_unrefused(self, token_id: str, now: float) -> None:
        """Refuse again what was refused a moment ago; it counts for nobody."""
        until, refusal = self._refused.get(token_id) or (now, None)
        if refusal is not None and until > now:
            raise refusal.with_traceback(None)

    def _require_patience(self, peer: str, now: float) -> None:
        if wait := self._bad.peek(peer, now):
            raise LimitReached(
                "Authorization: too many bad tokens from this address; try again later",
                rule="SUB-10",
                retry_after_seconds=ceil(wait),
            )
