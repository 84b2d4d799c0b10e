"""Command line: run one of the reference applications without a screen."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from fhircast_subscribers.adapter import Adapter, follow
from fhircast_subscribers.builders import ReportContext, report_context
from fhircast_subscribers.client import HubSession, connect
from fhircast_subscribers.dictation import Dictation
from fhircast_subscribers.errors import InvalidContext, SubscriberError
from fhircast_subscribers.fhir import FhirVersion
from fhircast_subscribers.show import as_line, describe
from fhircast_subscribers.viewer import Viewer
from fhircast_subscribers.wire import decode, encode
from fhircast_subscribers.worklist import Worklist

if TYPE_CHECKING:
    from fhircast_subscribers.feed import Received
    from fhircast_subscribers.wire import Resource

MakeAdapter: TypeAlias = Callable[[HubSession], Adapter]


class _MemoryStore:
    """Keeps reports as long as the command runs."""

    def __init__(self) -> None:
        self.reports: dict[str, Resource] = {}

    async def put(self, report: Resource) -> None:
        self.reports[str(report.get("id"))] = report


def _shared_options(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.option("--hub", required=True, metavar="URL", help="hub.url"),
        click.option("--topic", required=True, metavar="T", help="hub.topic"),
        click.option(
            "--token",
            envvar="FHIRCAST_TOKEN",
            metavar="T",
            help="Bearer token; better given as FHIRCAST_TOKEN, which no process list shows.",
        ),
        click.option("--name", metavar="N", help="Name in SyncErrors; unique in the session."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object per line."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Join a FHIRcast session and print what a viewer, worklist or dictation would show.

    Runs until Ctrl-C or SIGTERM, then unsubscribes. Exit code 1: the hub did not want us, or the
    subscription ended.
    """


@main.command()
@_shared_options
def viewer(hub: str, topic: str, token: str | None, name: str | None, as_json: bool) -> None:
    """Show patient, study, content and status of the current report."""
    _run(Viewer, hub, topic, token, name or "Image Display", as_json=as_json)


@main.command()
@_shared_options
def dictation(hub: str, topic: str, token: str | None, name: str | None, as_json: bool) -> None:
    """Be ready to report; keeps nothing after it ends."""
    store = _MemoryStore()
    _run(
        lambda session: Dictation(session, store),
        hub,
        topic,
        token,
        name or "Report Creator",
        as_json=as_json,
    )


@main.command()
@_shared_options
@click.option(
    "--case",
    "cases",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file {report, patient, study}: a case of the list. Repeatable.",
)
@click.option("--open", "open_first", is_flag=True, help="Open the first case after joining.")
@click.option("--r5", is_flag=True, help="Write R5 resources (DiagnosticReport.study).")
def worklist(
    hub: str,
    topic: str,
    token: str | None,
    name: str | None,
    as_json: bool,
    cases: tuple[Path, ...],
    open_first: bool,
    r5: bool,
) -> None:
    """List cases and follow their status; with --open, open the first for everybody."""
    listed = [_read_case(path, FhirVersion.R5 if r5 else FhirVersion.R4) for path in cases]
    if open_first and not listed:
        raise click.UsageError("--open needs a --case")
    _run(
        lambda session: Worklist(session, listed),
        hub,
        topic,
        token,
        name or "Worklist Client",
        as_json=as_json,
        open_first=listed[0] if open_first else None,
    )


def _read_case(path: Path, fhir: FhirVersion) -> ReportContext:
    try:
        case: Any = decode(path.read_bytes())
        return report_context(case["report"], case["patient"], case["study"], fhir=fhir)
    except (ValueError, TypeError, KeyError) as error:
        problem = str(error) if isinstance(error, InvalidContext) else "not {report,patient,study}"
        raise click.UsageError(f"--case {path}: {problem}") from None


def _run(
    make: MakeAdapter,
    hub: str,
    topic: str,
    token: str | None,
    name: str,
    *,
    as_json: bool,
    open_first: ReportContext | None = None,
) -> None:
    for option, value in (("--hub", hub), ("--topic", topic), ("--name", name)):
        if not value.strip():
            raise click.UsageError(f"{option} must not be empty")

    def show(received: Received) -> None:
        for change in received.changes:
            described = describe(change)
            click.echo(encode(described).decode() if as_json else as_line(described))

    try:
        asyncio.run(_follow(make, hub, topic, token, name, show, open_first))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return  # asked to stop, and unsubscribed on the way out
    except SubscriberError as error:
        line = json.dumps({"what": "error", "reason": str(error)}) if as_json else f"error: {error}"
        click.echo(line, err=not as_json)
        sys.exit(1)
    click.echo("the subscription has ended", err=True)
    sys.exit(1)


async def _follow(
    make: MakeAdapter,
    hub: str,
    topic: str,
    token: str | None,
    name: str,
    show: Callable[[Received], None],
    open_first: ReportContext | None,
) -> None:
    task = asyncio.current_task()
    if task is not None:
        with suppress(NotImplementedError):  # Windows has no such handlers
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with connect(hub, topic, name=name, token=token) as session:
        if open_first is not None:
            await session.open(open_first)
        await follow(session, make(session), after=show)
