"""The hub on uvicorn: how it is started, and how it says good-bye."""

from __future__ import annotations

import asyncio
import logging
import socket
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

import uvicorn

from fhircast_hub.web.app import create_app
from fhircast_hub.web.crowd import ConnectionLimits, Crowd
from fhircast_hub.web.express import ExpressHttp
from fhircast_hub.web.socket_protocol import HubWebSocket
from fhircast_hub.web.tls import self_signed_for, tls_context
from fhircast_hub.web.wire import MAX_CLIENT_FRAME_BYTES, Exchange, Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine

    from fhircast_hub.config import Settings
    from fhircast_hub.security.self_signed import SelfSigned

logger = logging.getLogger(__name__)

_FAREWELL_SECONDS = 2.0

_LOOK_SECONDS = 0.02
"""How often to look whether all have answered the good-bye."""

_FORCED_LOOK_SECONDS = 0.1
"""How often to look whether somebody does not want to wait any longer."""

_SWEEP_SECONDS = 0.25
"""How often the connections are looked at for one that is overdue."""

_BACKLOG = 2048
"""Connections that may wait for the server, as many as uvicorn asks for."""


class HubServer(uvicorn.Server):
    """uvicorn with a farewell: denials and close 1001 go out before its own shutdown closes.

    Attributes:
        app: The hub as an application.
        settings: As given.
        crowd: Counts the connections.
        certificate: Made for this start, None if the hub has another one or none.
        on_up: Called when the server serves.
        is_replaced: Whether another process has taken over already: nobody has to look elsewhere.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        certificate: SelfSigned | None = None,
    ) -> None:
        """Make a server.

        Args:
            settings: Of the hub.
            certificate: To show instead of one that is made for this start.
        """
        self.app = create_app(settings)
        self.settings = settings
        self.certificate = certificate or self_signed_for(settings)
        self.on_up: Callable[[], object] | None = None
        self.is_replaced = False
        self._next_sweep: asyncio.TimerHandle | None = None
        limits = ConnectionLimits.of(settings)
        self.crowd = Crowd(
            max_total=settings.max_connections,
            max_per_peer=settings.max_connections_per_peer,
            proxies=settings.trusted_proxies,
        )
        self._exchange = Exchange(
            limits=limits,
            max_frames=settings.max_outbox_events,
            max_bytes=settings.max_outbox_bytes,
            ping_seconds=settings.ping_seconds or 0,
            crowd=self.crowd,
            now=_loop_time,
        )
        super().__init__(
            uvicorn.Config(
                self.app,
                host=settings.host,
                port=settings.port,
                ssl_context_factory=self._tls_context if settings.does_tls else None,
                http=partial(ExpressHttp, limits=limits, crowd=self.crowd),  # type: ignore[arg-type]  # it is called, no more
                ws=partial(HubWebSocket, exchange=self._exchange),  # type: ignore[arg-type]
                ws_max_size=MAX_CLIENT_FRAME_BYTES,
                ws_ping_interval=settings.ping_seconds,
                ws_ping_timeout=settings.ping_seconds,
                ws_per_message_deflate=False,
                timeout_keep_alive=ceil(settings.idle_timeout_seconds),
                timeout_graceful_shutdown=5,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                log_config=None,
                lifespan="on",
            )
        )

    def hub_url_at(self, port: int) -> str:
        """Return `hub.url`: under the public URL, or as clients on this machine reach the port."""
        settings = self.settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        scheme = "https" if settings.does_tls else "http"
        return (settings.public_url or f"{scheme}://{host}:{port}") + settings.hub_path

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and look after the connections from now on."""
        await super().startup(sockets)
        self._sweep()
        if self.started and self.on_up is not None:
            self.on_up()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, say good-bye to every subscriber, give the frames time to go, then shut down.

        A second Ctrl-C ends the draining and the sending away at once.
        """
        self.app.state.is_ready = False
        if not self.is_replaced:
            await self._unless_forced(asyncio.sleep(self.settings.drain_seconds))
        # Nobody who is sent away from here may come back to here.
        for server in self.servers:
            server.close()
        await self._unless_forced(self.app.state.hub.send_away(self.settings.send_away_seconds))
        await self.app.state.hub.shut_down()
        until = _loop_time() + _FAREWELL_SECONDS
        if self.server_state.tasks:
            await asyncio.wait(set(self.server_state.tasks), timeout=_FAREWELL_SECONDS)
        while self._has_wires() and _loop_time() < until:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(_LOOK_SECONDS)
        await super().shutdown(sockets)
        if self._next_sweep is not None:
            self._next_sweep.cancel()

    async def _unless_forced(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing)
        while not (task.done() or self.force_exit):
            await asyncio.wait({task}, timeout=_FORCED_LOOK_SECONDS)
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def _has_wires(self) -> bool:
        return any(isinstance(it, Wire) for it in self.server_state.connections)

    def _sweep(self) -> None:
        """End the connections that are overdue."""
        loop = asyncio.get_running_loop()
        for connection in list(self.server_state.connections):
            try:
                connection.check(loop.time())  # type: ignore[union-attr]  # all are ours
            except Exception as error:  # a bug of ours with one must not leave the others unwatched
                logger.error("a look at a connection failed: %s", type(error).__name__)
        self._next_sweep = loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _tls_context(self, *_: Any) -> ssl.SSLContext:
        return tls_context(self.settings, self.certificate)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket: whoever connects before the server runs waits for it.

    Raises:
        OSError: The address is taken or cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, not 0: asyncio sets TCP_NODELAY only on sockets that say they are TCP, and without it a
    # frame waits up to 40 ms for the acknowledgement of the one before.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
