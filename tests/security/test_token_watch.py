"""Revoked tokens are found by an issuer that refuses, or is slow at, some of the questions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from fhircast_hub.backends.base import BackendLimits
from fhircast_hub.backends.memory import MemoryBackend
from fhircast_hub.holders import TokenHolders
from fhircast_hub.protocol.errors import Unavailable
from fhircast_hub.security import introspection
from fhircast_hub.security.tokens import NoAuthentication
from fhircast_hub.web import token_watch
from fhircast_hub.web.token_watch import TokenWatch
from issuing import introspection_server
from wire_messages import ALL_EVENTS, denied_and_closed, only_marker_comes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hub_server import StartHub

MANY = [f"token-{number}" for number in range(30)]
"""Many times what is asked at once."""


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introspection, "_OUTAGE_SECONDS", 0.05)
    monkeypatch.setattr(token_watch, "_AGAIN_SECONDS", 0.05)


async def test_an_issuer_that_limits_questions_hides_no_revoked_token(start_hub: StartHub) -> None:
    """SMART-08, CONF-06: after each refusal nobody is asked for a moment, and then the same."""
    async with introspection_server() as server:
        hub = await start_hub(
            auth="introspection", introspection_url=server.url, introspection_seconds="0.1"
        )
        wires = [await hub.client(server.issue(it)) for it in MANY]
        sockets = [await it.join(TOPIC, ALL_EVENTS) for it in wires]
        server.limits_every = 5
        for token in MANY[1::3]:
            del server.tokens[token]
        for socket in sockets[1::3]:
            assert await denied_and_closed(socket) == ("the token is not valid any more", 1008)
        server.limits_every = 0
        while (await wires[0].subscribe("other")).status_code == 503:
            pass
        await only_marker_comes(wires[0], *sockets[0::3], *sockets[2::3])


class Holders(TokenHolders):
    """A ledger of made-up tokens that notes which of them are to end."""

    def __init__(self) -> None:
        super().__init__(MemoryBackend(BackendLimits()))
        self.ended: asyncio.Queue[str] = asyncio.Queue()

    async def token_ids(self) -> frozenset[str]:
        return frozenset(MANY)

    async def end_tokens(self, token_ids: Iterable[str]) -> None:
        for it in token_ids:
            await self.ended.put(it)


class HoldersInAnOutage(TokenHolders):
    """A ledger whose store is away."""

    def __init__(self) -> None:
        super().__init__(MemoryBackend(BackendLimits()))

    async def end_tokens(self, token_ids: Iterable[str]) -> None:
        raise Unavailable("away", rule="D-28")


class Withdrawn(NoAuthentication):
    """An issuer that has withdrawn everything."""

    watch_seconds = 1.0

    async def is_withdrawn(self, token_id: str) -> bool:
        return True


async def test_a_withdrawn_token_opens_nothing_while_the_store_is_away() -> None:
    """CONF-06: that its end cannot be kept is no reason to let it in."""
    assert await TokenWatch(HoldersInAnOutage(), Withdrawn()).has_ended("token")


class Scripted(NoAuthentication):
    """A verifier with one token that it can judge at no time, or only with a fault."""

    watch_seconds = 0.01

    def __init__(self, odd: Exception) -> None:
        super().__init__()
        self.odd = odd
        self.hold = asyncio.Event()
        self.hold.set()
        self.asked: list[str] = []

    async def is_withdrawn(self, token_id: str) -> bool:
        self.asked.append(token_id)
        if token_id == MANY[0]:
            raise self.odd
        if token_id != MANY[1]:
            await self.hold.wait()
        return True


@pytest.fixture
async def holders() -> Holders:
    return Holders()


async def look(holders: Holders, verifier: Scripted, *, until: int) -> set[str]:
    """Watch until that many different tokens were found withdrawn; return them."""
    watching = asyncio.create_task(TokenWatch(holders, verifier).run())
    found: set[str] = set()
    async with asyncio.timeout(10):
        while len(found) < until:
            found.add(await holders.ended.get())
    watching.cancel()
    await asyncio.wait([watching])
    return found


@pytest.mark.parametrize("odd", [Unavailable("busy", rule="SMART-07"), ValueError("a fault")])
async def test_one_token_that_cannot_be_judged_hides_no_other(
    holders: Holders, odd: Exception
) -> None:
    """SMART-08: whether it is the issuer's fault or the hub's."""
    assert await look(holders, Scripted(odd), until=len(MANY) - 1) == {*MANY[1:]}


async def test_a_token_that_cannot_be_judged_is_asked_about_a_few_times(holders: Holders) -> None:
    """SMART-07: in each look, which ends, and first of all in the next."""
    verifier = Scripted(Unavailable("busy", rule="SMART-07"))
    watch = TokenWatch(holders, verifier)
    await watch._look()
    assert verifier.asked.count(MANY[0]) == 5
    assert len(verifier.asked) == len(MANY) + 4
    verifier.asked.clear()
    await watch._look()
    assert verifier.asked[0] == MANY[0]


async def test_what_is_withdrawn_ends_before_the_others_are_judged(holders: Holders) -> None:
    """SMART-08, guarantee 5: a slow issuer puts no known end off."""
    verifier = Scripted(ValueError("a fault"))
    verifier.hold.clear()
    watch = TokenWatch(holders, verifier)
    watch._left.append(MANY[1])
    looking = asyncio.create_task(watch._look())
    async with asyncio.timeout(10):
        assert await holders.ended.get() == MANY[1]
    looking.cancel()
    await asyncio.wait([looking])


class Crowded(NoAuthentication):
    """An issuer that has withdrawn everything, and is not asked more than so much at once."""

    watch_seconds = 60.0

    def __init__(self) -> None:
        super().__init__()
        self.asking = 0

    async def is_withdrawn(self, token_id: str) -> bool:
        if self.asking >= 50:
            raise Unavailable("too many questions", rule="SUB-10")
        self.asking += 1
        try:
            await asyncio.sleep(0)
        finally:
            self.asking -= 1
        return True


async def test_a_site_that_comes_back_at_once_brings_no_revoked_token_in() -> None:
    """CONF-06: each is asked about, however many connect."""
    watch = TokenWatch(Holders(), Crowded())
    async with asyncio.TaskGroup() as tasks:
        connecting = [tasks.create_task(watch.has_ended(f"token-{it}")) for it in range(200)]
    assert all(it.result() for it in connecting)
