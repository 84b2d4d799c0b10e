"""The played hub's HTTP side: who asked what, which fault it meets, what it is answered."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fhircast_conformance.subscriber.lines import APPLICATION
from fhircast_conformance.subscriber.record import FORM, Form, Post, Read, read_form

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request

    from fhircast_conformance.subscriber.played import PlayedHub
    from fhircast_conformance.subscriber.record import Json


class Desk:
    """The routes of hub.url."""

    def __init__(self, hub: PlayedHub) -> None:
        self._hub = hub

    def app(self) -> Starlette:
        """Return the ASGI application; pages of any origin may call it (D-52)."""
        open_to_all = Middleware(
            CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"]
        )
        return Starlette(
            routes=[
                Route("/hub", self.post, methods=["POST"]),
                Route("/hub/.well-known/fhircast-configuration", self.well_known),
                Route("/hub/shared/{name:path}", self.shared),
                Route("/hub/{topic:path}", self.post, methods=["POST"]),
                Route("/hub/{topic:path}", self.context),
            ],
            middleware=[open_to_all],
        )

    async def post(self, request: Request) -> Response:
        """Answer a form or an event."""
        body = await request.body()
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        authorization = request.headers.get("authorization", "")
        message = _object(body)
        is_json_form = "hub.mode" in message
        if kind == FORM or is_json_form:
            pairs = [(k, str(v)) for k, v in message.items()] if is_json_form else read_form(body)
            at_hub_url = request.url.path.rstrip("/") == "/hub"
            form = Form(self._hub.now(), pairs, kind, authorization, at_hub_url)
            return await self._form(form)
        return await self._event(request, Post(self._hub.now(), message, kind, authorization), body)

    async def _form(self, form: Form) -> Response:
        hub = self._hub
        self._note("POST form", "\n".join(f"{key}={value}" for key, value in form.pairs))
        hub.record.add(form)
        is_subscribe = form.is_subscribe
        form.status, answer = hub.subscribe(form) if is_subscribe else hub.unsubscribe(form)
        response = self._answer(form.status, answer)
        if form.status < 300:
            await (hub.subscribed(form) if is_subscribe else hub.unsubscribed(form))
        return response

    async def _event(self, request: Request, post: Post, body: bytes) -> Response:
        hub = self._hub
        self._note(f"POST {post.name}", body.decode(errors="replace"))
        hub.record.add(post)
        while hub.post_fault == "silent":
            if await request.is_disconnected():
                return PlainTextResponse("nobody waits any more", 503)
            await asyncio.sleep(0.02)  # what is waited for has no event of its own
        fault = hub.post_fault
        if isinstance(fault, int):
            post.status = fault
            return self._answer(fault, f"the played hub answers {fault} on purpose")
        problem = _frame_problem(post.message, hub.topic)
        if problem:
            post.status = 400
            return self._answer(400, problem)
        if fault == "late":
            await asyncio.sleep(hub.late_seconds)
        post.status, answer = await hub.request(post)
        hub.record.pulse()
        return self._answer(post.status, answer)

    async def context(self, request: Request) -> Response:
        """Answer a GET of the current context."""
        self._note("GET context", request.url.path)
        self._hub.record.add(Read(self._hub.now(), "context"))
        if request.path_params["topic"] != self._hub.topic:
            return self._answer(404, "hub.topic: no such session")
        return self._answer(200, self._hub.session.view())

    async def well_known(self, _request: Request) -> Response:
        """Serve the configuration, with fields that nobody knows (WK-06)."""
        self._note("GET well-known", "")
        self._hub.record.add(Read(self._hub.now(), "well-known"))
        document = {
            "eventsSupported": [
                *("Patient-open", "Patient-close", "ImagingStudy-open", "ImagingStudy-close"),
                *("DiagnosticReport-open", "DiagnosticReport-close"),
                *("DiagnosticReport-update", "DiagnosticReport-select", "SyncError"),
                *("Home-open", "UserLogout", "UserHibernate", "org.example.unknown"),
            ],
            "websocketSupport": True,
            "webhookSupport": False,
            "fhircastVersion": "3.0.0",
            "fhirVersion": "R5" if self._hub.profile == "ira" else "R4",
            "capabilities": {"supportsGetCurrentContext": True, "x": {"y": [1]}},
            "getCurrentSupport": True,
            "x-unknown": 1,
        }
        return self._answer(200, document)

    async def shared(self, request: Request) -> Response:
        """Serve a resource that an update only refers to (IRA-SUB-04)."""
        self._note("GET shared", request.url.path)
        self._hub.record.add(Read(self._hub.now(), "shared"))
        found = self._hub.shared.get(request.path_params["name"])
        return self._answer(200, found) if found else self._answer(404, "no such resource")

    def _note(self, label: str, text: str) -> None:
        self._hub.trace.add(APPLICATION, "hub", label, text)

    def _answer(self, status: int, answer: Json | str) -> Response:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        self._hub.trace.add("hub", APPLICATION, str(status), text)
        if isinstance(answer, str):
            return PlainTextResponse(answer, status)
        return JSONResponse(answer, status)


def _frame_problem(message: Json, topic: str) -> str:
    """Return what keeps a message from being an event at all (EVT-02)."""
    event = message.get("event")
    if not isinstance(event, dict):
        return "event: missing (EVT-02)"
    for name in ("timestamp", "id"):
        if not isinstance(message.get(name), str) or not message[name]:
            return f"{name}: missing (EVT-02)"
    if not isinstance(event.get("hub.event"), str):
        return "event.hub.event: missing (EVT-02)"
    if not isinstance(event.get("context"), list):
        return "event.context: no array (EVT-02)"
    if not all(isinstance(it, dict) for it in event["context"]):
        return "event.context: an item that is no object (EVT-15)"
    return "" if event.get("hub.topic") == topic else "event.hub.topic: no such session (EVT-02)"


def _object(body: bytes) -> Json:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program around us."""
        yield


@asynccontextmanager
async def serving(app: Starlette, host: str, port: int) -> AsyncIterator[int]:
    """Serve an ASGI application; yield its port."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    sock = socket.create_server((host, port))
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        await running
        sock.close()
