"""Command line: run one of the reference applications without a screen."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from fhircast_subscribers.actors import (
    ACTORS,
    EVIDENCE_CREATOR,
    IMAGE_DISPLAY,
    REPORT_CREATOR,
    WATCHER,
    WORKLIST_CLIENT,
    Actor,
)
from fhircast_subscribers.adapter import Adapter, follow
from fhircast_subscribers.builders import ReportContext, report_context
from fhircast_subscribers.capability import capability_statement
from fhircast_subscribers.changes import LogoutRequested
from fhircast_subscribers.client import HubSession, connect
from fhircast_subscribers.content import measurement
from fhircast_subscribers.dictation import Dictation
from fhircast_subscribers.errors import InvalidContext, SubscriberError
from fhircast_subscribers.evidence import EvidenceCreator
from fhircast_subscribers.fetching import FhirFetch
from fhircast_subscribers.fhir import FhirVersion
from fhircast_subscribers.launch import Launch, new_topic
from fhircast_subscribers.show import as_line, describe
from fhircast_subscribers.viewer import Viewer
from fhircast_subscribers.watcher import Watcher
from fhircast_subscribers.wire import decode, encode
from fhircast_subscribers.worklist import Worklist

if TYPE_CHECKING:
    from fhircast_subscribers.contexts import OpenContext
    from fhircast_subscribers.evidence import Analyse
    from fhircast_subscribers.feed import Received
    from fhircast_subscribers.wire import Resource

MakeAdapter: TypeAlias = Callable[[HubSession], Adapter]


class _MemoryStore:
    """Keeps reports as long as the command runs."""

    def __init__(self) -> None:
        self.reports: dict[str, Resource] = {}

    async def put(self, report: Resource) -> None:
        self.reports[str(report.get("id"))] = report


@dataclass(frozen=True)
class _Options:
    """What every application is told."""

    hub: str
    topic: str
    token: str | None = field(repr=False)
    name: str
    as_json: bool
    fetch_from: tuple[str, ...]


def _shared_options(actor: Actor) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of all, as one `options` argument."""
    starts = " By default a new session is started, and told." if actor.opens else ""
    parameters = (
        click.option("--hub", required=True, metavar="URL", help="hub.url"),
        click.option("--topic", required=not actor.opens, metavar="T", help=f"hub.topic.{starts}"),
        click.option(
            "--token",
            envvar="FHIRCAST_TOKEN",
            metavar="T",
            help="Bearer token; better given as FHIRCAST_TOKEN, which no process list shows.",
        ),
        click.option("--name", metavar="N", help="Name in SyncErrors; unique in the session."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object per line."),
        click.option(
            "--fetch-from",
            multiple=True,
            metavar="URL",
            help="FHIR server to read content from that is only referred to, with the same token. "
            "Repeatable.",
        ),
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def called(
            hub: str,
            topic: str | None,
            token: str | None,
            name: str | None,
            as_json: bool,
            fetch_from: tuple[str, ...],
            **others: Any,
        ) -> None:
            topic = new_topic() if topic is None else topic
            # IRA-SUB-01: two viewers in one session are told apart.
            name = f"{actor.name} {secrets.token_hex(2)}" if name is None else name
            for option, value in (("--hub", hub), ("--topic", topic), ("--name", name)):
                if not value.strip():
                    raise click.UsageError(f"{option} must not be empty")
            command(_Options(hub, topic, token, name, as_json, fetch_from), **others)

        called.__doc__, called.__name__ = command.__doc__, command.__name__
        called.__dict__.update(command.__dict__)
        for option in reversed(parameters):
            called = option(called)
        return called

    return decorate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Join a FHIRcast session and print what a viewer, worklist or dictation would show.

    Runs until Ctrl-C, SIGTERM or the user's logout, then unsubscribes. Exit code 1: the hub did not
    want us, or the subscription ended.
    """


@main.command()
@_shared_options(IMAGE_DISPLAY)
def viewer(options: _Options) -> None:
    """Show patient, study, content and status of the current report."""
    _run(IMAGE_DISPLAY, Viewer, options)


@main.command()
@_shared_options(REPORT_CREATOR)
def dictation(options: _Options) -> None:
    """Be ready to report; keeps nothing after it ends."""
    store = _MemoryStore()
    _run(REPORT_CREATOR, lambda session: Dictation(session, store), options)


@main.command()
@_shared_options(WATCHER)
def watcher(options: _Options) -> None:
    """Log opens and closes; sends nothing."""
    _run(WATCHER, lambda _session: Watcher(), options)


@main.command()
@click.option("--value", type=Decimal, help="Share this measurement for each report opened.")
@click.option("--unit", default="mm", show_default=True, help="UCUM code.")
@_shared_options(EVIDENCE_CREATOR)
def evidence(options: _Options, value: Decimal | None, unit: str) -> None:
    """Share a measurement for every report that is opened, as an AI application would."""

    async def analyse(context: OpenContext) -> list[Resource]:
        if value is None:
            return []
        return [measurement(context, value, unit, measured_at=datetime.now(UTC))]

    _run(EVIDENCE_CREATOR, EvidenceCreator, options, analyse=analyse)


@main.command()
@click.option(
    "--case",
    "cases",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file {report, patient, study}: a case of the list. Repeatable.",
)
@click.option("--open", "open_first", is_flag=True, help="Open the first case after joining.")
@click.option("--r5", is_flag=True, help="Write R5 resources (DiagnosticReport.study).")
@_shared_options(WORKLIST_CLIENT)
def worklist(options: _Options, cases: tuple[Path, ...], open_first: bool, r5: bool) -> None:
    """List cases and follow their status; with --open, open the first for everybody."""
    listed = [_read_case(path, FhirVersion.R5 if r5 else FhirVersion.R4) for path in cases]
    if open_first and not listed:
        raise click.UsageError("--open needs a --case")
    _run(
        WORKLIST_CLIENT,
        lambda session: Worklist(session, listed),
        options,
        open_first=listed[0] if open_first else None,
    )


@main.command()
@click.argument("actor", type=click.Choice([it.slug for it in ACTORS]))
@click.option("--r4", is_flag=True, help="For R4 resources; by default R5, as IRA wants them.")
def capability(actor: str, r4: bool) -> None:
    """Print the CapabilityStatement of an application: the FHIR resources that it shares."""
    chosen = next(it for it in ACTORS if it.slug == actor)
    fhir = FhirVersion.R4 if r4 else FhirVersion.R5
    click.echo(json.dumps(capability_statement(chosen, fhir=fhir), indent=2))


def _read_case(path: Path, fhir: FhirVersion) -> ReportContext:
    try:
        case: Any = decode(path.read_bytes())
        return report_context(case["report"], case["patient"], case["study"], fhir=fhir)
    except (ValueError, TypeError, KeyError) as error:
        problem = str(error) if isinstance(error, InvalidContext) else "not {report,patient,study}"
        raise click.UsageError(f"--case {path}: {problem}") from None


def _run(
    actor: Actor,
    make: MakeAdapter,
    options: _Options,
    *,
    open_first: ReportContext | None = None,
    analyse: Analyse | None = None,
) -> None:
    try:
        asyncio.run(_follow(actor, make, options, open_first, analyse))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return  # asked to stop, and unsubscribed on the way out
    except SubscriberError as error:
        reason = {"what": "error", "reason": str(error)}
        click.echo(json.dumps(reason) if options.as_json else f"error: {error}", err=True)
        sys.exit(1)
    click.echo("the subscription has ended", err=True)
    sys.exit(1)


async def _follow(
    actor: Actor,
    make: MakeAdapter,
    options: _Options,
    open_first: ReportContext | None,
    analyse: Analyse | None,
) -> None:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("to be run as a task")
    with suppress(NotImplementedError):  # Windows has no such handlers
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    fetch = FhirFetch(options.fetch_from, token=options.token) if options.fetch_from else None
    async with connect(
        options.hub,
        options.topic,
        name=options.name,
        token=options.token,
        events=actor.events,
        fetch=fetch,
    ) as session:
        if actor.opens:
            launch = Launch(session.hub_url, session.topic).parameters()
            _say({"what": "session", **launch}, options)
        if open_first is not None:
            await session.open(open_first)
        adapter = make(session)

        def after(received: Received) -> None:
            for change in received.changes:
                _say(describe(change), options)
            is_logout = any(isinstance(it, LogoutRequested) for it in received.changes)
            if is_logout and getattr(adapter, "is_logged_out", False):
                task.cancel()

        await _run_adapter(session, adapter, after, analyse)


async def _run_adapter(
    session: HubSession,
    adapter: Adapter,
    after: Callable[[Received], None],
    analyse: Analyse | None,
) -> None:
    if analyse is None or not isinstance(adapter, EvidenceCreator):
        await follow(session, adapter, after=after)
        return
    working = asyncio.create_task(adapter.work(analyse))
    try:
        await follow(session, adapter, after=after)
    finally:
        working.cancel()
        await asyncio.wait([working])


def _say(described: dict[str, Any], options: _Options) -> None:
    click.echo(encode(described).decode() if options.as_json else as_line(described))
