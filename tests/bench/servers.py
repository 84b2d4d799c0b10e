"""Servers under measurement: started on a free port, on a CPU of their own, and stopped."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench import accounting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SERVER_CPU = 0
GENERATOR_CPU = 1
_CPUS = sorted(os.sched_getaffinity(0))
_START_SECONDS = 20
_STOP_SECONDS = 10


class CannotStart(Exception):
    """A server did not come up; the end of its log says why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A server that can be measured.

    Attributes:
        name: In files.
        command: The command line for a port and an empty folder.
        environment: Added to the environment, with "{port}" filled in.
        hub_path: Path of hub.url; "" for the simple wire of the peers.
        missing: What this machine lacks to run it, "" if nothing.
    """

    name: str
    command: Callable[[int, Path], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    hub_path: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs.

    Attributes:
        kind: What it is.
        port: Where it listens, on loopback.
        group: Its process group.
        log: What it wrote.
    """

    kind: Kind
    port: int
    group: int
    log: Path

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used so far."""
        return accounting.cpu_seconds(self.group)

    def memory_kib(self) -> dict[str, int]:
        """Return its memory, `pss` and `rss`."""
        return accounting.memory_kib(self.group)

    def open_files(self) -> int:
        """Return how many file descriptors it holds."""
        return accounting.open_files(self.group)


@contextmanager
def running(
    kind: Kind, settings: Mapping[str, str] | None = None, *, cpu: int = SERVER_CPU
) -> Iterator[Server]:
    """Run a server, pinned to a CPU.

    Args:
        kind: What to start.
        settings: Added to its environment.
        cpu: Which one.

    Raises:
        CannotStart: It does not take connections in time.
    """
    folder = Path(tempfile.mkdtemp(prefix="fhircast-bench-"))
    folder.chmod(0o755)  # nginx's worker is another user
    port = _free_port()
    added = {key: it.format(port=port) for key, it in kind.environment.items()}
    inherited = {key: it for key, it in os.environ.items() if not key.startswith("FHIRCAST_")}
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            kind.command(port, folder),
            env={**inherited, **added, **(settings or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=pin_to(cpu),
        )
    try:
        _wait_for(port, process, log)
        yield Server(kind, port, process.pid, log)
    finally:
        _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def pin_to(cpu: int) -> Callable[[], None]:
    """Return what pins the process that calls it, which does nothing where there is one CPU."""

    def pin() -> None:
        if len(_CPUS) > 1:
            os.sched_setaffinity(0, {_CPUS[cpu]})

    return pin


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise CannotStart(log.read_text(errors="replace")[-500:] or "no word")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
