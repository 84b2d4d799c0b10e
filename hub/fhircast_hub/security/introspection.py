"""Opaque tokens: the authorization server that issued them is asked (RFC 7662)."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import msgspec

from fhircast_hub.protocol.errors import FhircastError, Unauthorized, Unavailable
from fhircast_hub.security.claims import grant_of
from fhircast_hub.security.fetching import Fetcher, FetchFailed
from fhircast_hub.security.joined import Joined
from fhircast_hub.security.remembered import Remembered
from fhircast_hub.security.tokens import TokenLimits, bearer_token, digest

if TYPE_CHECKING:
    from fhircast_hub.clock import Clock
    from fhircast_hub.security.claims import ClaimRules
    from fhircast_hub.security.grant import Grant

logger = logging.getLogger(__name__)

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, 2.1: nothing else is worth a question."""

_REFUSED_SECONDS = 5.0
"""How long a refusal is remembered at most: a server may know a token a moment later."""

_OUTAGE_SECONDS = 1.0
"""How long after a failure nobody is asked: a server that is down gets no flood when it is back."""

_ABOUT_THE_SERVER = frozenset({401, 403, 408, 425, 429})
"""Refusals that every question would get. Any other 4xx may be about this token alone (too long for
the server, or odd), and says nothing about those of others."""

_MAX_QUESTIONS = 50
"""At once, about tokens that were good before, and as many about others: who sends made-up tokens
must not keep out those who have one."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Whom to ask, and as whom.

    Attributes:
        url: Of the introspection endpoint.
        client_id: Name of the hub there, "" to ask without one.
        client_secret: Its secret.
    """

    url: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was last heard of a token; the token itself stays to be asked about again.

    Attributes:
        token: The token.
        grant: What it allows, None if it was good once and is not any more.
        fresh_until: Monotonic seconds; until then nobody is asked.
    """

    token: str = field(repr=False)
    grant: Grant | None
    fresh_until: float


class IntrospectingVerifier:
    """Tokens that the authorization server says are active.

    An answer holds for `fresh_seconds`, and never beyond the token's end. A server that cannot be
    asked lets nobody in whose answer is older than that, and ends nothing.

    Args:
        endpoint: Whom to ask.
        rules: What the answer must say.
        clock: Where the time comes from.
        fresh_seconds: How long an answer holds, and how often the tokens of subscriptions are asked
            about again.
        limits: Bounds.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        rules: ClaimRules,
        *,
        clock: Clock,
        fresh_seconds: float,
        limits: TokenLimits | None = None,
    ) -> None:
        it = endpoint
        # RFC 6749, 2.3.1: both are form-encoded before they become the parts of Basic.
        auth = (quote_plus(it.client_id), quote_plus(it.client_secret)) if it.client_id else None
        self._url = it.url
        self._fetcher = Fetcher(it.url, basic_auth=auth)
        self._rules = rules
        self._clock = clock
        self._limits = limits or TokenLimits()
        self._known: Remembered[_Answer] = Remembered(self._limits.max_cached)
        self._refused: Remembered[float] = Remembered(self._limits.max_cached)
        self._about_known: Joined[Grant] = Joined(_MAX_QUESTIONS)
        self._about_others: Joined[Grant] = Joined(_MAX_QUESTIONS)
        self._outage_until = -inf
        self._fresh_seconds = fresh_seconds
        self.watch_seconds = fresh_seconds

    async def verify(self, authorization: str) -> Grant:
        """See `Verifier.verify`.

        Spec: SMART-07, SMART-08, SUB-10.
        """
        token = bearer_token(authorization, self._limits.max_bytes)
        if not _TOKEN.fullmatch(token):
            raise _inactive()
        token_id, now = digest(token), self._clock.monotonic()
        known = self._known.get(token_id)
        if known is not None and known.grant is not None and now < known.fresh_until:
            if known.grant.has_expired(self._clock.utc()):
                raise _inactive()
            return known.grant
        if now < (self._refused.get(token_id) or -inf):
            raise _inactive()
        return await self._ask(token)

    def recall(self, token_id: str) -> Grant | None:
        """See `Verifier.recall`."""
        known = self._known.get(token_id)
        if known is None or known.grant is None:
            return None
        is_fresh = self._clock.monotonic() < known.fresh_until
        return known.grant if is_fresh and not known.grant.has_expired(self._clock.utc()) else None

    async def is_withdrawn(self, token_id: str) -> bool:
        """See `Verifier.is_withdrawn`: the server is asked again."""
        known = self._known.get(token_id)
        if known is None or known.grant is None:
            return known is not None
        try:
            await self._ask(known.token)
        except Unavailable:
            raise
        except FhircastError:
            return True
        return False

    async def close(self) -> None:
        """See `Verifier.close`."""
        await self._fetcher.close()

    async def _ask(self, token: str) -> Grant:
        token_id = digest(token)
        was_good = self._known.get(token_id) is not None
        questions = self._about_known if was_good else self._about_others
        return await questions.ask(token_id, lambda: self._introspect(token, token_id))

    async def _introspect(self, token: str, token_id: str) -> Grant:
        claims = await self._claims_of(token, token_id)
        now = self._clock.monotonic()
        try:
            if claims.get("active") is not True:
                raise _inactive()
            grant = grant_of(claims, self._rules, now=self._clock.utc(), token_id=token_id)
        except FhircastError:
            if self._known.get(token_id) is not None:
                self._known.put(token_id, _Answer(token, None, now))
            self._note_refusal(token_id)
            raise
        self._refused.drop(token_id)
        self._known.put(token_id, _Answer(token, grant, now + self._fresh_seconds))
        return grant

    async def _claims_of(self, token: str, token_id: str) -> dict[str, Any]:
        if self._clock.monotonic() < self._outage_until:
            raise _nobody_to_ask()
        form = {"token": token, "token_type_hint": "access_token"}
        try:
            claims = msgspec.json.decode(await self._fetcher.post(self._url, form))
            if not isinstance(claims, dict):
                raise FetchFailed("an answer that is no object")
        except FetchFailed as error:
            if 400 <= error.status < 500 and error.status not in _ABOUT_THE_SERVER:
                raise self._not_taken(token_id, error) from None
            self._note_outage(str(error))
            raise _nobody_to_ask() from None
        except (ValueError, RecursionError):
            self._note_outage("an answer that is no JSON")
            raise _nobody_to_ask() from None
        return claims

    def _not_taken(self, token_id: str, error: FetchFailed) -> FhircastError:
        """Return the refusal of a token that the server does not judge.

        One that was good before is not ended by it: the fault may be the server's after all.
        """
        logger.warning("a question about a token was refused: %s", error)
        if self._known.get(token_id) is not None:
            return _nobody_to_ask()
        self._note_refusal(token_id)
        return _inactive()

    def _note_refusal(self, token_id: str) -> None:
        seconds = min(self._fresh_seconds, _REFUSED_SECONDS)
        self._refused.put(token_id, self._clock.monotonic() + seconds)

    def _note_outage(self, kind: str) -> None:
        logger.warning("a token could not be introspected: %s", kind)
        self._outage_until = self._clock.monotonic() + _OUTAGE_SECONDS


def _inactive() -> Unauthorized:
    return Unauthorized("Authorization: the token is not active", rule="SUB-10, SMART-07")


def _nobody_to_ask() -> Unavailable:
    return Unavailable("the tokens' issuer cannot be asked now", rule="SMART-07")
