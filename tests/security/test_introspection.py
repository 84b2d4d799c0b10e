"""Opaque tokens: who is asked, how often, and what an outage means."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fhircast_hub.protocol.errors import FhircastError, Forbidden, Unauthorized, Unavailable
from fhircast_hub.security.claims import ClaimRules
from fhircast_hub.security.introspection import Endpoint, IntrospectingVerifier
from fhircast_hub.security.joined import Joined
from fhircast_hub.security.tokens import TokenLimits
from issuing import IntrospectionServer, introspection_server, key_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fhircast_hub.security.grant import Grant


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def utc(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return 1000 + self.ahead


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
async def server() -> AsyncIterator[IntrospectionServer]:
    async with introspection_server() as fake:
        yield fake


@pytest.fixture
async def verifier(
    server: IntrospectionServer, clock: Hands
) -> AsyncIterator[IntrospectingVerifier]:
    it = verifier_at(server.url, clock)
    yield it
    await it.close()


def verifier_at(
    url: str, clock: Hands, *, client_id: str = "", secret: str = "", **rules: Any
) -> IntrospectingVerifier:
    return IntrospectingVerifier(
        Endpoint(url, client_id, secret),
        ClaimRules(requires_expiry=False, **rules),
        clock=clock,
        fresh_seconds=60,
        limits=TokenLimits(max_cached=3),
    )


async def grant(verifier: IntrospectingVerifier, token: str) -> Grant:
    return await verifier.verify(f"Bearer {token}")


async def test_an_answer_becomes_a_grant(
    server: IntrospectionServer, verifier: IntrospectingVerifier
) -> None:
    """SMART-07, D-39: scope, client_id, sub, exp and hub.topic are read."""
    claims = {"client_id": "viewer", "scope": "fhircast/Patient-open.read", "hub.topic": "t"}
    server.issue("opaque", **claims)
    found = await grant(verifier, "opaque")
    assert (found.subject, found.client_name, found.topic) == ("user|viewer", "viewer", "t")
    assert found.scopes.allow("patient-open", "read")
    assert found.expires_at is not None


async def test_the_hub_says_who_it_is(server: IntrospectionServer, clock: Hands) -> None:
    """SMART-07: RFC 6749, 2.3.1: form-encoded, then Basic; the secret does not show itself."""
    verifier = verifier_at(server.url, clock, client_id="hub:1", secret="s %")
    server.issue("opaque")
    await grant(verifier, "opaque")
    await verifier.close()
    assert base64.b64decode(server.authorization.removeprefix("Basic ")) == b"hub%3A1:s+%25"
    assert "s %" not in repr(Endpoint(server.url, "hub", "s %"))


async def test_an_answer_holds_for_a_while(
    server: IntrospectionServer, verifier: IntrospectingVerifier, clock: Hands
) -> None:
    """SMART-07: then the server is asked again, and what it says now counts."""
    server.issue("opaque", exp=None)
    await grant(verifier, "opaque")
    del server.tokens["opaque"]
    clock.ahead = 59
    await grant(verifier, "opaque")
    assert server.asked == ["opaque"]
    clock.ahead = 60
    with pytest.raises(Unauthorized):
        await grant(verifier, "opaque")


async def test_an_answer_never_holds_longer_than_the_token(
    server: IntrospectionServer, verifier: IntrospectingVerifier, clock: Hands
) -> None:
    """SMART-07, SMART-08: cached up to exp."""
    server.issue("opaque", exp=datetime.now(UTC).timestamp() + 30)
    await grant(verifier, "opaque")
    clock.ahead = 31
    with pytest.raises(Unauthorized):
        await grant(verifier, "opaque")


NOT_ACTIVE: list[dict[str, Any]] = [
    {"active": False},
    {"active": "true"},
    {"active": 1},
    {},
    {"active": True, "exp": 1},
    {"active": True, "scope": 7},
    {"active": True, "hub.topic": ["t"]},
]


@pytest.mark.parametrize("answer", NOT_ACTIVE, ids=json.dumps)
async def test_what_is_not_active_is_refused_and_remembered_shortly(
    server: IntrospectionServer,
    verifier: IntrospectingVerifier,
    clock: Hands,
    answer: dict[str, Any],
) -> None:
    """SMART-07, SUB-10: 401; a broken client does not become a flood of questions."""
    server.tokens["opaque"] = answer
    for _ in range(3):
        with pytest.raises(Unauthorized):
            await grant(verifier, "opaque")
    assert server.asked == ["opaque"]
    clock.ahead = 5
    server.issue("opaque")
    assert await grant(verifier, "opaque")


async def test_the_answer_must_be_for_this_hub(server: IntrospectionServer, clock: Hands) -> None:
    """SMART-07: aud and iss as configured, a topic if it is demanded."""
    rules: dict[str, Any] = {
        "issuer": "as",
        "audiences": frozenset({"hub"}),
        "requires_topic": True,
    }
    verifier = verifier_at(server.url, clock, **rules)
    good = {"iss": "as", "aud": ["hub"], "hub.topic": "t"}
    server.issue("good", **good)
    for name in good:
        server.issue(name, **{**good, name: None})
    assert await grant(verifier, "good")
    for name, error in (("iss", Unauthorized), ("aud", Unauthorized), ("hub.topic", Forbidden)):
        with pytest.raises(error):
            await grant(verifier, name)
    await verifier.close()


@pytest.mark.parametrize("token", ["x y", "x\ny", "é", "a&token=b", "=", "x" * 9000])
async def test_what_is_no_token_is_not_asked_about(
    server: IntrospectionServer, verifier: IntrospectingVerifier, token: str
) -> None:
    """SUB-10: RFC 6750, 2.1."""
    with pytest.raises(Unauthorized):
        await grant(verifier, token)
    assert server.asked == []


async def test_those_who_ask_about_one_token_get_one_answer(
    server: IntrospectionServer, verifier: IntrospectingVerifier
) -> None:
    """SMART-07."""
    server.issue("opaque")
    server.hold.clear()
    asking = [asyncio.create_task(grant(verifier, "opaque")) for _ in range(20)]
    await server.arrived.wait()
    server.hold.set()
    assert len(set(map(id, await asyncio.gather(*asking)))) == 1
    assert server.asked == ["opaque"]


async def test_nobody_is_let_in_or_sent_away_while_nobody_can_be_asked(
    server: IntrospectionServer, verifier: IntrospectingVerifier, clock: Hands
) -> None:
    """SMART-07: 503, not 401 and not a way in; what is known holds for its time."""
    server.issue("known", exp=None)
    await grant(verifier, "known")
    server.outage = 500
    server.issue("new")
    assert await grant(verifier, "known")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await grant(verifier, "new")
    assert server.asked == ["known", "new"]
    clock.ahead = 61
    with pytest.raises(Unavailable):
        await grant(verifier, "known")
    server.outage = 0
    clock.ahead = 63
    assert await grant(verifier, "known")


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_a_question_that_is_refused_is_about_one_token(
    server: IntrospectionServer, verifier: IntrospectingVerifier, clock: Hands, status: int
) -> None:
    """SMART-07, SUB-10: 401 for the odd token, remembered shortly; others do not hear of it."""
    server.refused["odd"] = status
    server.issue("good")
    for _ in range(3):
        with pytest.raises(Unauthorized):
            await grant(verifier, "odd")
        assert await grant(verifier, "good")
    assert server.asked == ["odd", "good"]
    clock.ahead = 5
    with pytest.raises(Unauthorized):
        await grant(verifier, "odd")
    assert server.asked == ["odd", "good", "odd"]


@pytest.mark.parametrize("status", [302, 401, 403, 429, 500, 503])
async def test_a_refusal_of_the_hub_is_an_outage(
    server: IntrospectionServer, verifier: IntrospectingVerifier, status: int
) -> None:
    """SMART-07: any other question would be answered so, too; none is asked for a moment."""
    server.outage = status
    for token in ("a", "b"):
        with pytest.raises(Unavailable):
            await grant(verifier, token)
    assert server.asked == ["a"]


async def test_a_question_that_is_refused_ends_no_token_that_was_good(
    server: IntrospectionServer, verifier: IntrospectingVerifier, clock: Hands
) -> None:
    """SMART-07, CONF-06: a server that has moved does not end the sessions of a whole site."""
    token_id = (await grant(verifier, server.issue("opaque", exp=None))).token_id
    server.refused["opaque"] = 404
    with pytest.raises(Unavailable):
        await verifier.is_withdrawn(token_id)
    clock.ahead = 60
    with pytest.raises(Unavailable):
        await grant(verifier, "opaque")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b"[" * 100_000, b"\xff"])
async def test_an_answer_that_is_none_is_an_outage(body: bytes, clock: Hands) -> None:
    """SMART-07."""
    async with key_server(body) as server:
        verifier = verifier_at(server.url, clock)
        with pytest.raises(Unavailable):
            await grant(verifier, "opaque")
        await verifier.close()


# Tokens that end before their time


async def test_a_revoked_token_is_withdrawn(
    server: IntrospectionServer, verifier: IntrospectingVerifier
) -> None:
    """SMART-08, CONF-06: its answer need not be old for that; others are left alone."""
    ids = [(await grant(verifier, server.issue(it))).token_id for it in ("a", "b")]
    assert [await verifier.is_withdrawn(it) for it in (*ids, "unknown")] == [False] * 3
    del server.tokens["a"]
    for _ in range(2):
        answers = [await verifier.is_withdrawn(it) for it in (*ids, "unknown")]
        assert answers == [True, False, False]
    with pytest.raises(Unauthorized):
        await grant(verifier, "a")


async def test_a_revocation_that_was_heard_of_otherwise_is_not_lost(
    server: IntrospectionServer, verifier: IntrospectingVerifier, clock: Hands
) -> None:
    """CONF-06: the client itself used the token again before anybody looked."""
    token_id = (await grant(verifier, server.issue("opaque", exp=None))).token_id
    del server.tokens["opaque"]
    clock.ahead = 60
    with pytest.raises(Unauthorized):
        await grant(verifier, "opaque")
    assert await verifier.is_withdrawn(token_id)


async def test_an_outage_withdraws_nothing(
    server: IntrospectionServer, verifier: IntrospectingVerifier
) -> None:
    """SMART-07: a server that is down does not end the sessions of a whole site."""
    token_id = (await grant(verifier, server.issue("opaque"))).token_id
    server.outage = 503
    with pytest.raises(Unavailable):
        await verifier.is_withdrawn(token_id)


# Questions that are joined


async def test_a_question_that_fails_fails_for_all() -> None:
    questions: Joined[int] = Joined(1)
    hold = asyncio.Event()

    async def fail() -> int:
        await hold.wait()
        raise Unauthorized("no", rule="x")

    asking = [asyncio.create_task(questions.ask("a", fail)) for _ in range(3)]
    await asyncio.sleep(0)
    hold.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(it) for it in answers] == [Unauthorized] * 3


async def test_who_joined_is_told_if_the_asker_is_stopped() -> None:
    """House rule: every wait ends."""
    questions: Joined[int] = Joined(1)

    async def never() -> int:
        await asyncio.Event().wait()
        return 1

    asker, other = (asyncio.create_task(questions.ask("a", never)) for _ in range(2))
    await asyncio.sleep(0)
    asker.cancel()
    with pytest.raises(Unavailable):
        await other


async def test_no_more_questions_than_allowed() -> None:
    """House rule: everything is bounded."""
    questions: Joined[int] = Joined(1)

    async def again() -> int:
        return await questions.ask("b", again)

    with pytest.raises(FhircastError, match="too many"):
        await questions.ask("a", again)
