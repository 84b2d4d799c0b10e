"""Real `fhircast serve` processes, each behind its own way to Redis."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

import httpx

from torture.proxy import Proxy
from torture.settings import HUB

if TYPE_CHECKING:
    from pathlib import Path

_UP_SECONDS = 30

_BUG = re.compile(r"(a delivery|a sweep|a line|a look at a channel) failed: (\w+)|not settled: \w+")
_NO_BUGS = {"Unavailable", "ConnectionError"}


class Node:
    """One hub.

    Attributes:
        number: Which.
        proxy: Its way to Redis.
        port: Of the hub, the same after a restart.
    """

    def __init__(self, number: int, folder: Path, redis_port: int) -> None:
        self.number = number
        self.proxy = Proxy(redis_port)
        self.port = free_port()
        self._log = folder / f"hub-{number}.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def hub_url(self) -> str:
        """`hub.url`."""
        return f"http://127.0.0.1:{self.port}/api/hub"

    def endpoint(self, path: str) -> str:
        """Return an endpoint, whichever hub made it, at this hub."""
        return f"ws://127.0.0.1:{self.port}{path}"

    async def start(self) -> None:
        """Start the process; that it serves is another matter."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FHIRCAST_")}
        backend = f"redis://127.0.0.1:{self.proxy.port}"
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "fhircast_hub", "serve"),
                *("--port", str(self.port), "--backend", backend),
                env={**environment, **HUB},
                stdout=log,
                stderr=log,
            )

    async def ready(self, http: httpx.AsyncClient) -> None:
        """Wait until the hub serves; start it again should it have found its port taken."""
        async with asyncio.timeout(_UP_SECONDS):
            while True:
                with suppress(httpx.HTTPError):
                    answer = await http.get(f"http://127.0.0.1:{self.port}/readyz")
                    if answer.status_code == 200:
                        return
                if self._process is None or self._process.returncode is not None:
                    await self.start()
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """Kill the process, without a chance to say anything."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None

    async def leave(self) -> None:
        """Tell the process to stop, and wait until it is gone."""
        self._signal(signal.SIGTERM)
        if self._process is not None:
            async with asyncio.timeout(_UP_SECONDS):
                await self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stop the process where it is."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def complaints(self) -> list[str]:
        """Return the lines of its log that tell of a bug."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        found = [(it, _BUG.search(it)) for it in lines]
        bugs = [line for line, it in found if it and it.group(2) not in _NO_BUGS]
        return [
            f"hub {self.number}: {it}" for it in bugs + [it for it in lines if "Traceback" in it]
        ]

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def free_port() -> int:
    """Return a port below those that the system gives to connections: it stays free meanwhile."""
    chance = Random()
    while True:
        port = chance.randrange(20_000, 32_000)
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
