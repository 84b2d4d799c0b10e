"""`fhircast serve`: run a hub."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Collection
from dataclasses import Field, fields, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fhircast_hub.cli.room import make_room
from fhircast_hub.config import (
    SettingError,
    Settings,
    load_settings,
    unknown_variables,
    variable_of,
)
from fhircast_hub.config.stores import parse_store

if TYPE_CHECKING:
    import socket

    from fhircast_hub.security.self_signed import SelfSigned
    from fhircast_hub.web.server import HubServer

_ALL = frozenset(it.name for it in fields(Settings))


_Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def setting_flags(names: Collection[str] = _ALL) -> _Decorator:
    """Give a command a flag for each of these settings; a flag wins over its variable."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for it in reversed(fields(Settings)):
            if it.name in names:
                command = _setting_flag(it)(command)
        return command

    return decorate


def _setting_flag(it: Field[Any]) -> _Decorator:
    shown = ",".join(it.default) if isinstance(it.default, tuple) else it.default
    default = "" if shown in (None, "", False) else f"  [default: {shown}]"
    choices = it.metadata.get("choices")
    # A switch may stand alone: --tls-self-signed is --tls-self-signed 1. All else takes what
    # follows, a key that begins with a dash too.
    alone: dict[str, Any] = (
        {"is_flag": False, "flag_value": "1"} if it.metadata.get("kind") == "switch" else {}
    )
    return click.option(
        f"--{it.name.replace('_', '-')}",
        it.name,
        metavar="|".join(choices) if choices else it.metadata.get("kind", "text").upper(),
        help=f"{it.metadata['help']}{default}  [{variable_of(it.name)}]",
        **alone,
    )


@click.command()
@setting_flags()
@click.option("--check", is_flag=True, help="Check the settings and stop.")
def serve(check: bool, **flags: Any) -> None:
    """Run a hub until Ctrl-C or SIGTERM.

    Every flag has an environment variable; the flag wins. A wrong value stops the start with one
    line that names it. With --auth none, everybody who reaches the hub may do everything: it then
    listens on loopback only.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = load_settings(os.environ, given)
        server = _server_of(settings)
    except SettingError as error:
        raise click.UsageError(str(error)) from None
    for warning in unknown_variables(os.environ):
        click.echo(f"warning: {warning}", err=True)
    if check:
        click.echo("the settings are fine")
        return
    _run(settings, server)


def _server_of(settings: Settings) -> HubServer:
    # Imported here: `serve --help` must not load the server.
    from fhircast_hub.web.server import HubServer

    if settings.workers > 1:  # this process tries the settings and serves nobody
        settings = replace(settings, audit_file="")
    return HubServer(settings)


def _run(settings: Settings, server: HubServer) -> None:
    from fhircast_hub.observability.logs import configure
    from fhircast_hub.web.server import bind

    configure(settings.log_format, settings.log_level)  # type: ignore[arg-type]  # checked choices
    room = make_room(settings.max_connections)
    server.crowd.max_total = room.connections
    if room.warning:
        click.echo(f"warning: {room.warning}", err=True)
    try:
        sock = bind(settings.host, settings.port)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
            "choose another with --port (0 takes any free one)"
        ) from None
    host, port = sock.getsockname()[:2]
    hub_url = server.hub_url_at(port)
    click.echo(f"hub.url    {hub_url}")
    click.echo(f"listening  {host}:{port}, profile {settings.profile}, auth {settings.auth}")
    click.echo(f"sessions   {_where_sessions_are(settings.backend)}")
    _tell_parts()
    if room.files:
        click.echo(f"open files {room.files}, for {room.connections} connections")
    if settings.auth == "none":
        click.echo("           no authentication: for trying things out only")
    if server.certificate is not None:
        _tell_certificate(server.certificate, hub_url)
    if settings.workers > 1:
        _run_workers(settings, server, sock)
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stopped)
    server.run(sockets=[sock])


def _run_workers(settings: Settings, server: HubServer, sock: socket.socket) -> None:
    from fhircast_hub.cli.workers import CannotStart, Workers

    click.echo(f"workers    {settings.workers}; SIGHUP replaces them one after the other")
    workers = Workers(settings, sock, server.certificate, server.crowd.max_total)
    try:
        workers.run()
    except CannotStart as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(max(1, error.status))


def _where_sessions_are(backend: str) -> str:
    """Say where sessions are kept, without what lets anybody in there."""
    if backend == "memory://":
        return "in the memory of this process"
    return f"in Redis, {parse_store(backend).shown}"


def _tell_parts() -> None:
    """Say what the server runs on: without its compiled parts it is several times slower."""
    parts = [f"{name} {version(name)}" for name in ("uvloop", "httptools") if _is_here(name)]
    missing = [name for name in ("uvloop", "httptools") if not _is_here(name)]
    lacks = f"; without {' and '.join(missing)}, several times slower" if missing else ""
    click.echo(f"runs on    uvicorn {version('uvicorn')}, {', '.join(parts) or 'Python'}{lacks}")


def _is_here(name: str) -> bool:
    return find_spec(name) is not None


def _tell_certificate(certificate: SelfSigned, hub_url: str) -> None:
    """Put the certificate, without its key, where clients can read it, and say how."""
    descriptor, path = tempfile.mkstemp(prefix="fhircast-", suffix=".pem")
    with open(descriptor, "wb") as file:
        file.write(certificate.certificate)
    atexit.register(Path(path).unlink, missing_ok=True)
    click.echo(f"TLS        self-signed, until {certificate.expires_at:%Y-%m-%d %H:%M} UTC")
    click.echo(f"           SHA-256 {certificate.fingerprint}")
    click.echo(f"           curl --cacert {path} {hub_url}/.well-known/fhircast-configuration")
    click.echo(f'           Python: ssl.create_default_context(cafile="{path}"), or for the verbs')
    click.echo(f"           of fhircast and for httpx: SSL_CERT_FILE={path}")


def _stopped(_signal: int, _frame: object) -> None:
    """End with exit code 0: the server raises a signal once more when it has shut down."""
    sys.exit(0)
