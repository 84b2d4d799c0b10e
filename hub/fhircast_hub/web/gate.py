"""The gate of hub.url: who calls, and whether the call may come in now."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum
from math import ceil
from typing import TYPE_CHECKING, Self

from fhircast_hub.protocol.errors import LimitReached, TokenExpired
from fhircast_hub.security.grant import ANYBODY
from fhircast_hub.web.guard import TokenGuard
from fhircast_hub.web.peers import RateLimit, peer_key

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request

    from fhircast_hub.clock import Clock
    from fhircast_hub.config import Settings
    from fhircast_hub.security.grant import Grant
    from fhircast_hub.security.tokens import Verifier


logger = logging.getLogger(__name__)

_TELL_SECONDS = 60
"""How often the log is told that a limit strikes: the one who is put off must not fill it."""


_OF_ADDRESS, _OF_HOLDER = "from this address", "of this token's holder"


class Kind(Enum):
    """What a request is, as far as it shows before its body is read; named as in the settings."""

    SUBSCRIBE = "subscribes"
    PUBLISH = "publishes"
    READ = "reads"


@dataclass(frozen=True, slots=True)
class _Limits:
    """The counts of one kind of request."""

    of_peer: RateLimit
    of_holder: RateLimit

    @classmethod
    def of(cls, kind: Kind, settings: Settings) -> Self:
        per_minute = f"max_{kind.value}_per_minute"
        return cls(
            RateLimit(getattr(settings, per_minute)),
            RateLimit(getattr(settings, f"{per_minute}_and_token")),
        )


@dataclass(frozen=True, slots=True)
class Pass:
    """Who was admitted, kept to admit the same caller again.

    Attributes:
        peer: Key of the address.
        token_id: Digest of the token, "" for none.
    """

    peer: str
    token_id: str


class Gate:
    """Every request to hub.url passes here before its body is read."""

    def __init__(self, verifier: Verifier, settings: Settings, clock: Clock) -> None:
        self._verifier = verifier
        self._guard = TokenGuard(verifier, max_bad_per_minute=settings.max_bad_tokens_per_minute)
        self._clock = clock
        self._told: dict[str, float] = {}
        self._limits = {kind: _Limits.of(kind, settings) for kind in Kind}

    async def admit(self, request: Request) -> Grant:
        """Return what the caller may do.

        An address that has used up what it may do is put off first, so that nobody can make the hub
        verify without end. What is refused counts for its token, if at all, and not for the
        address: one broken application must not use up what its neighbours may do.

        Raises:
            Unauthorized: No valid token (SUB-10).
            Forbidden: A token that is bound to no topic, where that is demanded.
            Unavailable: It cannot be told now whether the token is valid.
            LimitReached: Too many requests of this kind, or bad tokens, in too short a time.
        """
        kind, now, peer = _kind_of(request), self._clock.monotonic(), peer_of(request)
        limits, authorization = self._limits[kind], request.headers.get("authorization", "")
        self._require(limits.of_peer.peek(peer, now), kind, _OF_ADDRESS)
        grant = await self._guard.verify(authorization, peer, now)
        if grant.subject != ANYBODY.subject:
            wait = limits.of_holder.wait_seconds(grant.subject, now)
            self._require(wait, kind, _OF_HOLDER)
        self._require(limits.of_peer.wait_seconds(peer, now), kind, _OF_ADDRESS)
        return grant

    def readmit(self, known: Pass) -> Grant | None:
        """Return what the caller of another publish may do; to be counted by `count`.

        None if that cannot be told at once or the caller has to wait: then `admit` tells.
        """
        grant = self._verifier.recall(known.token_id)
        if grant is None:
            return None
        limits, now = self._limits[Kind.PUBLISH], self._clock.monotonic()
        has_to_wait = limits.of_peer.peek(known.peer, now) or (
            grant.subject != ANYBODY.subject and limits.of_holder.peek(grant.subject, now)
        )
        return None if has_to_wait else grant

    def count(self, known: Pass, grant: Grant) -> None:
        """Count a publish of a caller who was admitted again."""
        limits, now = self._limits[Kind.PUBLISH], self._clock.monotonic()
        if grant.subject != ANYBODY.subject:
            limits.of_holder.wait_seconds(grant.subject, now)
        limits.of_peer.wait_seconds(known.peer, now)

    def require_live(self, grant: Grant) -> None:
        """Pass if the token has not ended while its request came in.

        Raises:
            TokenExpired: It has.
        """
        if grant.has_expired(self._clock.utc()):
            raise TokenExpired

    def _require(self, wait_seconds: float, kind: Kind, whose: str) -> None:
        if not wait_seconds:
            return
        reason, now = f"too many {kind.value} {whose}", self._clock.monotonic()
        if now - self._told.get(reason, -_TELL_SECONDS) >= _TELL_SECONDS:
            self._told[reason] = now
            logger.warning("limit reached: %s", reason)
        raise LimitReached(
            f"{reason}; try again later",
            rule=f"FHIRCAST_MAX_{kind.value.upper()}_PER_MINUTE"
            + "_AND_TOKEN" * (whose == _OF_HOLDER),
            retry_after_seconds=ceil(wait_seconds),
        )


def peer_of(connection: HTTPConnection) -> str:
    """Return the key of the address that a request comes from."""
    return peer_key(connection.client.host) if connection.client else ""


def _kind_of(request: Request) -> Kind:
    if request.method in {"GET", "HEAD"}:
        return Kind.READ
    is_form = request.headers.get("content-type", "").lower().startswith("application/x-www-form")
    return Kind.SUBSCRIBE if is_form else Kind.PUBLISH
