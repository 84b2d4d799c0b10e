"""`fhircast conform-subscriber`: judge a subscriber with a hub that is played on purpose."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from fhircast_conformance.report.data import render_json, render_junit
from fhircast_conformance.report.files import must_be_writable, write_report
from fhircast_conformance.report.html import render_html
from fhircast_conformance.report.text import render_text
from fhircast_conformance.subscriber.application import (
    ByHand,
    Command,
    Driver,
    Hands,
    NoHands,
    Operator,
    environment_of,
)
from fhircast_conformance.subscriber.occasions import judged_rows
from fhircast_conformance.subscriber.played import PlayedHub
from fhircast_conformance.subscriber.run import run_scenarios
from fhircast_conformance.subscriber.scenarios import SCENARIOS
from fhircast_conformance.subscriber.waits import Waits
from fhircast_conformance.subscriber.watch import STATELESS
from fhircast_conformance.tokens import is_bearer

if TYPE_CHECKING:
    from fhircast_conformance.results import Run
    from fhircast_conformance.subscriber.application import Application

_WAITS = Waits()
_SECONDS = click.FloatRange(min=0, min_open=True)
_FILE = click.Path(dir_okay=False, writable=True, allow_dash=True)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=0,
    type=click.IntRange(0, 65534),
    help="Port of hub.url; WebSockets are at the next one. 0 takes any free ones.",
)
@click.option("--public-host", default="", help="Name in hub.url, if not --host.")
@click.option("--topic", default="", help="hub.topic; by default a new one.")
@click.option("--token", help="Bearer token to hand out; by default a new one, '' for none.")
@click.option("--profile", type=click.Choice(["base", "ira"]), default="base", show_default=True)
@click.option(
    "--actor",
    type=click.Choice(["", STATELESS]),
    default="",
    help="Actor of IHE IRA, where rows depend on it.",
)
@click.option("--only", default="", help="Rows or families, comma separated: SUB,IRA-PR,ACK-04")
@click.option("--json", "json_file", type=_FILE, help="Write the result as JSON; - for the screen.")
@click.option("--junit", "junit_file", type=_FILE, help="Write JUnit XML for a CI system.")
@click.option("--html", "html_file", type=_FILE, help="Write the report for people: one HTML file.")
@click.option("--interactive", is_flag=True, help="Ask a person to do things at the application.")
@click.option(
    "--driver-cmd",
    default="",
    help="Command that does things at the application: it is called with open, close, update, "
    "select, hold, release, logout, hibernate or shown.",
)
@click.option("--app-output", default="", help="File that takes what COMMAND prints.")
@click.option(
    "--join-timeout",
    default=_WAITS.join,
    show_default=True,
    type=_SECONDS,
    help="Seconds for it to subscribe and connect.",
)
@click.option(
    "--ack-timeout",
    default=_WAITS.ack,
    show_default=True,
    type=_SECONDS,
    help="Seconds for it to answer (ACK-01).",
)
@click.option(
    "--lease",
    default=_WAITS.lease,
    show_default=True,
    type=click.IntRange(1),
    help="Seconds granted where renewal is watched (CONF-04).",
)
@click.option(
    "--quiet",
    default=_WAITS.quiet,
    show_default=True,
    type=_SECONDS,
    help="Seconds of watching that nothing happens.",
)
@click.option("--list", "list_only", is_flag=True, help="List the scenarios and stop.")
@click.option("-v", "--verbose", is_flag=True, help="Say why rows are not applicable, too.")
def conform_subscriber(
    command: tuple[str, ...],
    host: str,
    port: int,
    public_host: str,
    topic: str,
    token: str | None,
    profile: str,
    actor: str,
    only: str,
    json_file: str | None,
    junit_file: str | None,
    html_file: str | None,
    driver_cmd: str,
    app_output: str,
    join_timeout: float,
    ack_timeout: float,
    lease: int,
    quiet: float,
    *,
    interactive: bool,
    list_only: bool,
    verbose: bool,
) -> None:
    """Judge an application that subscribes, against FHIRcast 3.0.0.

    Plays a hub, well and badly, and lists every requirement that the application was seen to hold
    or break, with its clause. COMMAND runs the application, which reads FHIRCAST_HUB_URL,
    FHIRCAST_HUB_TOPIC and FHIRCAST_TOKEN; it is ended by SIGTERM and started again as needed.
    Without COMMAND, start it by hand with the hub.url and hub.topic that are printed.

    \b
    fhircast conform-subscriber --profile ira -- python my_viewer.py
    fhircast conform-subscriber --port 9000 --interactive --html report.html
    fhircast conform-subscriber --driver-cmd ./drive.sh --junit result.xml -- ./my_viewer

    Exit codes: 0 every SHALL and SHOULD that applies held, 1 not, 2 wrong use.
    """  # noqa: D301 - click reads the \b
    words = [word.strip() for word in only.split(",") if word.strip()]
    try:
        wanted = set(judged_rows(profile, words, actor))
    except ValueError as error:
        raise click.UsageError(f"--only {error}") from None
    if interactive and driver_cmd:
        raise click.UsageError("--interactive and --driver-cmd: only one of them")
    if list_only:
        for it in SCENARIOS:
            shown = sorted(wanted & {*it.rows, *it.gives})
            click.echo(f"{it.name:<34} {it.title}\n{'':<34} {', '.join(shown)}")
        return
    must_be_writable(json_file, junit_file, html_file)
    _must_make_sense(command, token, driver_cmd, app_output)
    waits = replace(_WAITS, join=join_timeout, ack=ack_timeout, lease=lease, quiet=quiet)

    async def judge() -> Run:
        async with PlayedHub(
            profile=profile,
            host=host,
            port=port,
            public_host=public_host,
            topic=topic,
            token=token,
        ) as hub:
            for name, value in environment_of(hub).items():
                click.echo(f"{name:<20} {value}", err=True)
            hands = _hands(driver_cmd, environment_of(hub), interactive=interactive)
            app: Application = (
                Command(command, hands, output=app_output, within=waits.leave)
                if command
                else ByHand(hands, is_attended=interactive)
            )
            try:
                return await run_scenarios(hub, app, waits=waits, only=words, actor=actor, say=_say)
            finally:
                if isinstance(app, Command):
                    await app.stop()
                    if app.ended_with is not None:
                        _say(_told_end(app, app_output))

    try:
        run = asyncio.run(judge())
    except OSError as error:
        raise click.UsageError(_why(error, command, host, port)) from None
    write_report(json_file, lambda: render_json(run))
    write_report(junit_file, lambda: render_junit(run))
    write_report(html_file, lambda: render_html(run, what="subscriber"))
    if "-" not in {json_file, junit_file, html_file}:
        click.echo(render_text(run, verbose=verbose))
    sys.exit(0 if run.is_conformant else 1)


def _hands(driver_cmd: str, environment: dict[str, str], *, interactive: bool) -> Hands:
    if driver_cmd:
        return Driver(driver_cmd, environment)
    return Operator() if interactive else NoHands()


def _say(text: str) -> None:
    indent = "" if text.startswith("[") else "        "
    click.echo(f"{indent}{text}", err=True)


def _must_make_sense(
    command: tuple[str, ...], token: str | None, driver_cmd: str, app_output: str
) -> None:
    """Find what is wrong with the words of the command line before anything is started.

    Raises:
        click.UsageError: Something is.
    """
    if command and command[0].startswith("-"):
        raise click.UsageError(f"there is no option {command[0]}; COMMAND stands after --")
    if command and shutil.which(command[0]) is None:
        raise click.UsageError(f"{command[0]} cannot be run: there is no such program")
    if token and not is_bearer(token):
        raise click.UsageError("--token is no bearer token: one word in ASCII is wanted")
    must_be_writable(app_output or None)
    try:
        words = shlex.split(driver_cmd)
    except ValueError as error:
        raise click.UsageError(f"--driver-cmd: {error}") from None
    if words and shutil.which(words[0]) is None:
        raise click.UsageError(f"--driver-cmd: {words[0]} cannot be run: there is no such program")


def _told_end(app: Command, app_output: str) -> str:
    where = f"what it printed is in {app_output}" if app_output else "--app-output keeps its output"
    return f"{app.name} ended by itself, last with exit code {app.ended_with}; {where}"


def _why(error: OSError, command: tuple[str, ...], host: str, port: int) -> str:
    if isinstance(error, FileNotFoundError | PermissionError) and error.filename:
        return f"{error.filename} cannot be used: {error.strerror}"
    if command and isinstance(error, FileNotFoundError | PermissionError):
        return f"{command[0]} cannot be run: {error.strerror}"
    return f"cannot listen on {host}:{port} and the next port: {error.strerror or error}"
