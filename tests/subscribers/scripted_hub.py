"""A scripted hub: real HTTP and WebSockets on loopback, faults on demand. Not a FHIRcast hub."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import uvicorn
from fhircast_subscribers.wire import decode, encode
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from http import HTTPStatus

    from starlette.requests import Request
    from websockets.http11 import Request as Handshake
    from websockets.http11 import Response as HandshakeAnswer

Json = dict[str, Any]
Fault = int | str
"""A status to answer with; "silent" does nothing; "accepted" does it, but does not answer."""

NOTHING_CURRENT: Json = {"context.type": "", "context.versionId": "v0", "context": []}


class ScriptedHub:
    """What came in, and what goes out next.

    Attributes:
        forms: Subscribe and unsubscribe forms as lists of pairs.
        tokens: Authorization header of every request.
        posts: Events that were posted.
        reads: How many GETs there were.
        frames: What the subscriber sent on its socket.
        closes: Close codes of its sockets.
        connects: Endpoints connected to.
        faults: What the next event POSTs, forms and GETs meet.
        current: The answer to a GET.
        lease_seconds: Granted in the confirmation.
        refuse_handshake: Status that handshakes meet.
        echoes: Whether accepted events are broadcast.
    """

    def __init__(self) -> None:
        self.forms: list[list[tuple[str, str]]] = []
        self.tokens: list[str] = []
        self.posts: list[Json] = []
        self.reads = 0
        self.frames: list[Json] = []
        self.closes: list[int] = []
        self.connects: list[str] = []
        self.post_faults: deque[Fault] = deque()
        self.form_faults: deque[Fault] = deque()
        self.read_faults: deque[Fault] = deque()
        self.current = NOTHING_CURRENT
        self.lease_seconds = 7200
        self.refuse_handshake: HTTPStatus | None = None
        self.first_frame: bytes | None = None
        self.echoes = True
        self.version = 0
        self.hub_url = ""
        self.topic = "topic-1"
        self._ws_url = ""
        self._content: Json = {}
        self._socket: ServerConnection | None = None
        self._events = ""
        self._endpoints = count(1)
        self._silence = asyncio.Event()
        self.before_fault: Callable[[], Awaitable[None]] = _nothing

    # What a test does

    async def send(
        self, event: str, context: list[Json], *, version: str = "", prior: str = "", id: str = ""
    ) -> str:
        """Send a notification; return its id."""
        fields = {"hub.topic": self.topic, "hub.event": event}
        fields |= {"context.versionId": version} if version else {}
        fields |= {"context.priorVersionId": prior} if prior else {}
        message = {
            "timestamp": "2026-03-02T12:00:00.000Z",
            "id": id or f"hub-{next(self._endpoints)}",
            "event": {**fields, "context": context},
        }
        self._note(message)
        await self.send_frame(message)
        return str(message["id"])

    async def send_frame(self, message: Json) -> None:
        assert self._socket is not None
        await self._socket.send(encode(message).decode())

    async def deny(self, reason: str) -> None:
        """End the subscription as a hub does."""
        denied = {"hub.mode": "denied", "hub.topic": self.topic, "hub.events": self._events}
        await self.send_frame({**denied, "hub.reason": reason})
        await self.close(1008, reason)

    async def close(self, code: int, reason: str = "") -> None:
        assert self._socket is not None
        await self._socket.close(code, reason)

    def drop(self) -> None:
        """Cut the connection without a close frame."""
        assert self._socket is not None
        self._socket.transport.abort()

    def statuses(self, event_id: str) -> list[str]:
        """What the subscriber answered to a notification."""
        return [it["status"] for it in self.frames if it.get("id") == event_id]

    @property
    def subscribes(self) -> list[dict[str, str]]:
        return [dict(it) for it in self.forms if dict(it)["hub.mode"] == "subscribe"]

    @property
    def unsubscribes(self) -> list[dict[str, str]]:
        return [dict(it) for it in self.forms if dict(it)["hub.mode"] == "unsubscribe"]

    # What it is asked

    async def post(self, request: Request) -> Response:
        body = await request.body()
        self.tokens.append(request.headers.get("authorization", ""))
        if request.headers["content-type"] == "application/x-www-form-urlencoded":
            return await self._form(body)
        message: Json = decode(body)
        self.posts.append(message)
        fault = self.post_faults.popleft() if self.post_faults else 0
        if fault == "silent" or (isinstance(fault, int) and fault):
            return await self._fail(fault)
        answer = await self._accept(message)
        return await self._fail(fault) if fault else JSONResponse(answer, 202)

    async def get(self, request: Request) -> Response:
        self.reads += 1
        fault = self.read_faults.popleft() if self.read_faults else 0
        if fault:
            return await self._fail(fault)
        return Response(encode(self.current), media_type="application/json")

    async def configuration(self, _request: Request) -> Response:
        events = ["Patient-open", "Patient-close"]
        webhook = {"webhookSupport": False, "x": 1}
        return JSONResponse({"eventsSupported": events, "websocketSupport": True, **webhook})

    async def _form(self, body: bytes) -> Response:
        pairs = parse_qsl(body.decode(), keep_blank_values=True)
        form = dict(pairs)
        self.forms.append(pairs)
        fault = self.form_faults.popleft() if self.form_faults else 0
        if fault:
            return await self._fail(fault)
        endpoint = form.get("hub.channel.endpoint") or f"{self._ws_url}/e{next(self._endpoints)}"
        if form["hub.mode"] == "unsubscribe":
            await self.deny("unsubscribed")
        else:
            self._events = form["hub.events"]
            if "hub.channel.endpoint" in form and self._socket is not None:
                await self._socket.send(self._confirmation().decode())
        return JSONResponse({"hub.channel.endpoint": endpoint}, 202)

    async def _accept(self, message: Json) -> Json:
        name = message["event"]["hub.event"].lower()
        answer: Json = {"id": message["id"]}
        event = dict(message["event"])
        if name.endswith(("-open", "-update")) and name != "home-open":
            prior, self.version = self.version, self.version + 1
            event["context.versionId"] = answer["context.versionId"] = f"v{self.version}"
            if name.endswith("-update"):
                event["context.priorVersionId"] = f"v{prior}"
        self._note({**message, "event": event})
        if self.echoes and self._socket is not None:
            await self.send_frame({**message, "event": event})
        return answer

    def _note(self, message: Json) -> None:
        """Let a GET tell what was sent; a test may set another truth."""
        event = message["event"]
        name, context = event["hub.event"].lower(), event["context"]
        version = event.get("context.versionId", self.current["context.versionId"])
        is_about_current = self._anchor_id(context) == self._anchor_id(self.current["context"])
        if name == "home-open" or (name.endswith("-close") and is_about_current):
            self.current = NOTHING_CURRENT
        elif name.endswith(("-close", "-update")) and not is_about_current:
            return
        elif name.endswith("-open"):
            anchor_type = event["hub.event"].split("-")[0]
            self._content = {}
            self.current = {"context.type": anchor_type, "context": list(context)}
        elif name.endswith("-update"):
            bundles = [it["resource"] for it in context if it["key"] == "updates"]
            for entry in bundles[0]["entry"] if bundles else []:
                self._content[entry["fullUrl"]] = entry
        opened = [it for it in self.current["context"] if it["key"] != "content"]
        entries = [
            {"resource": it["resource"]} for it in self._content.values() if "resource" in it
        ]
        shared = {"key": "content", "resource": {"resourceType": "Bundle", "entry": entries}}
        self.current = {
            **self.current,
            "context.versionId": version,
            "context": [*opened, shared] if opened else [],
        }

    def _anchor_id(self, context: list[Json]) -> str:
        """Return the id of the first item, which every sender here makes the anchor."""
        first = context[0] if context else {}
        reference = first.get("reference") or {}
        named: str = (first.get("resource") or {}).get("id") or reference.get("reference", "")
        return named.rsplit("/", 1)[-1]

    async def _fail(self, fault: Fault) -> Response:
        await self.before_fault()
        if isinstance(fault, int):
            reason = "context.versionId: version mismatch" if fault == 409 else "no"
            return PlainTextResponse(reason, fault)
        await self._silence.wait()
        return PlainTextResponse("late", 500)

    def _confirmation(self) -> bytes:
        return encode(
            {
                "hub.mode": "subscribe",
                "hub.topic": self.topic,
                "hub.events": self._events,
                "hub.lease_seconds": self.lease_seconds,
            }
        )

    async def _endpoint(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.connects.append(socket.request.path)
        self._socket = socket
        await socket.send((self.first_frame or self._confirmation()).decode())
        try:
            async for frame in socket:
                self.frames.append(decode(frame))
        except ConnectionClosed:
            pass
        self.closes.append(socket.close_code or 1006)

    def _judge_handshake(
        self, socket: ServerConnection, _request: Handshake
    ) -> HandshakeAnswer | None:
        return socket.respond(self.refuse_handshake, "no\n") if self.refuse_handshake else None


async def _nothing() -> None:
    """What happens before a fault, unless a test says something else."""


@asynccontextmanager
async def scripted_hub() -> AsyncIterator[ScriptedHub]:
    """Run a scripted hub on free ports."""
    hub = ScriptedHub()
    app = Starlette(
        routes=[
            Route("/hub", hub.post, methods=["POST"]),
            Route("/hub/.well-known/fhircast-configuration", hub.configuration),
            Route("/hub/{topic}", hub.get, methods=["GET"]),
        ]
    )
    async with (
        serve(
            hub._endpoint, "127.0.0.1", 0, process_request=hub._judge_handshake, close_timeout=0.2
        ) as sockets,
        serving(app) as port,
    ):
        hub._ws_url = f"ws://127.0.0.1:{port_of(sockets)}"
        hub.hub_url = f"http://127.0.0.1:{port}/hub"
        yield hub
        hub._silence.set()


def port_of(server: Server) -> int:
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[int]:
    """Serve an ASGI application on a free port of loopback."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, lifespan="on", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


async def until(condition: Callable[[], object], timeout_seconds: float = 5) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(timeout_seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)
