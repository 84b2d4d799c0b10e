"""A plain client of a hub: forms and JSON over httpx, frames over websockets, nothing of ours.

It sends what it is told, right or wrong, and hands back what came; every wait has a deadline.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import AsyncExitStack
from functools import cache
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fhircast_conformance.trace import HUB, Trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Json = dict[str, Any]

DEADLINE_SECONDS = 5.0
"""How long a frame or an answer may take on a machine that is busy with other things."""

REPORT_EVENTS = (
    "DiagnosticReport-open",
    "DiagnosticReport-close",
    "DiagnosticReport-update",
    "DiagnosticReport-select",
    "SyncError",
)
"""What every subscriber of a reporting session asks for (IRA, RAD-146)."""


@cache
def _system_trust() -> ssl.SSLContext:
    """Return the certificates that httpx trusts; read once, as a run makes hundreds of clients."""
    return httpx.create_ssl_context()


class Socket:
    """The subscriber's end of one WebSocket.

    Attributes:
        endpoint: `hub.channel.endpoint`.
        name: `subscriber.name`, "" if it was not given.
        confirmation: First frame of the hub, once `confirmed` has read it.
        text: The newest frame that was read, as it came: the digits of numbers count.
    """

    def __init__(
        self,
        connection: ClientConnection,
        endpoint: str,
        name: str = "",
        trace: Trace | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.name = name
        self.confirmation: Json = {}
        self.text = ""
        self._connection = connection
        self._trace = trace or Trace()

    async def confirmed(self) -> Self:
        """Read the frame that confirms the subscription."""
        self.confirmation = await self.next()
        assert self.confirmation["hub.mode"] == "subscribe", self.confirmation
        return self

    async def next(self, *, within: float = DEADLINE_SECONDS) -> Json:
        """Return the next frame.

        Raises:
            TimeoutError: None came in time.
            ConnectionClosed: The hub closed the socket.
        """
        async with asyncio.timeout(within):
            try:
                received = await self._connection.recv()
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd is not None else 1006
                self._trace.add(HUB, self._lane, f"close {code}")
                raise
        self._trace.frame(HUB, self._lane, received)
        self.text = received if isinstance(received, str) else received.decode()
        frame = json.loads(received)
        assert isinstance(frame, dict), frame
        return frame

    async def followed(self, *, within: float = DEADLINE_SECONDS) -> Json:
        """Return the next frame and acknowledge it with 200."""
        frame = await self.next(within=within)
        await self.acknowledge(frame)
        return frame

    async def raw(self, *, within: float = DEADLINE_SECONDS) -> str | bytes:
        """Return the next frame as it came: a str if it is a text frame.

        Raises:
            TimeoutError: None came in time.
            ConnectionClosed: The hub closed the socket.
        """
        async with asyncio.timeout(within):
            received = await self._connection.recv()
        self._trace.frame(HUB, self._lane, received)
        return received

    async def acknowledge(self, notification: Json, status: str | int | None = "200") -> None:
        """Answer a notification; with status None only its id, as some clients do."""
        answer = {"id": notification["id"]}
        await self.send(answer if status is None else {**answer, "status": status})

    async def send(self, frame: Json | str | bytes) -> None:
        """Send any frame."""
        data = json.dumps(frame) if isinstance(frame, dict) else frame
        self._trace.frame(self._lane, HUB, data)
        await self._connection.send(data)

    async def close_code(self) -> int:
        """Wait until the hub closes the socket, and return the close code.

        Frames before it are a failure: read them first.
        """
        try:
            frame = await self.next()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 1006
        raise AssertionError(f"a frame instead of a close: {frame}")

    async def close(self, code: int = 1000) -> None:
        """Close the socket."""
        self._trace.add(self._lane, HUB, f"close {code}")
        await self._connection.close(code)

    async def abort(self) -> None:
        """Cut the TCP connection without a close frame."""
        self._trace.add(self._lane, HUB, "connection cut")
        self._connection.transport.abort()
        await self._connection.wait_closed()

    def freeze(self) -> None:
        """Read nothing any more, so that no ping is answered, and keep the connection open."""
        self._trace.add(self._lane, HUB, "frozen: answers no ping")
        self._connection.transport.pause_reading()

    @property
    def _lane(self) -> str:
        return self.name or "client"


class Wire:
    """One client of `hub.url`; an asynchronous context manager that closes what it opened.

    Args:
        hub_url: `hub.url`.
        token: Bearer token, "" for none.
        name: The client's lane in the trace.
        trace: Where what goes over the wire is recorded.
        verify: TLS: True for the system's trust, or a context of one's own.
    """

    def __init__(
        self,
        hub_url: str,
        *,
        token: str = "",
        name: str = "client",
        trace: Trace | None = None,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self.hub_url = hub_url
        self._name = name
        self._trace = trace or Trace()
        self._verify = verify
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.AsyncClient(
            headers=headers,
            timeout=DEADLINE_SECONDS,
            trust_env=False,
            follow_redirects=False,
            verify=_system_trust() if verify is True else verify,
            event_hooks={"request": [self._requested], "response": [self._answered]},
        )
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._open.enter_async_context(self.http)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def _requested(self, request: httpx.Request) -> None:
        self._trace.request(self._name, request)

    async def _answered(self, response: httpx.Response) -> None:
        await response.aread()
        self._trace.response(self._name, response)

    async def form(self, fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> httpx.Response:
        """Post a form to hub.url; pairs may repeat a field."""
        pairs = fields.items() if hasattr(fields, "items") else fields
        return await self.http.post(
            self.hub_url,
            content=str(httpx.QueryParams(list(pairs))),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )

    async def subscribe(
        self, topic: str, events: Iterable[str] = REPORT_EVENTS, *, name: str = "", **more: str
    ) -> httpx.Response:
        """Post a subscribe form (2.4); `more` takes further fields, dots written as `__`."""
        named = {"subscriber.name": name} if name else {}
        fields = {
            "hub.channel.type": "websocket",
            "hub.mode": "subscribe",
            "hub.topic": topic,
            "hub.events": ",".join(events),
        }
        further = {key.replace("__", "."): value for key, value in more.items()}
        return await self.form(fields | named | further)

    async def unsubscribe(self, topic: str, endpoint: str) -> httpx.Response:
        """Post an unsubscribe form (2.4)."""
        fields = {
            "hub.channel.type": "websocket",
            "hub.mode": "unsubscribe",
            "hub.topic": topic,
            "hub.channel.endpoint": endpoint,
        }
        return await self.form(fields)

    async def connect(self, endpoint: str, name: str = "", **options: Any) -> Socket:
        """Open a WebSocket at an endpoint, without any credentials (SUB-17)."""
        if isinstance(self._verify, ssl.SSLContext) and endpoint.startswith("wss:"):
            options = {"ssl": self._verify, **options}
        connecting = connect(
            endpoint, proxy=None, compression=None, max_size=None, close_timeout=1, **options
        )
        lane = name or self._name
        self._trace.add(lane, HUB, "connect")
        async with asyncio.timeout(DEADLINE_SECONDS):
            try:
                connection = await self._open.enter_async_context(connecting)
            except InvalidStatus as refused:
                self._trace.add(HUB, lane, str(refused.response.status_code))
                raise
        return Socket(connection, endpoint, name, self._trace)

    async def join(
        self, topic: str, events: Iterable[str] = REPORT_EVENTS, *, name: str = "", **more: str
    ) -> Socket:
        """Subscribe, connect and read the confirmation."""
        answer = await self.subscribe(topic, events, name=name, **more)
        assert answer.status_code == 202, answer.text
        socket = await self.connect(answer.json()["hub.channel.endpoint"], name)
        return await socket.confirmed()

    async def post(self, event: Json | bytes, **headers: str) -> httpx.Response:
        """Post a context change request (2.6), or any other body."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        sent = {"Content-Type": "application/json"} | {
            key.replace("_", "-"): value for key, value in headers.items()
        }
        return await self.http.post(self.hub_url, content=body, headers=sent)

    async def get(self, topic: str) -> httpx.Response:
        """Ask for the current context (2.9)."""
        return await self.http.get(f"{self.hub_url}/{quote(topic, safe='')}")

    async def context(self, topic: str) -> Json:
        """Return the current context."""
        answer = await self.get(topic)
        assert answer.status_code == 200, answer.text
        view = answer.json()
        assert isinstance(view, dict), view
        return view
