"""Several processes on one server: what each hears, and what happens when the server is away."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import pytest
from backend_runs import AgeingRedis, Ear, running
from builders import (
    NOON,
    REPORT,
    TOPIC,
    after,
    case,
    close_event,
    event,
    judge,
    observation,
    open_case,
    put,
    target,
    update_event,
)
from fhircast_hub.backends.base import (
    BackendLimits,
    Envelope,
    Published,
    SubscriptionEnded,
    SubscriptionMoved,
    SubscriptionReplaced,
    SyncLost,
    topic_of,
)
from fhircast_hub.backends.redis import RedisBackend, Server, keys
from fhircast_hub.backends.redis.hearing import Hearing
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.errors import LimitReached, Unavailable
from fhircast_hub.protocol.subscription import Subscription
from redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fhircast_hub.protocol.messages import EventNotification


class Start(Protocol):
    """Starts a process of a hub, as far as its backend is concerned."""

    def __call__(
        self, server: RedisServer, *, away_seconds: float = ..., **limits: float
    ) -> RedisBackend: ...


_TIMEOUT_SECONDS = 0.5
_AWAY_SECONDS = 0.3
_HOLD_SECONDS = 0.3
_DEADLINE_SECONDS = 20


class WaitingEar(Ear):
    """One that can wait for what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self._has_heard = asyncio.Event()

    def take(self, envelope: Envelope) -> None:
        super().take(envelope)
        self._has_heard.set()

    @property
    def revisions(self) -> list[int]:
        return [it.revision for it in self.heard if isinstance(it, Published)]

    async def until(self, count: int) -> list[Envelope]:
        """What was heard, once it is that much."""
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while len(self.heard) < count:
                self._has_heard.clear()
                await self._has_heard.wait()
        return self.heard


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with running() as run:

        def make(
            server: RedisServer, *, away_seconds: float = _AWAY_SECONDS, **limits: float
        ) -> RedisBackend:
            patience = Server(server.url, _TIMEOUT_SECONDS, away_seconds)
            return run(AgeingRedis(server, patience, BackendLimits(**limits)))  # type: ignore[arg-type]  # whole numbers where it wants them

        yield make


async def listening(backend: RedisBackend, topic: str = TOPIC) -> WaitingEar:
    ear = WaitingEar()
    backend.listen(ear)
    await backend.follow(topic)
    return ear


async def publish(backend: RedisBackend, event: EventNotification, version_id: str) -> bool:
    """Decide and commit, once."""
    session = await backend.load(event.topic)
    assert session is not None
    return await backend.commit(event.topic, session.revision, judge(session, event, version_id))


def subscription(endpoint_id: str = "1", *, lives: float = 60) -> Subscription:
    return Subscription(
        topic=TOPIC,
        endpoint_id=endpoint_id,
        events={"patient-open": "Patient-open"},
        lease_seconds=60,
        subscriber_name="Viewer",
        subject="user|client",
        expires_at=after(lives),
    )


async def eventually_available(backend: RedisBackend) -> None:
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while not backend.is_available:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def test_processes_see_each_others_commits_in_order(
    redis_server: RedisServer, start: Start
) -> None:
    """Guarantee 2: whoever commits, everybody hears all of it, in the order of revisions."""
    nodes = [start(redis_server) for _ in range(3)]
    ears = [await listening(it) for it in nodes]
    await nodes[0].make_topic(TOPIC, "v0", now=NOON)

    async def insist(node: RedisBackend, number: int) -> None:
        while not await publish(node, open_case(number), f"v{number}"):
            pass

    await asyncio.gather(*[insist(nodes[it % 3], it) for it in range(30)])
    for ear in ears:
        await ear.until(30)
        assert ear.revisions == list(range(1, 31))
    events = [[it.notification for it in ear.heard if isinstance(it, Published)] for ear in ears]
    assert events[0] == events[1] == events[2]


async def test_what_one_process_writes_in_parts_another_reads_whole(
    redis_server: RedisServer, start: Start
) -> None:
    """2.10: opens, updates that put and remove, a close; the session is the same at both."""
    one, other = start(redis_server), start(redis_server)
    await one.make_topic(TOPIC, "v0", now=NOON)
    observed = [put(observation(f"ob-{it}")) for it in range(3)]
    gone = {"fullUrl": "Observation/ob-1", "request": {"method": "DELETE"}}
    events = [
        open_case(1, at=after(-9)),
        open_case(2, at=after(-8)),
        update_event(REPORT, "v1", observed),
        update_event(REPORT, "v3", [gone, put(observation("ob-2", 9.1))]),
        close_event({**REPORT, "id": "dr-2"}),
    ]
    expected = None
    for number, it in enumerate(events, 1):
        node = (one, other)[number % 2]
        assert await publish(node, it, f"v{number}")
        expected = await node.load(TOPIC)
        assert await start(redis_server).load(TOPIC) == expected
    assert expected is not None
    content = [key for key, _ in expected.contexts["DiagnosticReport/dr-1"].content]
    assert content == ["Observation/ob-0", "Observation/ob-2"]
    assert list(expected.remembered) == [it.id for it in events]


async def test_ids_are_remembered_as_long_as_in_memory(
    redis_server: RedisServer, start: Start
) -> None:
    """D-28: the newest, in their order, whichever process committed them; the rest is forgotten."""
    nodes = start(redis_server), start(redis_server)
    await nodes[0].make_topic(TOPIC, "v0", now=NOON)
    events = [event("org.example.marker", id=f"e-{number}") for number in range(300)]
    for number, it in enumerate([*events, events[0]]):
        assert await publish(nodes[number // 7 % 2], it, f"v{number}")
    kept = await nodes[0].load(TOPIC)
    again = await start(redis_server).load(TOPIC)
    assert kept is not None
    assert again is not None
    assert list(again.remembered) == list(kept.remembered)
    assert 128 <= len(again.remembered) <= 144
    with redis_server.client() as client:
        fields = client.hkeys(keys.of_topic(TOPIC).session)
    assert sum(it.startswith(b"r:") for it in fields) == len(again.remembered)


async def test_an_update_writes_what_it_changes(redis_server: RedisServer, start: Start) -> None:
    """2.10: one resource of many is one field, and the others stay as they are."""
    node = start(redis_server)
    await node.make_topic(TOPIC, "v0", now=NOON)
    await publish(node, open_case(1), "v1")
    many = [put(observation(f"ob-{it}")) for it in range(200)]
    await publish(node, update_event(REPORT, "v1", many), "v2")
    with redis_server.client() as client:
        session = keys.of_topic(TOPIC).session
        before = client.hgetall(session)
        await publish(node, update_event(REPORT, "v2", [put(observation("ob-7", 1.5))]), "v3")
        after_it = client.hgetall(session)
    changed = {name[:2] for name in after_it if before.get(name) != after_it[name]}
    assert changed == {b"c:", b"v:", b"r:", b"re", b"nu"}
    assert sum(before.get(it) != after_it[it] for it in after_it) == 5


async def test_a_process_that_never_saw_the_topic_commits_to_it(
    redis_server: RedisServer, start: Start
) -> None:
    """Guarantee 1: what was decided on the session as it is, wherever it was loaded."""
    one, other = start(redis_server), start(redis_server)
    await one.make_topic(TOPIC, "v0", now=NOON)
    session = await one.load(TOPIC)
    assert session is not None
    decision = judge(session, open_case(1), "v1")
    assert await other.commit(TOPIC, 0, decision)
    assert await one.load(TOPIC) == decision.session


async def test_a_decision_about_an_earlier_session_is_a_lost_race(
    redis_server: RedisServer, start: Start
) -> None:
    """Guarantee 1: the same topic at the same revision may be another session by now."""
    node = start(redis_server, topic_idle_seconds=10)
    await node.make_topic(TOPIC, "v0", now=NOON)
    await publish(node, open_case(1), "v1")
    earlier = await node.load(TOPIC)
    assert earlier is not None
    await node.expire(after(10))
    await node.make_topic(TOPIC, "w0", now=after(11))
    await publish(node, open_case(2), "w1")
    newer = await node.load(TOPIC)
    assert not await node.commit(TOPIC, 1, judge(earlier, open_case(3), "v2"))
    assert await node.load(TOPIC) == newer


async def test_records_are_everybodys(redis_server: RedisServer, start: Start) -> None:
    """SUB-11, UNS-03: made, renewed and ended anywhere; whoever has the socket hears of it."""
    one, other = start(redis_server), start(redis_server)
    ear = await listening(other)
    await one.make_topic(TOPIC, "v0", now=NOON)
    await one.add(subscription())
    assert await other.find("1") == subscription()
    renewed = replace(subscription(), events={"home-open": "Home-open"})
    assert await one.replace(renewed)
    assert await one.end("1", CloseReason.UNSUBSCRIBED)
    assert await ear.until(2) == [
        SubscriptionReplaced(renewed, frozenset({"home-open"})),
        SubscriptionEnded(TOPIC, "1", CloseReason.UNSUBSCRIBED),
    ]


async def test_a_join_elsewhere_is_told(redis_server: RedisServer, start: Start) -> None:
    """D-44: to all but the process that was joined; who was joined last has the endpoint."""
    one, other = start(redis_server), start(redis_server)
    ears = [await listening(it) for it in (one, other)]
    await one.make_topic(TOPIC, "v0", now=NOON)
    await one.add(subscription())
    for node in (one, other):
        assert await node.replace(subscription(), announce=False)
    assert await publish(one, open_case(1), "v1")
    heard = [await it.until(2) for it in ears]
    assert [it[0] for it in heard] == [SubscriptionMoved(TOPIC, "1")] * 2
    assert [it.revisions for it in ears] == [[1], [1]]


async def test_expiry_leaves_no_key(redis_server: RedisServer, start: Start) -> None:
    """Guarantee 3: nor anything that nobody would take away."""
    node = start(redis_server, topic_idle_seconds=10, max_topics_per_holder=5)
    await node.make_topic(TOPIC, "v0", now=NOON, holder="user|client")
    await node.add(subscription(lives=20))
    await publish(node, open_case(1), "v1")
    await node.replace(subscription(lives=30), announce=False)
    with redis_server.client() as client:
        lives = {it: client.pttl(it) for it in client.scan_iter()}
        assert len(lives) == 8
        assert all(it > 0 for it in lives.values()), lives
        await node.expire(after(30))
        await node.expire(after(40))
        assert client.keys() == []


async def test_a_key_outlives_what_it_is_kept_for(redis_server: RedisServer, start: Start) -> None:
    """Guarantee 3: a session lives while there is a subscription, whatever happens to it."""
    node = start(redis_server, topic_idle_seconds=10)
    await node.make_topic(TOPIC, "v0", now=NOON)
    await node.add(subscription(lives=5000))
    await publish(node, open_case(1), "v1")
    with redis_server.client() as client:
        it = keys.of_topic(TOPIC)
        kept = (it.session, it.records, it.topics, it.all_records, keys.of_endpoint("1"))
        for key in (*kept, keys.TOPICS):
            assert client.pttl(key) > 5000 * 1000


async def test_what_was_counted_and_never_made_makes_room(
    redis_server: RedisServer, start: Start
) -> None:
    """SUB-13, D-40: a process died between the two steps; nothing stays counted for ever."""
    bounds = {"max_topics": 2, "max_topics_per_holder": 2, "max_subscriptions_per_holder": 2}
    node = start(redis_server, **bounds)
    await node.make_topic(TOPIC, "v0", now=NOON, holder="user|client")
    await node.add(subscription())
    it, long_ago = keys.of_topic("never made"), 1
    with redis_server.client() as client:
        for count in (keys.TOPICS, keys.topics_of_holder("user|client")):
            client.zadd(count, {it.tag: long_ago})
        client.zadd(keys.records_of_holder("user|client"), {f"{it.tag} 2": long_ago})
    await node.make_topic("another", "v0", now=NOON, holder="user|client")
    await node.add(subscription("3"))
    with pytest.raises(LimitReached):
        await node.add(subscription("4"))
    with pytest.raises(LimitReached):
        await node.make_topic("one more", "v0", now=NOON)


async def test_keys_hold_neither_topics_nor_endpoints(
    redis_server: RedisServer, start: Start
) -> None:
    """SEC-03: a list of keys opens nothing."""
    node = start(redis_server)
    await node.make_topic(TOPIC, "v0", now=NOON, holder="user|client")
    await node.add(subscription("unguessable"))
    with redis_server.client() as client:
        names = b" ".join(client.keys())
    assert all(it not in names for it in (TOPIC.encode(), b"unguessable", b"user"))


async def test_another_format_is_an_error_in_words(redis_server: RedisServer, start: Start) -> None:
    """Guarantee 1: a session of another version is neither read wrong nor written over."""
    node = start(redis_server)
    await node.make_topic(TOPIC, "v0", now=NOON)
    with redis_server.client() as client:
        client.hset(keys.of_topic(TOPIC).session, "format", "99")
    with pytest.raises(Unavailable, match="format"):
        await start(redis_server).load(TOPIC)


async def test_a_message_of_another_format_is_a_loss(
    redis_server: RedisServer, start: Start
) -> None:
    """Guarantee 3: what is not understood cannot be hoped away."""
    node = start(redis_server)
    ear = await listening(node)
    await node.make_topic(TOPIC, "v0", now=NOON)
    await publish(node, open_case(1), "v1")
    await ear.until(1)
    with redis_server.client() as client:
        it = keys.of_topic(TOPIC)
        life = client.hget(it.session, "life")
        client.publish(it.channel, life + b" 2 what?")
    assert (await ear.until(2))[1] == SyncLost(TOPIC)


async def test_a_missing_message_is_noticed_by_the_next(
    redis_server: RedisServer, start: Start
) -> None:
    """Guarantee 3: a gap in the numbers, while the connection stands."""
    node = start(redis_server)
    ear = await listening(node)
    await node.make_topic(TOPIC, "v0", now=NOON)
    await publish(node, open_case(1), "v1")
    with redis_server.client() as client:
        client.hincrby(keys.of_topic(TOPIC).session, "number", 1)
    await publish(node, open_case(2), "v2")
    await publish(node, open_case(3), "v3")
    assert [type(it) for it in await ear.until(3)] == [Published, SyncLost, Published]
    assert ear.revisions == [1, 3]


async def test_what_happens_during_a_break_is_noticed_after_it(
    redis_server: RedisServer, start: Start
) -> None:
    """Guarantee 3: only of the topics to which something happened."""
    node, other = start(redis_server, away_seconds=_DEADLINE_SECONDS), start(redis_server)
    ear = await listening(node)
    await node.follow("quiet")
    for topic in (TOPIC, "quiet"):
        await other.make_topic(topic, "v0", now=NOON)
        await publish(other, open_case(1, topic=topic), "v1")
    await ear.until(2)
    with redis_server.client() as client:
        await other.load(TOPIC)
        for it in client.client_list():
            if it["sub"] == "2":
                client.client_kill_filter(_id=it["id"])
        await publish(other, open_case(2), "v2")
    assert await ear.until(3)
    await eventually_available(node)
    await publish(other, open_case(3), "v3")
    await publish(other, open_case(2, topic="quiet"), "v2")
    heard = await ear.until(5)
    # The break may have been over before the commit: then it was heard, and nothing is lost.
    assert heard[2] == SyncLost(TOPIC) or ear.revisions[2] == 2
    assert SyncLost("quiet") not in heard
    assert [topic_of(it) for it in heard[3:]] == [TOPIC, "quiet"]


async def test_a_server_that_restarts_empty(own_redis: RedisServer, start: Start) -> None:
    """Guarantee 1: the session is gone, and its subscribers are told so."""
    node = start(own_redis, away_seconds=_DEADLINE_SECONDS)
    ear = await listening(node)
    await node.make_topic(TOPIC, "v0", now=NOON)
    await node.add(subscription())
    await publish(node, open_case(1), "v1")
    await ear.until(1)
    await asyncio.to_thread(own_redis.stop)
    await asyncio.to_thread(own_redis.start)
    assert (await ear.until(2))[1] == SyncLost(TOPIC, is_gone=True)
    await eventually_available(node)
    assert await node.load(TOPIC) is None
    assert await node.find("1") is None
    await node.make_topic(TOPIC, "w0", now=NOON)
    assert await publish(node, open_case(1), "w1"), "the scripts are there again"


async def test_a_server_that_was_put_back_and_went_on(
    own_redis: RedisServer, start: Start, tmp_path: Path
) -> None:
    """Guarantee 3: as many events as before, but others; nothing known of before is good."""
    node = start(own_redis, away_seconds=_DEADLINE_SECONDS)
    ear = await listening(node)
    await node.make_topic(TOPIC, "v0", now=NOON)
    await publish(node, open_case(1), "v1")
    with own_redis.client() as client:
        client.save()
    await publish(node, open_case(2), "v2")
    await ear.until(2)
    await asyncio.to_thread(own_redis.stop)
    elsewhere = RedisServer(tmp_path)  # the same files
    await asyncio.to_thread(elsewhere.start)
    assert await publish(start(elsewhere), open_case(3), "w2")
    with elsewhere.client() as client:
        client.save()
    await asyncio.to_thread(elsewhere.stop)
    await asyncio.to_thread(own_redis.start)
    assert (await ear.until(3))[2] == SyncLost(TOPIC)
    for is_newest in (False, True):
        session = await node.load(TOPIC, is_newest=is_newest)
        assert session is not None
        assert (session.revision, session.current) == (2, target(case(3)[0]))


async def test_a_server_that_is_away(own_redis: RedisServer, start: Start) -> None:
    """Guarantee 1: no answer but Unavailable, soon; after a while subscribers are told."""
    node = start(own_redis)
    ear = await listening(node)
    await node.make_topic(TOPIC, "v0", now=NOON)
    session = await node.load(TOPIC)
    assert session is not None
    decision = judge(session, open_case(1), "v1")
    await asyncio.to_thread(own_redis.stop)
    asked = (
        node.load(TOPIC),
        node.commit(TOPIC, 0, decision),
        node.make_topic("another", "v0", now=NOON),
        node.add(subscription()),
        node.find("1"),
        node.end("1", CloseReason.UNSUBSCRIBED),
        node.follow("another"),
    )
    async with asyncio.timeout(_DEADLINE_SECONDS):
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(it) for it in outcomes] == [Unavailable] * len(asked)
    assert not node.is_available
    assert SyncLost(TOPIC) in await ear.until(1)
    await node.expire(after(1))


async def test_a_server_that_hangs(own_redis: RedisServer, start: Start) -> None:
    """Guarantee 1: a connection that stands and is silent is no connection."""
    node = start(own_redis)
    ear = await listening(node)
    await node.make_topic(TOPIC, "v0", now=NOON)
    own_redis.pause()
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            with pytest.raises(Unavailable):
                await node.load(TOPIC)
        assert await ear.until(1) == [SyncLost(TOPIC)]
    finally:
        own_redis.resume()
    await eventually_available(node)
    assert await node.load(TOPIC) is not None


async def test_a_retry_after_an_unknown_outcome_is_recognised(
    own_redis: RedisServer, start: Start
) -> None:
    """D-28: the server took the commit, and its answer was lost; nothing is published twice."""
    node, other = start(own_redis), start(own_redis)
    await node.make_topic(TOPIC, "v0", now=NOON)
    event = open_case(1)
    session = await node.load(TOPIC)
    assert session is not None
    decision = judge(session, event, "v1")
    own_redis.pause()
    committing = asyncio.create_task(node.commit(TOPIC, 0, decision))
    with pytest.raises(Unavailable):
        await committing
    own_redis.resume()
    await eventually_available(other)
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while (found := await other.load(TOPIC)) is None or not found.revision:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    again = judge(found, event, "v2")
    assert again.broadcast is None
    assert again.answer == decision.answer


async def test_the_scripts_come_back_when_the_server_forgets_them(
    redis_server: RedisServer, start: Start
) -> None:
    """Guarantee 1: SCRIPT FLUSH costs a command, and no request."""
    node = start(redis_server)
    await node.make_topic(TOPIC, "v0", now=NOON)
    with redis_server.client() as client:
        client.script_flush()
    assert await node.load(TOPIC) is not None


async def test_a_refusal_of_the_server_is_unavailable_and_tells_nothing(
    redis_server: RedisServer, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """SEC-03: the text of an error may hold what was sent; its code does not."""
    node = start(redis_server)
    with redis_server.client() as client:
        client.set(keys.of_topic(TOPIC).session, "no hash")
    with pytest.raises(Unavailable, match="cannot be reached"):
        await node.load(TOPIC)
    assert "WRONGTYPE" in caplog.text or "ResponseError" in caplog.text
    assert keys.of_topic(TOPIC).tag not in caplog.text


async def test_it_ends_while_it_waits_for_a_sign(own_redis: RedisServer) -> None:
    """Guarantee 5: a hub that stops must not stay because the server hangs just then."""
    node = RedisBackend(Server(own_redis.url, _TIMEOUT_SECONDS), BackendLimits())
    serving = asyncio.create_task(node.run())
    await eventually_available(node)
    hearing = node._hearing
    assert isinstance(hearing, Hearing)
    own_redis.pause()
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while not hearing._pongs:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
    finally:
        own_redis.resume()


async def test_an_expired_record_that_cannot_be_read_holds_up_nobody(
    redis_server: RedisServer, start: Start
) -> None:
    """2.4: another version's; its time is over all the same."""
    node = start(redis_server)
    await node.make_topic(TOPIC, "v0", now=NOON)
    for endpoint_id in ("1", "2"):
        await node.add(subscription(endpoint_id, lives=1))
    with redis_server.client() as client:
        client.hset(keys.of_topic(TOPIC).records, "1", b"1 of another version")
    await node.expire(after(2))
    with redis_server.client() as client:
        assert client.hlen(keys.of_topic(TOPIC).records) == 0


async def test_who_is_held_nowhere_is_lost_and_that_is_told_once(
    redis_server: RedisServer, start: Start
) -> None:
    """SYNC-06, guarantee 4: of what was connected; who has not connected yet waits for that."""
    nodes = [start(redis_server, hold_seconds=_HOLD_SECONDS) for _ in range(2)]
    ears = [await listening(it) for it in nodes]
    await nodes[0].make_topic(TOPIC, "v0", now=NOON)
    waiting, held, lost = (subscription(it) for it in ("waiting", "held", "lost"))
    for it in (waiting, held, lost):
        await nodes[0].add(it)
    for it in (held, lost):
        assert await nodes[0].replace(it, announce=False)
    ears[1].holds = [held]
    told: list[Subscription] = []
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while not told:
            for node in nodes:
                told += await node.expire(NOON)
    for node in nodes:
        told += await node.expire(NOON)
    assert told == [lost]
    assert await nodes[1].of_topic(TOPIC) == (waiting, held)
    ended = SubscriptionEnded(TOPIC, "lost", CloseReason.NOT_KNOWN)
    for ear, moves in zip(ears, (0, 2), strict=True):  # of its own moves nobody is told
        assert (await ear.until(moves + 1))[moves:] == [ended]


async def test_after_a_break_subscribers_have_time_to_come_back(
    own_redis: RedisServer, start: Start
) -> None:
    """D-45: while Redis is away nobody can say that it holds anything."""
    node = start(own_redis, hold_seconds=_HOLD_SECONDS)
    await listening(node)
    await node.make_topic(TOPIC, "v0", now=NOON)
    await node.add(subscription())
    assert await node.replace(subscription(), announce=False)
    with own_redis.client() as client:
        for bucket in keys.ALL_BUCKETS:
            for member in client.zrange(bucket.held, 0, -1):
                client.zadd(bucket.held, {member: 1}, xx=True)
        epoch = node._commands.epoch
        client.client_kill_filter(_type="normal", skipme=True)
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while node._commands.epoch == epoch:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    await eventually_available(node)
    assert await node.expire(NOON) == []
    assert await node.replace(subscription(), announce=False)  # it is back
