"""Starts the whole demo in one process: a hub on one port, the EHR with its pages on another."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn
from fhircast_hub.clock import new_id
from fhircast_hub.config import Settings, load_settings
from fhircast_hub.web.server import HubServer, bind

from fhircast_demo.app import create_demo_app
from fhircast_demo.smart import DevelopmentServer, SmartSettings
from fhircast_demo.smart.clients import SERVICE
from fhircast_demo.smart.keys import keys, shared_key

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What can be chosen about the demo.

    Attributes:
        host: Address of both servers; loopback.
        port: Wanted port of the pages; 0 takes any free one.
        hub_port: Wanted port of the hub.
        hub_url: A hub that runs already, "" to start one.
        jwt_key: Key with which that hub checks tokens, "" for a new one.
        topic: Topic of the first sign-in, "" for a new one.
        redirect_uris: Further redirect URIs of one's own client.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    hub_port: int = 8080
    hub_url: str = ""
    jwt_key: str = ""
    topic: str = ""
    redirect_uris: tuple[str, ...] = ()


class _QuietServer(uvicorn.Server):
    """A server that leaves the signals to the launcher."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _QuietHub(HubServer):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(options: DemoOptions, say: Callable[[str], None]) -> None:
    """Run the demo until Ctrl-C or SIGTERM.

    Args:
        options: What was chosen.
        say: Takes the lines for the user.
    """
    asyncio.run(_run(options, say))


async def _run(options: DemoOptions, say: Callable[[str], None]) -> None:
    page_socket, page_port = _bind(options.host, options.port, "pages", say)
    origin = f"http://{options.host}:{page_port}"
    service_secret = secrets.token_urlsafe(32)
    servers: list[tuple[uvicorn.Server, socket.socket]] = []
    hub_url = options.hub_url
    if not hub_url:
        hub_socket, hub_port = _bind(options.host, options.hub_port, "hub", say)
        hub = _QuietHub(_hub_settings(options.host, hub_port, origin, service_secret))
        servers.append((hub, hub_socket))
        hub_url = hub.hub_url_at(hub_port)
    settings = SmartSettings(
        origin=origin,
        hub_url=hub_url,
        service_secret=service_secret,
        redirect_uris=options.redirect_uris,
        first_topic=options.topic or new_id(),
    )
    smart = DevelopmentServer(
        settings, keys(shared_key(options.jwt_key)) if options.hub_url else keys()
    )
    app = create_demo_app(smart)
    pages = _QuietServer(
        uvicorn.Config(app, access_log=False, log_config=None, timeout_graceful_shutdown=2)
    )
    servers.append((pages, page_socket))
    async with asyncio.TaskGroup() as tasks:
        for server, sock in servers:
            tasks.create_task(server.serve(sockets=[sock]))
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        tell(smart, say)
        await stop.wait()
        say("\nstopping …")
        for server, _ in servers:
            server.should_exit = True


def tell(smart: DevelopmentServer, say: Callable[[str], None]) -> None:
    """Say where everything is."""
    origin, own = smart.settings.origin, smart.own_client()
    say(
        f"""
FHIRcast demo (all people are made up). Open this page and sign in:

    {origin}/

One window each:   {origin}/worklist   {origin}/viewer   {origin}/dictation
FHIR R4, SMART:    {origin}/fhir         DICOMweb:  {origin}/dicomweb

For a client of your own, in the session of the first sign-in:
  hub.url    {own["hub.url"]}
  hub.topic  {own["hub.topic"]}
  token      {own["access_token"]}

For a service (client_credentials at {smart.settings.endpoint("token")}):
  client_id      {SERVICE}
  client_secret  {smart.settings.service_secret}

Ctrl-C stops everything.
"""
    )


_ASKED_AGAIN_SECONDS = 5
"""How soon the hub notices that somebody has signed out."""


def _hub_settings(host: str, port: int, origin: str, service_secret: str) -> Settings:
    """Settings of a hub that asks the authorization server about every token (RFC 7662)."""
    return load_settings(
        {},
        {
            "host": host,
            "port": str(port),
            "auth": "introspection",
            "introspection_url": f"{origin}/auth/introspect",
            "introspection_client_id": SERVICE,
            "introspection_client_secret": service_secret,
            "introspection_seconds": str(_ASKED_AGAIN_SECONDS),
            "issuer": f"{origin}/auth",
            "audience": f"http://{host}:{port}/api/hub",
            "allowed_origins": f"{origin},http://localhost:{urlsplit(origin).port}",
        },
    )


def _bind(host: str, port: int, what: str, say: Callable[[str], None]) -> tuple[socket.socket, int]:
    """Return a bound socket on the wanted port, or on a free one if that is taken."""
    try:
        sock = bind(host, port)
    except OSError:
        sock = bind(host, 0)
        say(f"port {port} is taken; the {what} use{'s' * (what == 'hub')} another one")
    return sock, int(sock.getsockname()[1])
