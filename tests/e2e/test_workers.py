"""`fhircast serve --workers`: several processes at one address, and none left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
from builders import TOPIC
from fhircast_conformance.wire import Wire
from websockets.exceptions import ConnectionClosed
from wire_messages import ALL_EVENTS, marker, open_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from redis_server import RedisServer

_DEADLINE_SECONDS = 40
_REFUSES = """
from multiprocessing import parent_process

class Refuses:
    def __init__(self):
        if parent_process() is not None:
            raise RuntimeError("not in a worker")

    def may(self, *_):
        return True

policy = Refuses()
"""

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc"),
    pytest.mark.xdist_group("browser"),  # each starts several processes
]


class Served:
    """A `fhircast serve` with workers.

    Attributes:
        process: The parent.
        wire: A client.
        lines: What it said, as it comes.
    """

    def __init__(self, process: asyncio.subprocess.Process, wire: Wire) -> None:
        self.process = process
        self.wire = wire

    @property
    def workers(self) -> set[int]:
        """The process ids of the workers that run."""
        pid = self.process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except FileNotFoundError:
            return set()
        return {int(it) for it in children if _is_worker(int(it))}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while not condition():  # noqa: ASYNC110 - processes tell nobody here
                await asyncio.sleep(0.05)

    async def reached(self) -> None:
        """Wait until somebody answers, and reaches Redis."""
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while True:
                with suppress(httpx.HTTPError):
                    if (await self.wire.http.get(_ready(self.wire.hub_url))).status_code == 200:
                        return
                await asyncio.sleep(0.05)


@asynccontextmanager
async def served(server: RedisServer, *flags: str, **variables: str) -> AsyncIterator[Served]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "fhircast_hub", "serve", "--port", "0", "--workers", "2"),
        *("--backend", server.url, *flags),
        stdout=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, **variables},
    )
    assert process.stdout is not None
    workers: set[int] = set()
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            first = (await process.stdout.readline()).decode()
        async with Wire(first.split()[1]) as wire:
            it = Served(process, wire)
            await it.until(lambda: len(it.workers) == 2)
            if "--tls-self-signed" not in flags:
                await it.reached()
            yield it
            workers = it.workers
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def test_workers_serve_one_session(redis_server: RedisServer) -> None:
    """Guarantee 3: whoever is asked, and though one of them is killed (-9)."""
    async with served(redis_server) as hub:
        follower = await hub.wire.join(TOPIC, ALL_EVENTS)
        opened = open_request()
        assert (await hub.wire.post(opened)).status_code == 202
        assert (await follower.followed())["id"] == opened["id"]
        before = hub.workers
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert await follower.close_code() == 1006
        await hub.until(lambda: len(hub.workers) == 2 and not hub.workers & before)
        again = await (await hub.wire.connect(follower.endpoint)).confirmed()
        assert (await again.followed())["id"] == opened["id"]


async def test_workers_are_replaced_one_after_the_other(redis_server: RedisServer) -> None:
    """Guarantee 5: nobody finds the door closed, and whoever is sent away comes back in sync."""
    async with served(redis_server) as hub:
        follower = await hub.wire.join(TOPIC, ALL_EVENTS)
        before = hub.workers
        hub.process.send_signal(signal.SIGHUP)
        replaced = asyncio.create_task(
            hub.until(lambda: len(hub.workers) == 2 and not hub.workers & before)
        )
        while not replaced.done():
            async with Wire(hub.wire.hub_url) as other:  # a connection of its own each time
                assert (await other.post(marker())).status_code == 202
        await replaced
        with suppress(ConnectionClosed):
            while True:
                await follower.next()
        assert await follower.close_code() == 1001
        again = await (await hub.wire.connect(follower.endpoint)).confirmed()
        opened = open_request()
        assert (await hub.wire.post(opened)).status_code == 202
        assert (await again.followed())["id"] == opened["id"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_no_worker_outlives_its_parent(
    redis_server: RedisServer, number: signal.Signals
) -> None:
    """Guarantee 5: also if the parent has no time to say anything."""
    async with served(redis_server) as hub:
        follower = await hub.wire.join(TOPIC, ALL_EVENTS)
        workers = hub.workers
        hub.process.send_signal(number)
        assert await follower.close_code() == 1001
        async with asyncio.timeout(_DEADLINE_SECONDS):
            assert await hub.process.wait() == (-number if number == signal.SIGKILL else 0)
        await hub.until(lambda: not any(map(_is_worker, workers)))


async def test_a_second_signal_cuts_the_draining_short(redis_server: RedisServer) -> None:
    """Who says it twice does not want to wait: an hour of draining is over at once."""
    async with served(redis_server, "--drain-seconds", "3600") as hub:
        follower = await hub.wire.join(TOPIC, ALL_EVENTS)
        hub.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while (await hub.wire.http.get(_ready(hub.wire.hub_url))).status_code == 200:
                pass
        hub.process.send_signal(signal.SIGTERM)
        assert await follower.close_code() == 1001
        async with asyncio.timeout(_DEADLINE_SECONDS):
            assert await hub.process.wait() == 0


async def test_what_no_worker_can_start_with_ends_it_all(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """The exit code of wrong use and a line that says why, instead of trying for ever."""
    (tmp_path / "refuses.py").write_text(_REFUSES)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fhircast_hub", "serve", "--port", "0", "--workers", "3"),
        *("--backend", redis_server.url, "--policy", "refuses:policy"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    async with asyncio.timeout(_DEADLINE_SECONDS):
        _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().count("a worker cannot start: FHIRCAST_POLICY") == 1
    assert "before it served" in said.decode().splitlines()[-1]


async def test_each_worker_has_its_own_audit_file(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """A chain has one writer."""
    async with served(redis_server, "--audit-file", str(tmp_path / "audit.jsonl")) as hub:
        names = {"audit-1.jsonl", "audit-2.jsonl"}
        await hub.until(lambda: {it.name for it in tmp_path.iterdir()} >= names)
        assert not (tmp_path / "audit.jsonl").exists()


async def test_all_workers_have_one_certificate(redis_server: RedisServer) -> None:
    """Whoever trusts it, trusts each of them."""
    async with served(redis_server, "--tls-self-signed") as hub:
        port = urlsplit(hub.wire.hub_url).port
        assert port is not None
        certificates = set()
        for pid in sorted(hub.workers):  # one is stopped, so the other answers
            os.kill(pid, signal.SIGSTOP)
            async with asyncio.timeout(_DEADLINE_SECONDS):
                certificates.add(
                    await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
                )
            os.kill(pid, signal.SIGCONT)
        assert len(certificates) == 1


def _is_worker(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b"spawn_main" in command and state != "Z"


def _ready(hub_url: str) -> str:
    return hub_url.removesuffix("/api/hub") + "/readyz"
