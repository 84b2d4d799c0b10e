"""`fhircast bench`: load a hub, and tell what it did with the load."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fhircast_bench.crowd import NotLetIn
from fhircast_bench.limits import advice, is_put_off, told
from fhircast_bench.load import LEAST_EVENT_BYTES, Load
from fhircast_bench.plot import SUFFIXES, CannotPlot, draw, require_matplotlib
from fhircast_bench.process import HubProcess, NoProcess
from fhircast_bench.results import Results, results_of
from fhircast_bench.rows import write_rows
from fhircast_bench.running import run_to_its_end
from fhircast_bench.table import render
from fhircast_bench.target import NoHub, is_on_this_machine, target_of

if TYPE_CHECKING:
    from fhircast_bench.record import Record
    from fhircast_bench.target import Target

_DEFAULT = Load()
_COUNT = click.IntRange(min=1)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--hub-url",
    "--hub",
    "url",
    envvar="FHIRCAST_HUB",
    default="http://127.0.0.1:8080/api/hub",
    show_default=True,
    help="hub.url  [FHIRCAST_HUB]",
)
@click.option(
    "--token",
    envvar="FHIRCAST_TOKEN",
    default="",
    help="Bearer token, if the hub wants one.  [FHIRCAST_TOKEN]",
)
@click.option("--token-file", type=click.File(), help="File that holds the bearer token.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Certificates to trust.")
@click.option(
    "--topics", type=_COUNT, default=_DEFAULT.topics, show_default=True, help="Sessions at a time."
)
@click.option(
    "--subscribers",
    type=_COUNT,
    default=_DEFAULT.subscribers,
    show_default=True,
    help="Of each topic.",
)
@click.option(
    "--in-flight",
    type=_COUNT,
    default=_DEFAULT.in_flight,
    show_default=True,
    help="Events at a time, at most one for each topic.",
)
@click.option("--events", type=_COUNT, help=f"How many count.  [default: {_DEFAULT.events}]")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="Or how long to send.")
@click.option(
    "--bytes",
    "event_bytes",
    type=click.IntRange(min=LEAST_EVENT_BYTES),
    default=_DEFAULT.event_bytes,
    show_default=True,
    help="Size of an event.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0.1),
    help="Events per second, whether or not the hub keeps up; latencies then count from the moment "
    "at which each was due. Without it, the next event waits until all have the last one.",
)
@click.option("--no-ack", is_flag=True, help="Subscribers do not acknowledge.")
@click.option("--warm-up", type=click.IntRange(min=0), default=0, help="Events before those.")
@click.option(
    "--patience",
    "patience_seconds",
    type=click.FloatRange(min=0.1),
    default=_DEFAULT.patience_seconds,
    show_default=True,
    help="Seconds until an answer or a delivery counts as missing.",
)
@click.option("--hub-pid", type=_COUNT, help="Process of the hub, if here: tells its CPU, memory.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--csv", "csv_file", type=_NEW_FILE, help="Write a row for each event.")
@click.option("--plot", "plot_file", type=_NEW_FILE, help="Draw the latencies: .svg or .png.")
@click.option(
    "--yes-load-a-remote-hub", "allow_remote", is_flag=True, help="The hub is another machine."
)
def bench(
    url: str,
    token: str,
    token_file: Any,
    ca: str | None,
    events: int | None,
    seconds: float | None,
    hub_pid: int | None,
    csv_file: Path | None,
    plot_file: Path | None,
    *,
    no_ack: bool,
    as_json: bool,
    allow_remote: bool,
    **load: Any,
) -> None:
    """Load a hub with made-up patients, and tell what it did with the load.

    Subscribers join topics of their own, opens and closes of patients are sent, and the books are
    kept: every subscriber has to get every event exactly once and in order. At the end all
    unsubscribe. Ctrl-C ends the run early; what was measured so far is told.

    Do not load a hub that people work with: a hub beyond this machine is refused unless you say
    --yes-load-a-remote-hub.

    \b
    fhircast bench                                          the hub on port 8080
    fhircast bench --topics 200 --in-flight 32 --seconds 20 --warm-up 500
    fhircast bench --rate 500 --seconds 60 --plot latency.svg

    Exit codes: 0 everything arrived, 1 something was missing or refused, 2 wrong use.
    """  # noqa: D301 - click reads the \b
    if events is not None and seconds is not None:
        raise click.UsageError("--events and --seconds: only one of them")
    if events is None and seconds is None:
        events = _DEFAULT.events
    asked = Load(events=events, seconds=seconds, acknowledges=not no_ack, **load)
    token = token_file.read().strip() if token_file is not None else token
    tls = _trust(ca)
    target = _target(url, tls, allow_remote=allow_remote)
    watched = _watched(hub_pid)
    _require_files(csv_file, plot_file)
    try:
        record = run_to_its_end(
            asked, target, token, tls, watched, allow_remote=allow_remote, is_quiet=as_json
        )
    except NoHub as error:
        hint = "; give its certificates with --ca" if "CERTIFICATE" in str(error) else ""
        raise click.ClickException(f"{error}{hint}") from None
    except NotLetIn as error:
        raise click.ClickException(_not_let_in(error, asked)) from None
    results = results_of(record)
    click.echo(json.dumps(results.as_json()) if as_json else render(results))
    is_written = _write(record, results, csv_file, plot_file)
    if results.problems or not results.account.is_right or not is_written:
        raise click.exceptions.Exit(1)


def _trust(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise click.UsageError(f"--ca {ca}: holds no PEM certificate") from None


def _target(url: str, tls: ssl.SSLContext, *, allow_remote: bool) -> Target:
    try:
        target = target_of(url, tls)
        is_here = is_on_this_machine(target.host)
    except NoHub as error:
        raise click.UsageError(str(error)) from None
    if not is_here and not allow_remote:
        raise click.UsageError(
            f"{target.host} is another machine. Loading a hub that people work with puts patients "
            "at risk; if it is there for tests, say --yes-load-a-remote-hub"
        )
    return target


def _watched(pid: int | None) -> HubProcess | None:
    try:
        return None if pid is None else HubProcess.of(pid)
    except NoProcess as error:
        raise click.UsageError(f"--hub-pid: {error}") from None


def _require_files(csv_file: Path | None, plot_file: Path | None) -> None:
    """Find out before the run whether its files can be written."""
    if plot_file is not None:
        if plot_file.suffix.lower() not in SUFFIXES:
            raise click.UsageError(f"--plot: its name must end in {' or '.join(SUFFIXES)}")
        try:
            require_matplotlib()
        except CannotPlot as error:
            raise click.UsageError(str(error)) from None
    for path in filter(None, (csv_file, plot_file)):
        if not path.parent.is_dir():
            raise click.UsageError(f"{path}: there is no folder {path.parent}")


def _not_let_in(error: NotLetIn, load: Load) -> str:
    answer = error.answer
    said = f"the hub says {told(answer)}" if answer is not None else str(error)
    lines = [f"only {error.joined} of {load.subscriptions} subscribers could join: {said}"]
    if answer is None or is_put_off(answer):
        lines.append(f"to do: {advice(str(error))}")
    elif answer.status in {404, 405}:
        lines.append("to do: is that its hub.url?")
    elif answer.status in {401, 403}:
        lines.append("to do: give a token for fhircast/*.* by --token or --token-file")
    return "\n".join(lines)


def _write(record: Record, results: Results, csv_file: Path | None, plot_file: Path | None) -> bool:
    """Write the files that were asked for; tell whether all could be."""
    try:
        if csv_file is not None:
            with csv_file.open("w", newline="") as file:
                write_rows(record, file)
        if plot_file is not None:
            draw(results, plot_file)
    except OSError as error:
        click.echo(f"not written: {error.filename}: {error.strerror}", err=True)
        return False
    except CannotPlot as error:
        click.echo(f"not drawn: {error}", err=True)
        return False
    return True
