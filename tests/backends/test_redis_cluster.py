"""A cluster: what is heard when slots move, masters die and others take over."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from backend_runs import AgeingRedis, Ear, running
from builders import NOON, TOPIC, judge, open_case
from fhircast_hub.backends.base import BackendLimits, Published, SyncLost, topic_of
from fhircast_hub.backends.redis import RedisBackend, Server, keys
from fhircast_hub.protocol.errors import Unavailable
from redis_cluster import running_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from fhircast_hub.backends.base import Envelope
    from redis_cluster import RedisCluster
    from redis_server import RedisServer

_TIMEOUT_SECONDS = 0.5
_AWAY_SECONDS = 0.5
_DEADLINE_SECONDS = 20


class WaitingEar(Ear):
    """One that can wait for what it hears."""

    async def until(self, envelope: Envelope) -> None:
        """Wait until this is heard."""
        await until(lambda: envelope in self.heard)


@pytest.fixture
async def run() -> AsyncIterator[Callable[[RedisBackend], RedisBackend]]:
    async with running() as run:
        yield run


def node_of(cluster: RedisCluster) -> RedisBackend:
    server = Server(cluster.url, _TIMEOUT_SECONDS, _AWAY_SECONDS)
    return AgeingRedis(cluster, server, BackendLimits())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


def topic_at(part: int) -> str:
    """A topic that the first, second or third master has at first."""
    names = (f"topic {number}" for number in range(1000))
    return next(it for it in names if _slot(it) * 3 // keys.SLOTS == part)


def _slot(topic: str) -> int:
    return keys.slot_of(keys.of_topic(topic).session)


async def opened(node: RedisBackend, *topics: str) -> WaitingEar:
    """Let the node follow topics, each with one open."""
    ear = WaitingEar()
    node.listen(ear)
    for topic in topics:
        await node.follow(topic)
        await node.make_topic(topic, "v0", now=NOON)
        await publish(node, topic, 1)
    await until(lambda: len(ear.heard) == len(topics))
    return ear


async def publish(node: RedisBackend, topic: str, number: int) -> None:
    event = open_case(number, topic=topic)
    session = await node.load(topic)
    assert session is not None
    assert await node.commit(topic, session.revision, judge(session, event, f"v{number}"))


async def insist(node: RedisBackend, topic: str, number: int) -> None:
    """Publish as soon as it can be done."""
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while True:
            try:
                await node.follow(topic)
                return await publish(node, topic, number)
            except Unavailable:
                await asyncio.sleep(0.05)


class Move:
    """A slot on its way from one master to another."""

    def __init__(self, topic: str, source: RedisServer, target: RedisServer) -> None:
        self._slot = _slot(topic)
        self._source, self._target = source, target

    def begin(self) -> None:
        """The source sends no new keys there, and may send those it has."""
        ids = [self._id(it) for it in (self._source, self._target)]
        self._set(self._target, "IMPORTING", ids[0])
        self._set(self._source, "MIGRATING", ids[1])

    def give_up(self) -> None:
        """All stays where it is."""
        for it in (self._source, self._target):
            self._set(it, "STABLE")

    def finish(self) -> None:
        """Send the keys, and say who has the slot now."""
        with self._source.client() as client:
            found = client.execute_command("CLUSTER GETKEYSINSLOT", self._slot, 1000)
            where = ("127.0.0.1", self._target.port)
            client.execute_command("MIGRATE", *where, "", 0, 5000, "KEYS", *found)
        target = self._id(self._target)
        for it in (self._target, self._source):
            self._set(it, "NODE", target)

    def _set(self, server: RedisServer, *state: str) -> None:
        with server.client() as client:
            client.execute_command("CLUSTER SETSLOT", self._slot, *state)

    @staticmethod
    def _id(server: RedisServer) -> str:
        with server.client() as client:
            return str(client.execute_command("CLUSTER MYID").decode())


async def test_a_slot_that_moved_is_a_gap(
    own_cluster: RedisCluster, run: Callable[[RedisBackend], RedisBackend]
) -> None:
    """Guarantee 3: its topics are told that sync is lost, no others; then all goes on there."""
    node, other = run(node_of(own_cluster)), run(node_of(own_cluster))
    moves, stays = topic_at(0), topic_at(1)
    ear = await opened(node, moves, stays)
    move = Move(moves, *own_cluster.nodes[:2])
    await asyncio.to_thread(move.begin)
    await asyncio.to_thread(move.finish)
    await ear.until(SyncLost(moves))
    await insist(node, moves, 2)
    await insist(other, moves, 3)
    await publish(other, stays, 2)
    await until(lambda: len([it for it in ear.heard if isinstance(it, Published)]) == 5)
    told = [topic_of(it) for it in ear.heard if isinstance(it, SyncLost)]
    assert set(told) == {moves}


async def test_while_a_slot_moves_what_is_not_there_yet_has_to_wait(
    own_cluster: RedisCluster, run: Callable[[RedisBackend], RedisBackend]
) -> None:
    """Guarantee 1: within the time for an answer, and without a change at either side."""
    node = run(node_of(own_cluster))
    topic = topic_at(0)
    await node.load(topic)
    move = Move(topic, *own_cluster.nodes[:2])
    await asyncio.to_thread(move.begin)
    with pytest.raises(Unavailable, match="retry"):
        await node.make_topic(topic, "v0", now=NOON)
    await asyncio.to_thread(move.give_up)
    await node.make_topic(topic, "v0", now=NOON)


@contextmanager
def replicated_cluster(folder: Path) -> Iterator[RedisCluster]:
    """Run a cluster whose first master has a replica, the last of its nodes."""
    with running_cluster(folder, replicas=1) as cluster:
        with cluster.nodes[0].client() as master, cluster.nodes[3].client() as replica:
            master_id = master.execute_command("CLUSTER MYID").decode()
            replica.execute_command("CLUSTER REPLICATE", master_id)
        cluster.until(cluster.nodes[0].is_replicated)
        yield cluster


async def test_another_server_that_takes_over_is_a_gap(
    tmp_path: Path, run: Callable[[RedisBackend], RedisBackend]
) -> None:
    """Guarantee 1: it may have lost the last moments; topics of the other masters go on."""
    with replicated_cluster(tmp_path) as cluster:
        master = cluster.nodes[0]
        node = run(node_of(cluster))
        dies, stays = topic_at(0), topic_at(1)
        ear = await opened(node, dies, stays)
        await until(master.is_replicated)
        master.stop()
        await ear.until(SyncLost(dies))
        await insist(node, dies, 2)
        session = await node.load(dies)
        assert session is not None
        assert session.revision == 2
        await insist(node, stays, 2)


async def test_a_master_that_is_demoted_is_left(
    tmp_path: Path, run: Callable[[RedisBackend], RedisBackend]
) -> None:
    """Guarantee 3: on purpose, and it goes on to answer; what is published is heard elsewhere."""
    with replicated_cluster(tmp_path) as cluster:
        node = run(node_of(cluster))
        topic = topic_at(0)
        ear = await opened(node, topic)
        with cluster.nodes[3].client() as replica:
            replica.execute_command("CLUSTER FAILOVER")
        await ear.until(SyncLost(topic))
        await insist(node, topic, 2)
        await until(lambda: isinstance(ear.heard[-1], Published))


async def test_a_master_that_dies_without_another_takes_its_topics_along(
    own_cluster: RedisCluster, run: Callable[[RedisBackend], RedisBackend]
) -> None:
    """Guarantee 1: Unavailable, soon; when it is back, empty, the session is gone."""
    node = run(node_of(own_cluster))
    topic = topic_at(0)
    ear = await opened(node, topic)
    own_cluster.nodes[0].stop()
    with pytest.raises(Unavailable):
        await node.load(topic)
    await ear.until(SyncLost(topic))
    await asyncio.to_thread(own_cluster.nodes[0].start)
    await until(lambda: node._commands.reaches(keys.of_topic(topic).session))
    assert await node.load(topic) is None


async def test_a_master_that_is_cut_off_is_not_believed(
    own_cluster: RedisCluster, run: Callable[[RedisBackend], RedisBackend]
) -> None:
    """Guarantee 3: it answers, but others may have made another one the master by now."""
    node = run(node_of(own_cluster))
    topic = topic_at(0)
    ear = await opened(node, topic)
    for it in own_cluster.nodes[1:]:
        it.pause()
    try:
        await ear.until(SyncLost(topic))
        assert not node.is_available
    finally:
        for it in own_cluster.nodes[1:]:
            it.resume()
    await insist(node, topic, 2)


async def test_nothing_is_left_when_all_is_over(
    redis_cluster: RedisCluster, run: Callable[[RedisBackend], RedisBackend]
) -> None:
    """D-40: at none of the masters, of any bucket."""
    node = run(node_of(redis_cluster))
    for number in range(50):
        await node.make_topic(f"{TOPIC} {number}", "v0", now=NOON, holder="user|client")
    sizes = [_size(it) for it in redis_cluster.nodes]
    assert all(size > 10 for size in sizes), sizes
    await node.expire(NOON.replace(year=NOON.year + 1))
    await node.expire(NOON.replace(year=NOON.year + 1))
    assert [_size(it) for it in redis_cluster.nodes] == [0, 0, 0]


def _size(server: RedisServer) -> int:
    with server.client() as client:
        return int(client.dbsize())
