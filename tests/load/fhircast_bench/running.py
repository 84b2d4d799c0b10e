"""A run in its own event loop: open files, signals, and how far it is."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

import click

from fhircast_bench.run import Run
from fhircast_bench.target import NoHub

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from fhircast_bench.load import Load
    from fhircast_bench.process import HubProcess
    from fhircast_bench.record import Progress, Record
    from fhircast_bench.target import Target

_TOLD_EVERY_SECONDS = 5.0
_SPARE_FILES = 100


def run_to_its_end(
    load: Load,
    target: Target,
    token: str,
    tls: ssl.SSLContext,
    watched: HubProcess | None,
    *,
    allow_remote: bool,
    is_quiet: bool,
) -> Record:
    """Do a run, until its end or the first Ctrl-C or SIGTERM; a second one breaks it off.

    Args:
        load: What to put on the hub.
        target: The hub.
        token: Bearer token, "" for none.
        tls: What TLS trusts.
        watched: The hub's process, None if it is not to be looked at.
        allow_remote: Whether endpoints may lead to other machines.
        is_quiet: Whether to say nothing on the way.

    Raises:
        NoHub: Nobody answers, what answers is no hub, or this machine lacks what is needed.
        NotLetIn: A subscriber could not join.
    """
    _allow_open_files(load.subscriptions + load.lanes + _SPARE_FILES)

    async def run() -> Record:
        running = Run(
            load,
            target,
            token,
            tls,
            allow_remote=allow_remote,
            watched=watched,
            progress=_silent if is_quiet else _progress(load, on_screen=sys.stderr.isatty()),
        )
        loop = asyncio.get_running_loop()

        def stop() -> None:
            running.interrupt()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

        # Neither Windows nor a thread of its own has such handlers.
        with suppress(NotImplementedError, RuntimeError, ValueError):
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop)
        return await running()

    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        return runner.run(run())


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not for Windows
        return None
    return uvloop.new_event_loop


def _allow_open_files(wanted: int) -> None:
    """Raise the soft limit of open files as far as is needed.

    Raises:
        NoHub: The hard limit is below it.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise NoHub(f"this load needs {wanted} open files and {hard} are allowed: ulimit -n")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _silent(_: Progress) -> None:
    """Say nothing."""


def _progress(load: Load, *, on_screen: bool) -> Callable[[Progress], None]:
    """Return what tells how far the run is: one line that changes; into a file, a line at times."""
    told_at = monotonic()

    def tell(progress: Progress) -> None:
        nonlocal told_at
        if on_screen:
            click.echo(f"\r\x1b[2K{_line(progress, load)[:78]}", nl=False, err=True)
            if progress.stage == "over":
                click.echo("\r\x1b[2K", nl=False, err=True)
        elif monotonic() - told_at >= _TOLD_EVERY_SECONDS:
            told_at = monotonic()
            click.echo(_line(progress, load), err=True)

    return tell


def _line(progress: Progress, load: Load) -> str:
    joined = f"{progress.joined}/{load.subscriptions} joined"
    of = "" if load.events is None else f"/{load.warm_up + load.events}"
    sent = f"{progress.sent}{of} events, {progress.deliveries} deliveries"
    return f"{progress.stage:<9} {progress.seconds:6.1f} s  {joined}  {sent}"
