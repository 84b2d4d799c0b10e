"""nginx and HAProxy with the files that integrators get: places, sizes and one wait differ."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import ssl
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from certificates import certify
from torture.nodes import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FILES = Path(__file__).parents[1] / "examples" / "load_balancers"
_DEADLINE_SECONDS = 20
_HUBS = ("10.0.0.11:8080", "10.0.0.12:8080", "10.0.0.13:8080")


class Balancer:
    """A load balancer before three hubs, on a port of loopback that stays the same.

    Args:
        folder: Where it runs.

    Attributes:
        port: Where it listens.
        origin: As clients reach it.
        trust: What trusts its certificate.
    """

    program = ""
    file = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._log = folder / "balancer.log"
        self._cert, self._key = folder / "hub.pem", folder / "hub.key"
        certify(self._cert, self._key)
        self.port = free_port()
        self.origin = f"https://127.0.0.1:{self.port}"
        self.trust = ssl.create_default_context(cafile=str(self._cert))

    def before(self, *ports: int) -> None:
        """Write its file, for hubs at these ports of loopback."""
        text = (FILES / self.file).read_text()
        hubs = dict(zip(_HUBS, (f"127.0.0.1:{it}" for it in ports), strict=True))
        for old, new in {**hubs, **self._places()}.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (self._folder / self.file).write_text(text)

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdout=log,
                stderr=log,
                start_new_session=True,  # killed with its workers
            )
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while not await self.listens():
                assert self._process.returncode is None, self.log()
                await asyncio.sleep(0.02)

    async def listens(self) -> bool:
        """Tell whether a connection is taken."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    def reload(self) -> None:
        """Let it read its file again, as a site does that changes it."""
        assert self._process is not None
        self._process.send_signal(self._reload)

    async def kill(self) -> None:
        """Kill it and its workers: every connection through it breaks."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            self._process = None
            async with asyncio.timeout(_DEADLINE_SECONDS):
                while await self.listens():  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)  # its workers end a moment later

    def log(self) -> str:
        """Return what it logged."""
        return self._log.read_text(errors="replace")

    _reload = signal.SIGHUP

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _places(self) -> dict[str, str]:
        raise NotImplementedError


class Nginx(Balancer):
    """Debian's nginx."""

    program, file = "nginx", "nginx.conf"

    def _command(self) -> list[str]:
        user = "user root;" if os.geteuid() == 0 else ""
        more = f"daemon off; pid {self._folder}/pid; {user}"
        file, folder = str(self._folder / self.file), str(self._folder)
        return ["nginx", "-c", file, "-p", folder, "-e", "stderr", "-g", more]

    def _places(self) -> dict[str, str]:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = " ".join(f"{it}_temp_path {self._folder}/{it};" for it in kinds)
        return {
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "/etc/ssl/fhircast/hub.pem": str(self._cert),
            "/etc/ssl/fhircast/hub.key": str(self._key),
            "/var/log/nginx/error.log": "stderr",
            "/var/log/nginx/fhircast.log": str(self._log),
            "worker_shutdown_timeout 30s": "worker_shutdown_timeout 1s",
            "worker_connections 20000": "worker_connections 500",
            "worker_processes auto": "worker_processes 2",
            "http {": "http { " + temporary,
        }


class HAProxy(Balancer):
    """Debian's HAProxy."""

    program, file = "haproxy", "haproxy.cfg"
    _reload = signal.SIGUSR2

    def _command(self) -> list[str]:
        return ["haproxy", "-W", "-f", str(self._folder / self.file)]

    def _places(self) -> dict[str, str]:
        both = self._folder / "hub-and-key.pem"
        both.write_bytes(self._cert.read_bytes() + self._key.read_bytes())
        return {
            "bind :443 ssl": f"bind 127.0.0.1:{self.port} ssl",
            "/etc/ssl/fhircast/hub-and-key.pem": str(both),
            "hard-stop-after 30s": "hard-stop-after 1s",
            "maxconn 20000": "maxconn 500",
        }


KINDS: dict[str, type[Balancer]] = {it.program: it for it in (Nginx, HAProxy)}


@asynccontextmanager
async def balancing(program: str, folder: Path) -> AsyncIterator[Balancer]:
    """Have a balancer that is not yet started; it is killed at the end."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    it = KINDS[program](folder)
    try:
        yield it
    finally:
        await it.kill()
