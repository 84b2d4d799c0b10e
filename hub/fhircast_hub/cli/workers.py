"""Several processes of the hub on one machine, that listen at one address and share sessions.

The parent listens and hands the socket down: whoever connects while a worker dies is served by the
next. Workers are fresh processes, not copies of one that has keys and connections already. Each
hears the end of the parent, whatever ended it, and stops; none is left behind.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import PurePath
from typing import TYPE_CHECKING

from fhircast_hub.config import SettingError
from fhircast_hub.observability.logs import configure

if TYPE_CHECKING:
    import socket
    from multiprocessing.context import SpawnProcess

    from fhircast_hub.config import Settings
    from fhircast_hub.security.self_signed import SelfSigned
    from fhircast_hub.web.server import HubServer

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
"""Before a worker that died is started again; the pause doubles while they die young."""

_YOUNG_SECONDS = 10.0
"""A worker that dies before that died young."""

_FAREWELL_SECONDS = 15.0
"""Beyond the draining, for which a worker may take to stop before it is killed."""

_UP = b"up"


class CannotStart(Exception):
    """No worker can be started.

    Attributes:
        status: Exit code of the one that tried.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"a worker ended with {status} before it served")
        self.status = status


@dataclass(slots=True)
class _Worker:
    """One process.

    Attributes:
        number: Which; the one that is started in its place has the same.
        process: The process.
        line: Says that it is up; its end is that of the parent, and of the worker.
        started_at: Monotonic seconds.
        is_up: Whether it serves.
    """

    number: int
    process: SpawnProcess
    line: Connection
    started_at: float
    is_up: bool = False


class Workers:
    """Keeps as many workers running as there shall be, until told to stop.

    Args:
        settings: Of the hub.
        sock: Where all listen.
        certificate: The one that all show, if it was made for this start.
        max_connections: Of each.
    """

    def __init__(
        self,
        settings: Settings,
        sock: socket.socket,
        certificate: SelfSigned | None,
        max_connections: int,
    ) -> None:
        self._settings = settings
        self._sock = sock
        self._certificate = certificate
        self._max_connections = max_connections
        self._leave_seconds = settings.drain_seconds + settings.send_away_seconds
        self._workers: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self._signals, self._told = get_context("spawn").Pipe(duplex=False)
        self._pause = _FIRST_PAUSE_SECONDS
        self._has_served = False

    def run(self) -> None:
        """Run until SIGTERM or SIGINT; SIGHUP replaces the workers, one after the other.

        A terminal that is closed says SIGHUP too: in one, that is the end.

        Raises:
            CannotStart: A worker ended before any of them served.
        """
        ends = {signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if _is_in_terminal() else [])}
        for it in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(it, self._tell)
        try:
            told = None
            for number in range(1, self._settings.workers + 1):
                self._workers.append(self._start(number))
                # What none of them can start with is said once.
                while not self._has_served and told not in ends:
                    told = self._look()
            while told not in ends and (told := self._look()) not in ends:
                if told is signal.SIGHUP:
                    self._replace_all()
        finally:
            self._stop([*self._workers, *self._leaving])

    def _tell(self, number: int, _frame: object) -> None:
        # A byte for the loop, which waits for this and the workers alike.
        self._told.send_bytes(bytes([number]))

    def _look(self, until: float | None = None) -> signal.Signals | None:
        """Wait until something happens, and see to it; return the signal that came, if one did."""
        every = [*self._workers, *self._leaving]
        left = None if until is None else max(0.0, until - time.monotonic())
        lines = [it.line for it in every if not it.line.closed]
        happened = wait([self._signals, *lines, *(it.process.sentinel for it in every)], left)
        for it in every:
            if it.line in happened:
                self._heard(it)
            if it.process.sentinel in happened:
                self._ended(it)
        if self._signals in happened:
            return signal.Signals(self._signals.recv_bytes()[0])
        return None

    def _heard(self, it: _Worker) -> None:
        try:
            it.is_up = it.line.recv_bytes() == _UP
            self._has_served = self._has_served or it.is_up
        except (EOFError, OSError):
            it.line.close()

    def _ended(self, it: _Worker) -> None:
        it.process.join()
        it.line.close()
        if it in self._leaving:
            self._leaving.remove(it)
            return
        if not self._has_served:
            raise CannotStart(it.process.exitcode or 1)
        logger.error("worker %d ended with %s: started again", it.number, it.process.exitcode)
        is_young = time.monotonic() - it.started_at < _YOUNG_SECONDS
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS) if is_young else 0
        self._pause = max(self._pause, _FIRST_PAUSE_SECONDS)
        time.sleep(self._pause)
        self._workers[self._workers.index(it)] = self._start(it.number)

    def _start(self, number: int) -> _Worker:
        spawn = get_context("spawn")
        here, there = spawn.Pipe()
        settings = replace(
            self._settings, audit_file=audit_file_of(self._settings.audit_file, number)
        )
        process = spawn.Process(
            target=work,
            args=(settings, self._sock, self._certificate, self._max_connections, there),
            name=f"fhircast worker {number}",
        )
        process.start()
        there.close()
        return _Worker(number, process, here, time.monotonic())

    def _replace_all(self) -> None:
        """Put a new worker in the place of each: it serves before the old one is told to stop."""
        for old in list(self._workers):
            new = self._start(old.number)
            until = time.monotonic() + _FAREWELL_SECONDS
            while not new.is_up and new.process.is_alive() and time.monotonic() < until:
                if wait([new.line, new.process.sentinel], 0.1) and not new.line.closed:
                    self._heard(new)
            if not new.is_up:
                logger.error("a new worker does not serve: worker %d stays", old.number)
                self._stop([new])
                return
            self._workers[self._workers.index(old)] = new
            self._leaving.append(old)
            _signal(old, signal.SIGUSR1)
            # The next one when this one has gone: its subscribers come to the others.
            while old in self._leaving and time.monotonic() < until + self._leave_seconds:
                told = self._look(until + self._leave_seconds)
                if told is not None and told is not signal.SIGHUP:
                    self._tell(told, None)
                    return
            if old in self._leaving:
                old.process.kill()
        logger.info("all workers are replaced")

    def _stop(self, workers: list[_Worker]) -> None:
        """Tell workers to stop, wait for them, and kill what does not."""
        for it in workers:
            _signal(it, signal.SIGTERM)
        until = time.monotonic() + self._leave_seconds + _FAREWELL_SECONDS
        alive = list(workers)
        while alive and (left := until - time.monotonic()) > 0:
            happened = wait([self._signals, *(it.process.sentinel for it in alive)], left)
            if self._signals in happened:  # who says it twice does not want to wait
                self._signals.recv_bytes()
                for it in alive:
                    _signal(it, signal.SIGINT)
            alive = [it for it in alive if it.process.is_alive()]
        for it in alive:
            logger.error("worker %d does not stop: killed", it.number)
            it.process.kill()
        for it in workers:
            it.process.join()
            it.line.close()


def audit_file_of(audit_file: str, number: int) -> str:
    """Return the file of the audit trail of one worker: each has a chain of its own."""
    if not audit_file:
        return ""
    path = PurePath(audit_file)
    return str(path.with_name(f"{path.stem}-{number}{path.suffix}"))


def work(
    settings: Settings,
    sock: socket.socket,
    certificate: SelfSigned | None,
    max_connections: int,
    line: Connection,
) -> None:
    """Serve, as one of the workers.

    Args:
        settings: Of the hub.
        sock: Where to listen.
        certificate: To show, if it was made for this start.
        max_connections: At a time.
        line: To the parent.
    """
    from fhircast_hub.web.server import HubServer

    configure(settings.log_format, settings.log_level)  # type: ignore[arg-type]  # checked choices
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # of a terminal that is closed: for the parent
    try:
        server = HubServer(settings, certificate=certificate)
    except SettingError as error:  # what has changed since the parent tried it
        logger.error("a worker cannot start: %s", error)
        sys.exit(2)
    server.crowd.max_total = max_connections
    signal.signal(signal.SIGUSR1, lambda *_: _leave(server))
    server.on_up = lambda: line.send_bytes(_UP)
    threading.Thread(target=_stop_with_parent, args=(line,), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    server.run(sockets=[sock])
    if not server.started:
        sys.exit(3)


def _leave(server: HubServer) -> None:
    server.is_replaced = True
    server.should_exit = True


def _stop_with_parent(line: Connection) -> None:
    with suppress(EOFError, OSError):
        line.recv_bytes()  # nothing ever comes but the end
    os.kill(os.getpid(), signal.SIGTERM)


def _is_in_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _signal(it: _Worker, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        if it.process.pid is not None and it.process.is_alive():
            os.kill(it.process.pid, number)
