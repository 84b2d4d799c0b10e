"""A real cluster of three masters: one for each worker, and others that a test may hurt."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from redis.exceptions import RedisError
from redis_server import RedisServer, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from redis import Redis

_DEADLINE_SECONDS = 20
_SLOTS = 16_384


class RedisCluster:
    """Nodes on free ports of loopback.

    Args:
        folder: Where they run.
        replicas: How many nodes without slots there are.

    Attributes:
        nodes: Its servers; the first three have the slots at first.
    """

    def __init__(self, folder: Path, replicas: int = 0) -> None:
        self.nodes = []
        for number in range(3 + replicas):
            own = folder / f"node-{number}"
            own.mkdir()
            options = {
                "cluster-enabled": "yes",
                "cluster-port": str(free_port()),
                "cluster-node-timeout": "500",
                "repl-diskless-sync-delay": "0",
            }
            self.nodes.append(RedisServer(own, **options))

    @property
    def url(self) -> str:
        """What `FHIRCAST_BACKEND` says of it."""
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port},127.0.0.1:{self.nodes[1].port}"

    def start(self) -> None:
        """Start all nodes, make them meet, and share the slots out."""
        for it in self.nodes:
            it.start()
        first = self.nodes[0]
        for number, it in enumerate(self.nodes):
            with it.client() as client:
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                if number < 3:
                    last = (number + 1) * _SLOTS // 3 - 1
                    client.execute_command("CLUSTER ADDSLOTSRANGE", number * _SLOTS // 3, last)
                port = first._options["cluster-port"]
                client.execute_command("CLUSTER MEET", "127.0.0.1", first.port, port)
        self.until(self._is_ok)

    def stop(self) -> None:
        """Kill all nodes."""
        for it in self.nodes:
            it.stop()

    def client_of(self, key_slot: int) -> Redis:
        """A client of the node that has a slot at first."""
        return self.nodes[key_slot * 3 // _SLOTS].client()

    def empty(self) -> None:
        """Forget all keys."""
        for it in self.nodes:
            with it.client() as client:
                client.flushall()

    def until(self, condition: object) -> None:
        """Wait until something is so."""
        assert callable(condition)
        until = time.monotonic() + _DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < until, "the cluster does not come to that"
            time.sleep(0.02)  # it tells nobody

    def _is_ok(self) -> bool:
        wanted = {"cluster_state": "ok", "cluster_known_nodes": str(len(self.nodes))}
        for it in self.nodes:
            with it.client() as client:
                try:
                    said = client.execute_command("CLUSTER INFO")
                except RedisError:
                    return False
                if any(said[name] != value for name, value in wanted.items()):
                    return False
        return True


@contextmanager
def running_cluster(folder: Path, replicas: int = 0) -> Iterator[RedisCluster]:
    """Run a cluster."""
    cluster = RedisCluster(folder, replicas)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def cluster_of_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """The cluster of this worker."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def redis_cluster(cluster_of_worker: RedisCluster) -> RedisCluster:
    """The cluster of this worker, empty."""
    cluster_of_worker.empty()
    return cluster_of_worker


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    """A cluster that a test may hurt."""
    with running_cluster(tmp_path) as cluster:
        yield cluster
