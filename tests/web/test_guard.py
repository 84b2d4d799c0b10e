"""Bad tokens: what one address may try, and that its neighbours do not suffer."""

from __future__ import annotations

import pytest
from fhircast_hub.protocol.errors import LimitReached, TokenExpired, Unauthorized
from fhircast_hub.security.grant import ANYBODY, Grant
from fhircast_hub.security.tokens import NoAuthentication
from fhircast_hub.web import guard
from fhircast_hub.web.guard import TokenGuard

PEER = "192.0.2.7"


class OneToken(NoAuthentication):
    """A verifier that knows one token, and counts how often it was asked."""

    def __init__(self) -> None:
        self.good = "Bearer good"
        self.asked = 0

    async def verify(self, authorization: str) -> Grant:
        self.asked += 1
        if authorization != self.good:
            raise Unauthorized("Authorization: the token is not valid", rule="SUB-10")
        return ANYBODY


async def outcome(guard: TokenGuard, token: str, *, peer: str = PEER, now: float = 0) -> str:
    try:
        await guard.verify(f"Bearer {token}", peer, now)
    except Unauthorized:
        return "401"
    except LimitReached as refusal:
        return f"429 {refusal.retry_after_seconds}"
    return "in"


async def test_a_genuine_token_whose_time_is_over_is_no_guess() -> None:
    """SUB-10: a site that comes back with old tokens does not put off its new ones."""

    class Over(OneToken):
        async def verify(self, authorization: str) -> Grant:
            raise TokenExpired

    guard = TokenGuard(Over(), max_bad_per_minute=3)
    assert {await outcome(guard, f"old {it}") for it in range(9)} == {"401"}


async def test_many_different_bad_tokens_are_put_off_unverified() -> None:
    """SUB-10: 429 before the verification, until the count comes back."""
    verifier = OneToken()
    guard = TokenGuard(verifier, max_bad_per_minute=3)
    assert [await outcome(guard, f"bad {it}") for it in range(4)] == ["401"] * 3 + ["429 20"]
    assert verifier.asked == 3
    assert await outcome(guard, "bad 9", now=21) == "401"
    assert await outcome(guard, "bad 5", peer="192.0.2.8") == "401"


async def test_a_token_known_to_be_good_is_never_put_off() -> None:
    """SUB-10: who works behind the same address goes on working."""
    guard = TokenGuard(OneToken(), max_bad_per_minute=1)
    assert await outcome(guard, "good") == "in"
    assert [await outcome(guard, f"bad {it}") for it in range(2)] == ["401", "429 60"]
    assert await outcome(guard, "good") == "in"


async def test_one_broken_application_does_not_use_the_count_up() -> None:
    """SUB-10: its one bad token is refused without a second look, and counts once in a while."""
    verifier = OneToken()
    guard = TokenGuard(verifier, max_bad_per_minute=30)
    for tenth in range(600):
        assert await outcome(guard, "bad", now=tenth / 10) == "401"
    assert verifier.asked == 12
    assert await outcome(guard, "good", now=60) == "in"


async def test_a_bad_token_may_become_good() -> None:
    """SUB-10: its time may come, or its key: it is looked at again after a few seconds."""
    verifier = OneToken()
    guard = TokenGuard(verifier, max_bad_per_minute=30)
    assert await outcome(guard, "new") == "401"
    verifier.good = "Bearer new"
    assert [await outcome(guard, "new", now=it) for it in (4, 6)] == ["401", "in"]


async def test_a_good_token_may_become_bad() -> None:
    """SUB-10: known once is not known for ever."""
    verifier = OneToken()
    guard = TokenGuard(verifier, max_bad_per_minute=1)
    assert await outcome(guard, "good") == "in"
    verifier.good = ""
    assert [await outcome(guard, it) for it in ("good", "good", "x")] == ["401", "401", "429 60"]


async def test_no_token_is_no_attempt() -> None:
    """SUB-10: 401, and nothing counted."""
    guard = TokenGuard(OneToken(), max_bad_per_minute=1)
    for _ in range(3):
        with pytest.raises(Unauthorized):
            await guard.verify("", PEER, 0)
    assert await outcome(guard, "bad") == "401"


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """SUB-10: the oldest is forgotten."""
    monkeypatch.setattr(guard, "_MAX_REMEMBERED", 2)
    verifier = OneToken()
    it = TokenGuard(verifier, max_bad_per_minute=0)
    for number in range(5):
        await outcome(it, f"bad {number}")
        verifier.good = f"Bearer good {number}"
        await outcome(it, f"good {number}")
    assert (len(it._refused), len(it._known)) == (2, 2)
