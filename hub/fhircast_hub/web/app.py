"""The one place where the parts of the hub are put together."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from fhircast_hub.backends.base import Backend, BackendLimits
from fhircast_hub.backends.memory import MemoryBackend
from fhircast_hub.clock import Clock, SystemClock
from fhircast_hub.config import SettingError, variable_of
from fhircast_hub.config.names import is_loopback
from fhircast_hub.config.stores import parse_store
from fhircast_hub.fanout import Fanout
from fhircast_hub.hub import Hub, HubRules
from fhircast_hub.protocol.channel import ChannelRules
from fhircast_hub.protocol.derive import Derive
from fhircast_hub.protocol.dialects import Dialect
from fhircast_hub.protocol.errors import FhircastError
from fhircast_hub.protocol.session import Rules
from fhircast_hub.protocol.subscription import LeasePolicy
from fhircast_hub.security.verifiers import verifier_of
from fhircast_hub.web import asyncapi, openapi
from fhircast_hub.web.auditing import Auditing, make_recorder
from fhircast_hub.web.errors import FaultAnswers, answer_refusal
from fhircast_hub.web.forwarded import TrustedProxies
from fhircast_hub.web.gate import Gate
from fhircast_hub.web.layers import AllowedOrigins, AnswerHeaders, ClientBehindProxy
from fhircast_hub.web.routes import HubRoutes
from fhircast_hub.web.sockets import Sockets
from fhircast_hub.web.token_watch import TokenWatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from fhircast_hub.config import Settings


logger = logging.getLogger(__name__)


def create_app(
    settings: Settings, *, backend: Backend | None = None, clock: Clock | None = None
) -> Starlette:
    """Return the hub as an ASGI application.

    Args:
        settings: Complete settings, from `load_settings`.
        backend: Where sessions are kept; by default what the settings name.
        clock: Where the time comes from; by default the machine's.

    Raises:
        SettingError: A file or a policy that the settings name is not usable.
    """
    clock = clock or SystemClock()
    recorder = make_recorder(settings, clock)
    auditing = Auditing(recorder, clock)
    backend = backend or _backend_of(settings)
    hub = Hub(
        backend,
        Fanout(_channel_rules(settings), Derive(settings.derive)),
        rules=_hub_rules(settings),
        clock=clock,
        audit=recorder,
    )
    verifier = verifier_of(settings, clock)
    gate = Gate(verifier, settings, clock)
    tokens = TokenWatch(hub.holders, verifier)
    sockets = Sockets(hub, settings, clock, tokens, auditing)
    routes: list[BaseRoute] = [
        Route("/livez", _alive, methods=["GET"]),
        Route("/readyz", _ready, methods=["GET"]),
        _document("/openapi.json", settings, openapi.describe),
        _document("/asyncapi.json", settings, asyncapi.describe),
    ]
    for path in dict.fromkeys((settings.hub_path, *settings.mounts)):
        routes.append(WebSocketRoute(path + "/ws/{endpoint_id}", sockets.endpoint))
        routes += HubRoutes(hub, gate, auditing, settings, path).routes()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with auditing.running(), asyncio.TaskGroup() as tasks:
            tasks.create_task(backend.run())
            tasks.create_task(hub.run(stop))
            watching = tasks.create_task(tokens.run())
            app.state.is_ready = True
            yield
            app.state.is_ready = False
            watching.cancel()
            await hub.shut_down()
            stop.set()
        await verifier.close()

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[
            *_behind_proxies(settings),
            Middleware(AnswerHeaders),
            *([_cors(settings)] if settings.allowed_origins else []),
            Middleware(FaultAnswers),
        ],
        exception_handlers={FhircastError: answer_refusal},
    )
    app.state.hub = hub
    app.state.backend = backend
    app.state.is_ready = False
    return app


def _document(
    path: str, settings: Settings, describe: Callable[[Settings, str], dict[str, Any]]
) -> Route:
    async def answer(request: Request) -> Response:
        origin = settings.public_url or str(request.base_url).rstrip("/")
        return JSONResponse(describe(settings, origin))

    return Route(path, answer, methods=["GET"])


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _ready(request: Request) -> Response:
    state = request.app.state
    if not state.is_ready:
        return PlainTextResponse("draining\n", 503)
    if not state.backend.is_available:
        return PlainTextResponse("the sessions cannot be reached\n", 503)
    return PlainTextResponse("ready\n")


def _cors(settings: Settings) -> Middleware:
    """D-52: browser clients publish and read across origins, and must see error answers too."""
    return Middleware(
        AllowedOrigins,
        allow_origins=list(settings.allowed_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", "x-medplum"],
        expose_headers=["retry-after", "www-authenticate"],
        max_age=600,
    )


def _behind_proxies(settings: Settings) -> list[Middleware]:
    if not settings.trusted_proxies:
        return []
    trusted = TrustedProxies(settings.trusted_proxies)
    is_forwarded = settings.forwarded_header == "forwarded"
    return [Middleware(ClientBehindProxy, trusted, is_forwarded=is_forwarded)]


def _backend_of(settings: Settings) -> Backend:
    limits = _backend_limits(settings)
    if settings.backend == "memory://":
        return MemoryBackend(limits)
    try:
        # Imported here: what it needs is not installed where nobody asks for it.
        from fhircast_hub.backends.redis import RedisBackend, Server
    except ImportError:
        raise SettingError(
            variable_of("backend"),
            settings.backend,
            "memory://, as fhircast-hub[redis] is not installed",
        ) from None
    if not _is_private(settings.backend):
        logger.warning("sessions go to Redis in the clear: use rediss:// beyond this machine")
    server = Server(settings.backend, settings.redis_timeout_seconds, settings.redis_away_seconds)
    try:
        server.check()
    except ValueError:
        allowed = "a URL whose options are those of a connection of redis-py"
        raise SettingError(variable_of("backend"), settings.backend, allowed) from None
    return RedisBackend(server, limits)


def _is_private(backend: str) -> bool:
    """Tell whether nobody on the way can read what goes to the server."""
    it = parse_store(backend)
    return it.is_encrypted or all(is_loopback(host) for host, _ in it.addresses)


def _backend_limits(settings: Settings) -> BackendLimits:
    has_tokens = settings.auth != "none"
    return BackendLimits(
        max_topics=settings.max_topics,
        max_subscribers_per_topic=settings.max_subscribers_per_topic,
        # Without tokens everybody is the same holder.
        max_subscriptions_per_holder=settings.max_subscriptions_per_token * has_tokens,
        max_topics_per_holder=settings.max_topics_per_token * has_tokens,
        topic_idle_seconds=settings.topic_idle_seconds,
        hold_seconds=settings.redis_hold_seconds,
    )


def _channel_rules(settings: Settings) -> ChannelRules:
    return ChannelRules(
        strict_acks=settings.ack_policy == "strict",
        ack_timeout_seconds=settings.ack_timeout_seconds,
        unresponsive_after=settings.unresponsive_after,
        grace_seconds=settings.reconnect_grace_seconds or 0,
        max_held_bytes=settings.max_outbox_bytes,
    )


def _hub_rules(settings: Settings) -> HubRules:
    return HubRules(
        session=Rules(
            ira=settings.is_ira,
            max_clock_ahead_seconds=settings.max_clock_ahead_seconds,
            max_open_contexts=settings.max_open_contexts,
            max_content_resources=settings.max_content_resources,
            refuses_post="post" in settings.strict,
            refuses_profile_faults="profiles" in settings.strict,
            updates_current_only=not settings.non_current_updates,
            dialects=frozenset(map(Dialect, settings.dialects)),
        ),
        leases=LeasePolicy(settings.lease_default_seconds, settings.lease_max_seconds),
        unused_seconds=settings.endpoint_unused_seconds,
        derive=Derive(settings.derive),
        common_events=settings.common_events,
        rejects_late=settings.reject == "late",
        max_ended=settings.max_ended_endpoints,
        ended_seconds=settings.ended_endpoint_seconds,
    )
