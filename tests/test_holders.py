"""What stands on a token ends with it: the ledger, and the task that looks."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from builders import NOON, TOPIC, after
from fhircast_hub.backends.base import BackendLimits
from fhircast_hub.backends.memory import MemoryBackend
from fhircast_hub.holders import TokenHolders
from fhircast_hub.protocol.errors import Unavailable
from fhircast_hub.protocol.subscription import Subscription
from fhircast_hub.security.tokens import NoAuthentication
from fhircast_hub.web.token_watch import TokenWatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fhircast_hub.protocol.channel_state import CloseReason


class Backend(MemoryBackend):
    """A backend that can refuse to end anything."""

    is_busy = False

    async def end(
        self, endpoint_id: str, reason: CloseReason, *, known: Subscription | None = None
    ) -> bool:
        if self.is_busy:
            raise Unavailable("busy", rule="2.6")
        return await super().end(endpoint_id, reason, known=known)


@pytest.fixture
async def backend() -> Backend:
    backend = Backend(BackendLimits())
    await backend.make_topic(TOPIC, "v0", now=NOON)
    return backend


@pytest.fixture
async def holders(backend: Backend) -> TokenHolders:
    """Two subscriptions on one token, one on another, one on none."""
    holders = TokenHolders(backend)
    for endpoint_id, token_id in (("a", "t1"), ("b", "t1"), ("c", "t2"), ("d", "")):
        it = subscription(endpoint_id, token_id)
        await backend.add(it)
        holders.note(it)
    return holders


def subscription(endpoint_id: str, token_id: str) -> Subscription:
    return Subscription(
        topic=TOPIC,
        endpoint_id=endpoint_id,
        events={"patient-open": "Patient-open"},
        lease_seconds=60,
        subscriber_name=endpoint_id,
        subject="user",
        expires_at=after(60),
        token_id=token_id,
    )


async def living(backend: Backend) -> set[str]:
    return {it.endpoint_id for it in await backend.of_topic(TOPIC)}


async def test_all_that_stands_on_a_token_ends(backend: Backend, holders: TokenHolders) -> None:
    """CONF-06, SMART-08: and nothing else."""
    assert await holders.token_ids() == {"t1", "t2"}
    await holders.end_tokens({"t1", "unknown"})
    assert await living(backend) == {"c", "d"}
    assert await holders.token_ids() == {"t2"}
    await holders.end_tokens(())
    assert await living(backend) == {"c", "d"}


async def test_the_token_of_the_last_renewal_counts(
    backend: Backend, holders: TokenHolders
) -> None:
    """SUB-11."""
    await backend.replace(replace(subscription("a", ""), token_id="t2"))
    await holders.end_tokens({"t1"})
    assert await living(backend) == {"a", "c", "d"}


async def test_what_is_over_is_forgotten(backend: Backend, holders: TokenHolders) -> None:
    """House rule: what grows has an end."""
    await backend.expire(datetime.max.replace(tzinfo=UTC))
    assert await holders.token_ids() == frozenset()


async def test_an_end_that_fails_is_tried_again(backend: Backend, holders: TokenHolders) -> None:
    """Guarantee 5: a busy backend does not make a revoked token a good one."""
    backend.is_busy = True
    await holders.end_tokens({"t1"})
    assert await living(backend) == {"a", "b", "c", "d"}
    backend.is_busy = False
    await holders.end_tokens({"t1"})
    assert await living(backend) == {"c", "d"}


class Watched(NoAuthentication):
    """A verifier that fails at its first look, and then says what was withdrawn."""

    watch_seconds = 0.01

    def __init__(self) -> None:
        self.asked = 0
        self.has_looked = asyncio.Event()

    async def is_withdrawn(self, token_id: str) -> bool:
        self.asked += 1
        if self.asked == 1:
            raise ValueError("a fault")
        if self.asked == 5:
            self.has_looked.set()
        return token_id == "t1"


@asynccontextmanager
async def running(watch: TokenWatch) -> AsyncIterator[None]:
    task = asyncio.create_task(watch.run())
    yield
    task.cancel()
    await asyncio.wait([task])


async def test_a_look_that_fails_is_not_the_last(
    backend: Backend, holders: TokenHolders, caplog: pytest.LogCaptureFixture
) -> None:
    """Guarantee 5: the log gets the kind of the fault."""
    verifier = Watched()
    async with running(TokenWatch(holders, verifier)), asyncio.timeout(10):
        await verifier.has_looked.wait()
    assert await living(backend) == {"c", "d"}
    assert "a look at tokens failed: ValueError" in caplog.messages


async def test_without_tokens_there_is_nothing_to_look_at(holders: TokenHolders) -> None:
    watch = TokenWatch(holders, NoAuthentication())
    async with asyncio.timeout(10):
        await watch.run()
    assert not await watch.has_ended("t1")
