"""Claims become a grant: the same rules for a signed token and for an answer of introspection.

Values only. Whatever type a claim has, the outcome is a grant or a refusal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fhircast_hub.protocol.errors import Forbidden, TokenExpired, Unauthorized
from fhircast_hub.protocol.scopes import parse_scopes
from fhircast_hub.security.grant import Grant
from fhircast_hub.security.policy import ALLOW_ALL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhircast_hub.security.policy import Policy

_LAST_SECOND = 253_402_300_799
"""Of the year 9999: some issuers count in milliseconds, and dates end there."""


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What a token must say.

    Attributes:
        issuer: Its `iss`, "" for any.
        audiences: One of them must be in its `aud`; none: any.
        leeway_seconds: How far `nbf` and `iat` may lie ahead; the end of a token has no leeway.
        requires_expiry: Whether `exp` must be there; an answer of introspection may lack it.
        requires_topic: Whether `hub.topic` must be there.
        policy: The site's own rules, for the grant.
    """

    issuer: str = ""
    audiences: frozenset[str] = frozenset()
    leeway_seconds: float = 30
    requires_expiry: bool = True
    requires_topic: bool = False
    policy: Policy = ALLOW_ALL


def grant_of(
    claims: Mapping[str, Any], rules: ClaimRules, *, now: datetime, token_id: str
) -> Grant:
    """Return what a token allows, given that it is genuine.

    Args:
        claims: As decoded from JSON.
        rules: What they must say.
        now: Aware UTC.
        token_id: Digest of the token.

    Raises:
        Unauthorized: Not valid now, not from the issuer, not for this hub, or not readable.
        Forbidden: Bound to no topic where that is demanded.

    Spec: 2.1, 2.2; SUB-09, SUB-10, SMART-07, SMART-08, SCO-01.
    """
    expires_at = _check_times(claims, rules, now)
    _check_origin(claims, rules)
    user, client = _text(claims, "sub"), _text(claims, "client_id") or _text(claims, "azp")
    topic = _text(claims, "hub.topic")
    if rules.requires_topic and not topic:
        raise Forbidden("hub.topic: the token is bound to no topic", rule="SMART-08, SEC-04")
    return Grant(
        subject=_owner(_text(claims, "iss"), user, client, token_id),
        client_name=client or user or "subscriber",
        scopes=parse_scopes(_scope(claims)),
        topic=topic,
        expires_at=expires_at,
        token_id=token_id,
        policy=rules.policy,
    )


def _check_times(claims: Mapping[str, Any], rules: ClaimRules, now: datetime) -> datetime | None:
    second = now.timestamp()
    expiry = _moment(claims, "exp")
    if expiry is None and rules.requires_expiry:
        raise _refused("the token has no end (exp)")
    if expiry is not None and expiry <= second:
        raise TokenExpired
    for name in ("nbf", "iat"):
        moment = _moment(claims, name)
        if moment is not None and moment > second + rules.leeway_seconds:
            raise _refused(f"the token is not valid yet ({name})")
    return None if expiry is None else datetime.fromtimestamp(min(expiry, _LAST_SECOND), UTC)


def _check_origin(claims: Mapping[str, Any], rules: ClaimRules) -> None:
    if rules.issuer and _text(claims, "iss") != rules.issuer:
        raise _refused("the token is of another issuer (iss)")
    if rules.audiences and rules.audiences.isdisjoint(_texts(claims, "aud")):
        raise _refused("the token is for another audience (aud)")


def _owner(issuer: str, user: str, client: str, token_id: str) -> str:
    """Return whose subscriptions these are; no two owners share a text.

    The same user name at two issuers is two people. A token that names nobody owns what was made
    with it, and nothing else.
    """
    if not (user or client):
        return f"token:{token_id}"
    parts = (issuer, user, client) if issuer else (user, client)
    return "|".join(it.replace("%", "%25").replace("|", "%7C") for it in parts)


def _scope(claims: Mapping[str, Any]) -> str:
    """Return the scopes: one text (RFC 8693), or a list; some issuers call them `scp`."""
    return " ".join(_texts(claims, "scope") or _texts(claims, "scp"))


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _refused(f"the token is not readable ({name})")
    return value


def _texts(claims: Mapping[str, Any], name: str) -> list[str]:
    value = claims.get(name)
    values = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(it, str) for it in values):
        raise _refused(f"the token is not readable ({name})")
    return values


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    # A bool is an int to Python; and an int may be too large to be asked whether it is finite.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(f"the token is not readable ({name})")
    if isinstance(value, float) and not math.isfinite(value):
        raise _refused(f"the token is not readable ({name})")
    return min(max(value, 0), _LAST_SECOND)


def _refused(reason: str) -> Unauthorized:
    return Unauthorized(f"Authorization: {reason}", rule="SUB-10, SMART-07")
