"""The contract of a backend, for every implementation alike."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import pytest
from backend_runs import AgeingRedis, Ear, running
from builders import NOON, TOPIC, after, judge, open_case
from fhircast_hub.backends.base import (
    BackendLimits,
    Published,
    SubscriptionEnded,
    SubscriptionReplaced,
    published,
)
from fhircast_hub.backends.memory import MemoryBackend
from fhircast_hub.backends.redis import Server
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.errors import LimitReached
from fhircast_hub.protocol.session import Accepted, Decision, Session
from fhircast_hub.protocol.subscription import Subscription
from msgspec.structs import replace as changed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fhircast_hub.backends.base import Backend, Envelope
    from redis_cluster import RedisCluster
    from redis_server import RedisServer


class MakeBackend(Protocol):
    """Makes an empty backend with these limits."""

    async def __call__(self, **limits: float) -> Backend: ...


def make_memory(_request: pytest.FixtureRequest, limits: BackendLimits) -> Backend:
    return MemoryBackend(limits)


def make_redis(request: pytest.FixtureRequest, limits: BackendLimits) -> Backend:
    redis_server: RedisServer = request.getfixturevalue("redis_server")
    return AgeingRedis(redis_server, Server(redis_server.url), limits)


def make_on_cluster(request: pytest.FixtureRequest, limits: BackendLimits) -> Backend:
    redis_cluster: RedisCluster = request.getfixturevalue("redis_cluster")
    return AgeingRedis(redis_cluster, Server(redis_cluster.url), limits)


BACKENDS = {"memory": make_memory, "redis": make_redis, "redis cluster": make_on_cluster}


@pytest.fixture(params=BACKENDS)
async def make(request: pytest.FixtureRequest) -> AsyncIterator[MakeBackend]:
    async with running() as run:

        async def make_backend(**limits: float) -> Backend:
            return run(BACKENDS[request.param](request, BackendLimits(**limits)))  # type: ignore[arg-type]  # whole numbers where it wants them

        yield make_backend


@pytest.fixture
async def backend(make: MakeBackend) -> Backend:
    return await make()


def subscription(
    endpoint_id: str, topic: str = TOPIC, *, lives: float = 60, subject: str = "user|client"
) -> Subscription:
    return Subscription(
        topic=topic,
        endpoint_id=endpoint_id,
        events={"patient-open": "Patient-open"},
        lease_seconds=60,
        subscriber_name=f"name of {endpoint_id}",
        subject=subject,
        expires_at=after(lives),
    )


async def decided(backend: Backend, number: int, topic: str = TOPIC) -> tuple[int, Decision]:
    """The revision that the backend holds, and what the open of a case would do to it."""
    session = await backend.load(topic)
    assert session is not None
    opened = open_case(number, topic=topic)
    return session.revision, judge(session, opened, f"v{number}")


@asynccontextmanager
async def listening(backend: Backend, *topics: str) -> AsyncIterator[list[Envelope]]:
    """Gather what is published inside the block; complete once the block is left."""
    ear = Ear()
    backend.listen(ear)
    for topic in topics or (TOPIC,):
        await backend.follow(topic)
    yield ear.heard
    await backend.close()


async def test_a_topic_is_made_once(backend: Backend) -> None:
    """D-40: a second make finds the session that is there."""
    assert await backend.load(TOPIC) is None
    first = await backend.make_topic(TOPIC, "v0", now=NOON)
    assert (first.topic, first.version_id, first.revision) == (TOPIC, "v0", 0)
    assert await backend.make_topic(TOPIC, "other", now=NOON) == first
    assert await backend.load(TOPIC) == first


async def test_a_commit_keeps_and_publishes(backend: Backend) -> None:
    """Guarantee 1: both, if the revision is the one on which was decided."""
    async with listening(backend) as heard:
        await backend.make_topic(TOPIC, "v0", now=NOON)
        revision, decision = await decided(backend, 1)
        assert await backend.commit(TOPIC, revision, decision)
        assert await backend.load(TOPIC) == decision.session
    assert decision.broadcast is not None
    assert heard == [Published(TOPIC, revision + 1, decision.broadcast, sets_context=True)]


async def test_an_envelope_tells_what_the_decision_told(backend: Backend) -> None:
    """D-28, EVT-06: whom it is for, and whether it came before; every process has to know."""
    async with listening(backend) as heard:
        await backend.make_topic(TOPIC, "v0", now=NOON)
        revision, decision = await decided(backend, 1)
        decision = changed(decision, is_resend=True, only_for="user|client")
        assert await backend.commit(TOPIC, revision, decision)
    [envelope] = heard
    assert isinstance(envelope, Published)
    assert (envelope.is_resend, envelope.only_for) == (True, "user|client")


async def test_a_decision_without_a_broadcast_is_not_published() -> None:
    """D-28: a recognised duplicate; asking for its envelope is a bug."""
    session = Session(TOPIC, "v0")
    with pytest.raises(ValueError, match="broadcast"):
        published(TOPIC, Decision(session, None, Accepted("e-1")))


async def test_a_lost_race_does_neither(backend: Backend) -> None:
    """Guarantee 1: False, nothing kept, nothing published."""
    async with listening(backend) as heard:
        await backend.make_topic(TOPIC, "v0", now=NOON)
        revision, won = await decided(backend, 1)
        _, lost = await decided(backend, 2)
        assert await backend.commit(TOPIC, revision, won)
        assert not await backend.commit(TOPIC, revision, lost)
        assert await backend.load(TOPIC) == won.session
    assert len(heard) == 1


async def test_a_commit_to_no_topic(backend: Backend) -> None:
    """Guarantee 1: a topic that expired meanwhile is a lost race."""
    async with listening(backend) as heard:
        await backend.make_topic(TOPIC, "v0", now=NOON)
        revision, decision = await decided(backend, 1)
        assert not await backend.commit("elsewhere", revision, decision)
    assert heard == []


async def test_of_many_that_race_one_wins_each_time(backend: Backend) -> None:
    """Guarantees 1 and 2: every accepted event is published once, in the order of revisions."""

    async def insist(number: int) -> None:
        while True:
            revision, decision = await decided(backend, number)
            await asyncio.sleep(0)  # let the others decide on the same revision
            if await backend.commit(TOPIC, revision, decision):
                return

    async with listening(backend) as heard:
        await backend.make_topic(TOPIC, "v0", now=NOON)
        await asyncio.gather(*map(insist, range(20)))
    revisions = [it.revision for it in heard if isinstance(it, Published)]
    assert revisions == list(range(1, 21))


async def test_topics_do_not_touch_each_other(backend: Backend) -> None:
    """Guarantee 2: order is per topic; sessions are apart."""
    async with listening(backend, "a", "b") as heard:
        for topic in ("a", "b"):
            await backend.make_topic(topic, "v0", now=NOON)
            revision, decision = await decided(backend, 1, topic)
            assert await backend.commit(topic, revision, decision)
    told = [(it.topic, it.revision) for it in heard if isinstance(it, Published)]
    assert told == [("a", 1), ("b", 1)]


async def test_subscriptions_are_found_until_they_end(backend: Backend) -> None:
    """By endpoint and by topic; the end is announced once."""
    async with listening(backend) as heard:
        await backend.make_topic(TOPIC, "v0", now=NOON)
        await backend.make_topic("other", "v0", now=NOON)
        one, two, other = subscription("1"), subscription("2"), subscription("3", "other")
        for it in (one, two, other):
            await backend.add(it)
        assert await backend.find("1") == one
        assert await backend.of_topic(TOPIC) == (one, two)
        assert await backend.end("1", CloseReason.UNSUBSCRIBED)
        assert not await backend.end("1", CloseReason.UNSUBSCRIBED)
        assert await backend.find("1") is None
        assert await backend.of_topic(TOPIC) == (two,)
        assert await backend.of_topic("nowhere") == ()
    assert heard == [SubscriptionEnded(TOPIC, "1", CloseReason.UNSUBSCRIBED)]


async def test_only_the_known_record_is_ended(backend: Backend) -> None:
    """D-45, guarantee 3: not one that was renewed, or joined elsewhere, since."""
    await backend.make_topic(TOPIC, "v0", now=NOON)
    old = subscription("1")
    new = replace(old, lease_seconds=1)
    await backend.add(old)
    await backend.replace(new)
    assert not await backend.end("1", CloseReason.NOT_KNOWN, known=old)
    assert await backend.find("1") == new
    assert await backend.end("1", CloseReason.NOT_KNOWN, known=new)
    assert await backend.find("1") is None


async def test_a_replaced_record_tells_what_is_new(backend: Backend) -> None:
    """SUB-11, D-12: the new record, and the events that it grants beyond the old one."""
    async with listening(backend) as heard:
        await backend.make_topic(TOPIC, "v0", now=NOON)
        await backend.add(subscription("1"))
        new = replace(subscription("1"), events={"home-open": "Home-open"})
        assert await backend.replace(new)
        assert await backend.find("1") == new
    assert heard == [SubscriptionReplaced(new, frozenset({"home-open"}))]


async def test_a_quiet_replacement_is_not_announced(backend: Backend) -> None:
    """A renewal of the record's own expiry concerns nobody else."""
    async with listening(backend) as heard:
        await backend.make_topic(TOPIC, "v0", now=NOON)
        await backend.add(subscription("1"))
        new = subscription("1", lives=500)
        assert await backend.replace(new, announce=False)
        assert await backend.find("1") == new
    assert heard == []


async def test_what_is_not_there_cannot_be_replaced(backend: Backend) -> None:
    """UNS-04: a subscription that ended does not come back."""
    async with listening(backend) as heard:
        await backend.make_topic(TOPIC, "v0", now=NOON)
        assert not await backend.replace(subscription("1"))
        assert await backend.find("1") is None
    assert heard == []


async def test_topics_are_bounded(make: MakeBackend) -> None:
    """LimitReached, and nothing is made; a known topic is no new one."""
    backend = await make(max_topics=1)
    await backend.make_topic("a", "v0", now=NOON)
    with pytest.raises(LimitReached):
        await backend.make_topic("b", "v0", now=NOON)
    assert await backend.load("b") is None
    await backend.make_topic("a", "v0", now=NOON)


async def test_subscribers_are_bounded(make: MakeBackend) -> None:
    """LimitReached, and nothing is kept; an end makes room."""
    backend = await make(max_subscribers_per_topic=1)
    await backend.make_topic(TOPIC, "v0", now=NOON)
    await backend.add(subscription("1"))
    with pytest.raises(LimitReached):
        await backend.add(subscription("2"))
    assert await backend.find("2") is None
    await backend.end("1", CloseReason.UNSUBSCRIBED)
    await backend.add(subscription("2"))


async def test_subscriptions_of_a_holder_are_bounded(make: MakeBackend) -> None:
    """SUB-13: over all topics; an end and an expiry make room, and others have their own."""
    backend = await make(max_subscriptions_per_holder=2)
    for topic in ("a", "b"):
        await backend.make_topic(topic, "v0", now=NOON)
    await backend.add(subscription("1", "a"))
    await backend.add(subscription("2", "b", lives=10))
    with pytest.raises(LimitReached, match="holder"):
        await backend.add(subscription("3", "b"))
    assert await backend.find("3") is None
    await backend.add(subscription("4", "b", subject="other"))
    await backend.end("1", CloseReason.UNSUBSCRIBED)
    await backend.add(subscription("3", "b"))
    await backend.expire(after(10))
    await backend.add(subscription("5", "b"))
    with pytest.raises(LimitReached):
        await backend.add(subscription("6", "b"))


async def test_of_a_holders_that_race_only_as_many_are_kept(make: MakeBackend) -> None:
    """SUB-13: counted and kept in one step, however many come at once."""
    backend = await make(max_subscriptions_per_holder=5)
    await backend.make_topic(TOPIC, "v0", now=NOON)
    adding = [backend.add(subscription(str(number))) for number in range(20)]
    outcomes = await asyncio.gather(*adding, return_exceptions=True)
    assert sum(isinstance(it, LimitReached) for it in outcomes) == 15
    assert len(await backend.of_topic(TOPIC)) == 5


async def test_a_replaced_record_is_no_second_one(make: MakeBackend) -> None:
    """SUB-11: a renewal counts nothing, in whatever order it comes."""
    backend = await make(max_subscriptions_per_holder=1)
    await backend.make_topic(TOPIC, "v0", now=NOON)
    await backend.add(subscription("1"))
    assert await backend.replace(subscription("1", lives=500))
    await backend.end("1", CloseReason.UNSUBSCRIBED)
    await backend.add(subscription("2"))


async def test_topics_of_a_holder_are_bounded(make: MakeBackend) -> None:
    """D-40: those it made and that are still there; without a holder there is no bound."""
    backend = await make(max_topics_per_holder=1, topic_idle_seconds=30)
    await backend.make_topic("a", "v0", now=NOON, holder="me")
    await backend.make_topic("a", "v0", now=NOON, holder="me")
    with pytest.raises(LimitReached, match="holder"):
        await backend.make_topic("b", "v0", now=NOON, holder="me")
    assert await backend.load("b") is None
    for topic, holder in (("b", "you"), ("c", ""), ("d", "")):
        await backend.make_topic(topic, "v0", now=NOON, holder=holder)
    assert await backend.make_topic("b", "v0", now=NOON, holder="me")
    await backend.expire(after(30))
    await backend.make_topic("e", "v0", now=after(30), holder="me")


async def test_who_may_not_subscribe_makes_no_topic(make: MakeBackend) -> None:
    """D-40: a topic that nobody subscribed to would be left behind."""
    backend = await make(max_subscriptions_per_holder=1)
    await backend.make_topic(TOPIC, "v0", now=NOON, holder="user|client")
    await backend.add(subscription("1"))
    with pytest.raises(LimitReached):
        await backend.make_topic("another", "v0", now=NOON, holder="user|client")
    assert await backend.load("another") is None


async def test_records_expire(backend: Backend) -> None:
    """Guarantee 3: at their time and not before, each by itself."""
    await backend.make_topic(TOPIC, "v0", now=NOON)
    await backend.add(subscription("1", lives=10))
    await backend.add(subscription("2", lives=20))
    await backend.expire(after(9))
    assert await backend.find("1") is not None
    await backend.expire(after(10))
    assert await backend.find("1") is None
    assert await backend.of_topic(TOPIC) == (subscription("2", lives=20),)


async def test_the_end_of_an_expired_record_is_announced(backend: Backend) -> None:
    """Guarantee 3: a channel that goes by another clock must not outlive the session."""
    async with listening(backend) as heard:
        await backend.make_topic(TOPIC, "v0", now=NOON)
        await backend.add(subscription("1", lives=10))
        await backend.expire(after(10))
    assert heard == [SubscriptionEnded(TOPIC, "1", CloseReason.LEASE_ENDED)]


async def test_a_renewed_record_does_not_expire(backend: Backend) -> None:
    """Guarantee 3."""
    await backend.make_topic(TOPIC, "v0", now=NOON)
    await backend.add(subscription("1", lives=10))
    await backend.replace(subscription("1", lives=100), announce=False)
    await backend.expire(after(50))
    assert await backend.find("1") is not None


async def test_a_topic_expires_after_its_last_subscription(make: MakeBackend) -> None:
    """D-40: kept for the idle time from then, and made anew afterwards."""
    backend = await make(topic_idle_seconds=30)
    await backend.make_topic(TOPIC, "v0", now=NOON)
    await backend.add(subscription("1", lives=100))
    for seconds in (50, 99):
        await backend.expire(after(seconds))
        assert await backend.load(TOPIC) is not None
    await backend.end("1", CloseReason.UNSUBSCRIBED)
    await backend.expire(after(128))
    assert await backend.load(TOPIC) is not None
    await backend.expire(after(130))
    assert await backend.load(TOPIC) is None
    assert (await backend.make_topic(TOPIC, "new", now=after(131))).version_id == "new"


async def test_close_ends_listen(backend: Backend) -> None:
    """A process that stops hears what was committed before, then nothing more."""
    async with listening(backend) as heard:
        await backend.make_topic(TOPIC, "v0", now=NOON)
        revision, decision = await decided(backend, 1)
        await backend.commit(TOPIC, revision, decision)
    assert len(heard) == 1
