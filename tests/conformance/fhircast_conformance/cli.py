"""`fhircast conform`: judge a hub over its public wire."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import click

from fhircast_conformance.bench import Timers
from fhircast_conformance.checks import all_checks
from fhircast_conformance.probing import NoHub, look_at, trust
from fhircast_conformance.report.data import render_json, render_junit
from fhircast_conformance.report.files import must_be_writable, write_report
from fhircast_conformance.report.html import render_html
from fhircast_conformance.report.text import SIGNS, render_text
from fhircast_conformance.runner import run_checks, select_checks
from fhircast_conformance.tokens import OneToken, TokenCommand

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_conformance.check import Profile
    from fhircast_conformance.results import CheckResult, Run

_DEFAULT = Timers()
_FILE = click.Path(dir_okay=False, writable=True, allow_dash=True)
_SECONDS = click.FloatRange(min=0, min_open=True)
_TOLD_EVERY_SECONDS = 10.0


@click.command()
@click.argument("url", required=False, default="")
@click.option("--token", default="", help="Bearer token for everything.")
@click.option(
    "--token-cmd",
    default="",
    help="Command that prints a token; {scope}, {topic}, {seconds} and {subject} are replaced. "
    "Wanted for the rows about rights.",
)
@click.option("--profile", type=click.Choice(["base", "ira"]), default="base", show_default=True)
@click.option(
    "--only", default="", help="Rows, families or checks, comma separated: SUB,IRA-HUB-11"
)
@click.option("--json", "json_file", type=_FILE, help="Write the result as JSON; - for the screen.")
@click.option("--junit", "junit_file", type=_FILE, help="Write JUnit XML for a CI system.")
@click.option("--html", "html_file", type=_FILE, help="Write the report for people: one HTML file.")
@click.option(
    "--ack-timeout",
    default=_DEFAULT.ack,
    show_default=True,
    type=_SECONDS,
    help="Seconds until a missing response is a SyncError (SYNC-08).",
)
@click.option(
    "--unresponsive-after",
    default=_DEFAULT.unresponsive_after,
    show_default=True,
    type=click.IntRange(1),
    help="Missing responses in a row that end a subscription (SYNC-09).",
)
@click.option(
    "--grace",
    default=_DEFAULT.grace,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds in which a lost connection may come back; 0 for none (D-45).",
)
@click.option(
    "--ping",
    default=_DEFAULT.ping,
    show_default=True,
    type=_SECONDS,
    help="Seconds between WebSocket pings of the hub.",
)
@click.option(
    "--unused-endpoint",
    default=_DEFAULT.unused_endpoint,
    show_default=True,
    type=_SECONDS,
    help="Seconds that an endpoint lives to which nobody connects.",
)
@click.option(
    "--silence",
    default=_DEFAULT.silence,
    show_default=True,
    type=_SECONDS,
    help="Seconds in which nothing may come, where silence is judged.",
)
@click.option(
    "--answer",
    default=_DEFAULT.answer,
    show_default=True,
    type=_SECONDS,
    help="Seconds in which an answer or a frame must come.",
)
@click.option(
    "--parallel", default=8, show_default=True, type=click.IntRange(1, 64), help="Checks at a time."
)
@click.option(
    "--balanced",
    is_flag=True,
    help="The hub is several processes: a lost connection may come back at another one (D-45).",
)
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Certificates to trust.")
@click.option("--list", "list_only", is_flag=True, help="List the checks and stop.")
@click.option("-v", "--verbose", is_flag=True, help="Say why rows are not applicable, too.")
def conform(
    url: str,
    token: str,
    token_cmd: str,
    profile: Profile,
    only: str,
    json_file: str | None,
    junit_file: str | None,
    html_file: str | None,
    parallel: int,
    ca: str | None,
    *,
    balanced: bool,
    list_only: bool,
    verbose: bool,
    **timers: float,
) -> None:
    """Judge the hub at URL (its hub.url) against FHIRcast 3.0.0.

    Several subscribers with made-up patients use the hub as applications do, on topics of their
    own, and every requirement that they see hold or break is listed with its clause. Tell the kit
    how the hub's timers are set, where they differ from the usual.

    \b
    fhircast conform http://127.0.0.1:8080/api/hub
    fhircast conform https://hub.example.org/api/hub --profile ira --html report.html \\
        --token-cmd 'fhircast token mint --key … --scope {scope} --topic {topic}
                     --seconds {seconds} --subject {subject}'

    Exit codes: 0 every SHALL and SHOULD that applies held, 1 not, 2 wrong use or no hub.
    """  # noqa: D301 - click reads the \b
    words = [word.strip() for word in only.split(",") if word.strip()]
    try:
        checks = select_checks(all_checks(), profile, words)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if list_only:
        for it in checks:
            click.echo(f"{', '.join(it.rows):<24} {it.name:<44} {it.title}")
        return
    if not url:
        raise click.UsageError("give the URL of the hub (its hub.url)")
    if token and token_cmd:
        raise click.UsageError("--token and --token-cmd: only one of them")
    must_be_writable(json_file, junit_file, html_file)
    try:
        verify = trust(ca)
        tokens = TokenCommand(token_cmd) if token_cmd else OneToken(token)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    set_so = Timers(
        ack=timers["ack_timeout"],
        unresponsive_after=int(timers["unresponsive_after"]),
        grace=timers["grace"],
        ping=timers["ping"],
        unused_endpoint=timers["unused_endpoint"],
        silence=timers["silence"],
        answer=timers["answer"],
    )

    async def judge() -> Run:
        hub = await look_at(url, profile, set_so, tokens, verify=verify, is_balanced=balanced)
        click.echo(f"judging {hub.url} with {len(checks)} checks", err=True)
        progress = _progress(on_screen=sys.stderr.isatty())
        return await run_checks(hub, checks, parallel=parallel, progress=progress)

    try:
        run = asyncio.run(judge())
    except NoHub as error:
        raise click.UsageError(str(error)) from None
    write_report(json_file, lambda: render_json(run))
    write_report(junit_file, lambda: render_junit(run))
    write_report(html_file, lambda: render_html(run))
    if "-" not in {json_file, junit_file, html_file}:
        click.echo(render_text(run, verbose=verbose))
    sys.exit(0 if run.is_conformant else 1)


def _progress(*, on_screen: bool) -> Callable[[CheckResult, int, int], None]:
    """Return what tells how far the run is: one line that changes; into a file, a line at times."""
    told_at = time.monotonic()

    def tell(result: CheckResult, done: int, total: int) -> None:
        nonlocal told_at
        if on_screen:
            line = f"{done}/{total}  {SIGNS[result.verdict]:<7}{result.title}"
            end = "\n" if done == total else ""
            click.echo(f"\r\x1b[2K{line[:78]}{end}", nl=False, err=True)
        elif time.monotonic() - told_at >= _TOLD_EVERY_SECONDS:
            told_at = time.monotonic()
            click.echo(f"{done} of {total} checks done", err=True)

    return tell
