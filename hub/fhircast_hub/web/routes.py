"""The HTTP side of hub.url: forms subscribe, JSON requests changes, GET reads the context."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fhircast_hub.protocol.errors import (
    InvalidRequest,
    MessageTooLarge,
    RequestTooSlow,
    UnsupportedContentType,
)
from fhircast_hub.protocol.events import CATALOGUE
from fhircast_hub.protocol.messages import parse_notification
from fhircast_hub.protocol.stu2 import as_stu2
from fhircast_hub.protocol.subscription import parse_subscription_request
from fhircast_hub.web.auditing import address_of
from fhircast_hub.web.express import OFFER
from fhircast_hub.web.gate import Pass, peer_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from fhircast_hub.config import Settings
    from fhircast_hub.hub import Hub
    from fhircast_hub.protocol.messages import EventNotification
    from fhircast_hub.protocol.session import Accepted
    from fhircast_hub.security.grant import Grant
    from fhircast_hub.web.auditing import Auditing
    from fhircast_hub.web.gate import Gate


class _TopicConvertor(PathConvertor):
    """A topic in the path may hold anything: a slash, and a line end, which `path` passes over."""

    regex = "(?s:.*)"


register_url_convertor("topic", _TopicConvertor())

_FORM = "application/x-www-form-urlencoded"
_JSON = frozenset({"application/json", "application/fhir+json"})
_NO_STORE = {"Cache-Control": "no-store"}


class HubRoutes:
    """The handlers of hub.url at one mount path."""

    def __init__(
        self, hub: Hub, gate: Gate, auditing: Auditing, settings: Settings, path: str
    ) -> None:
        self._hub = hub
        self._gate = gate
        self._auditing = auditing
        self._watched = auditing.watched
        self._settings = settings
        self._path = path
        self._is_stu2 = path.lower().endswith("/stu2")

    def routes(self) -> list[Route]:
        """Return the routes, the most specific first."""
        path = self._path
        return [
            Route(f"{path}/.well-known/fhircast-configuration", self.well_known, methods=["GET"]),
            Route(path, self._watched(self.post), methods=["POST"]),
            Route(path + "/{topic:topic}", self._watched(self.post), methods=["POST"]),
            Route(path + "/{topic:topic}", self._watched(self.get_context), methods=["GET"]),
        ]

    async def post(self, request: Request) -> Response:
        """A form subscribes or unsubscribes; JSON is a context change request."""
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != _FORM and content_type not in _JSON:
            raise UnsupportedContentType(
                f"Content-Type: neither {_FORM} nor application/json", rule="SUB-01, OLD-02"
            )
        grant = request.state.grant = await self._gate.admit(request)
        body = await read_body(
            request, self._settings.max_event_bytes, self._settings.body_timeout_seconds
        )
        self._gate.require_live(grant)
        if content_type == _FORM:
            return await self._subscription(request, body, grant)
        return await self._event(request, body, grant)

    async def get_context(self, request: Request) -> Response:
        """Answer a GET of the current context (2.9; at an STU2 mount in its form, D-47)."""
        grant = request.state.grant = await self._gate.admit(request)
        view = await self._hub.current_context(request.path_params["topic"], grant)
        request.state.view = view
        if self._is_stu2:
            view = as_stu2(view)
        return Response(view, media_type="application/json", headers=_NO_STORE)

    async def well_known(self, _request: Request) -> Response:
        """Answer with what the hub supports (2.7; WK-01 … WK-05)."""
        return JSONResponse(
            {
                "eventsSupported": [entry.spelling for entry in CATALOGUE],
                "websocketSupport": True,
                "fhircastVersion": "3.0.0",
                "fhirVersion": "R5" if self._settings.is_ira else "R4",
                "getCurrentSupport": True,
                "capabilities": {
                    "supportsGetCurrentContext": True,
                    "supportsNonCurrentContextUpdates": self._settings.non_current_updates,
                },
            }
        )

    async def _subscription(self, request: Request, body: bytes, grant: Grant) -> Response:
        asked = request.state.asked = parse_subscription_request(body, ira=self._settings.is_ira)
        if asked.is_unsubscribe:
            endpoint_id = await self._hub.unsubscribe(asked, grant)
        else:
            endpoint_id = await self._hub.subscribe(asked, grant)
        endpoint = f"{self._socket_origin(request)}{self._path}/ws/{endpoint_id}"
        return JSONResponse({"hub.channel.endpoint": endpoint}, 202, headers=_NO_STORE)

    async def _event(self, request: Request, body: bytes, grant: Grant) -> Response:
        topic = request.path_params.get("topic")
        notification = request.state.notification = event_for(topic, body)
        accepted = await self._hub.request_change(notification, grant)
        offer = request.scope.get("extensions", {}).get(OFFER)
        if offer is not None:
            offer(self._express_of(request, topic, grant))
        return Response(_answer(accepted), accepted.status, media_type="application/json")

    def _express_of(self, request: Request, topic: str | None, grant: Grant) -> EventExpress:
        return EventExpress(
            self._hub,
            self._gate,
            self._auditing,
            known=Pass(peer_of(request), grant.token_id),
            address=address_of(request),
            topic=topic,
            max_bytes=self._settings.max_event_bytes,
        )

    def _socket_origin(self, request: Request) -> str:
        origin = self._settings.public_url or str(request.base_url).rstrip("/")
        parts = urlsplit(origin)
        scheme = "wss" if parts.scheme == "https" else "ws"
        return f"{scheme}://{parts.netloc}{parts.path}"


def event_for(topic: str | None, body: bytes) -> EventNotification:
    """Return the event in a body that was sent to the URL of a topic, None for that of all.

    Raises:
        InvalidRequest: It is none, or of another topic (OLD-02).
    """
    notification = parse_notification(body)
    if topic is not None and topic != notification.topic:
        raise InvalidRequest("hub.topic", "differs from the topic of the URL", rule="OLD-02")
    return notification


def _answer(accepted: Accepted) -> bytes:
    """Return the JSON of the answer to an event that was accepted (D-46)."""
    answer = {"id": accepted.id}
    if accepted.version_id:
        answer["context.versionId"] = accepted.version_id
    return msgspec.json.encode(answer)


class EventExpress:
    """Takes further events of a publisher whose last one was accepted; an `Express`."""

    def __init__(
        self,
        hub: Hub,
        gate: Gate,
        auditing: Auditing,
        *,
        known: Pass,
        address: str,
        topic: str | None,
        max_bytes: int,
    ) -> None:
        self.max_bytes = max_bytes
        self.is_immediate = hub.is_immediate
        self._hub = hub
        self._gate = gate
        self._auditing = auditing
        self._known = known
        self._address = address
        self._topic = topic

    async def answer(self, body: bytes) -> tuple[int, bytes] | None:
        """See `Express.answer`."""
        try:
            grant = self._gate.readmit(self._known)
            if grant is None:
                return None
            with self._auditing.place():
                notification = event_for(self._topic, body)
                accepted = await self._hub.request_change(notification, grant)
                self._auditing.published(self._address, grant, notification, accepted.status)
        except Exception:  # to be said, and logged, where it happens again
            return None
        self._gate.count(self._known, grant)
        return accepted.status, _answer(accepted)


async def read_body(request: Request, max_bytes: int, max_seconds: float) -> bytes:
    """Return the body, refusing it as soon as it is too large or late, however it is sent.

    Raises:
        MessageTooLarge: More bytes than allowed were announced or came (CONT-19).
        RequestTooSlow: It was not complete in time.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise MessageTooLarge(max_bytes)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(max_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise MessageTooLarge(max_bytes)
                chunks.append(chunk)
    except TimeoutError:
        raise RequestTooSlow(max_seconds) from None
    return b"".join(chunks)
