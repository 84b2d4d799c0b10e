"""What every client in the field has: HTTP requests, and a socket that is read as frames come.

The clients in this folder are scripts of our own. Each behaves on the wire as the deployed client
it is named for, oddities included; docs/clients.md tells them for integrators.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

Json = dict[str, Any]

DEADLINE_SECONDS = 10.0


class FieldClient:
    """One client of one session.

    Args:
        origin: Scheme, host and port of the hub.
        topic: The session.
        token: Bearer token, "" for none.
        transport: What its HTTP requests go through, if not the plain network.

    Attributes:
        endpoint: `hub.channel.endpoint` of its newest subscription.
        frames: Every frame that came, in order, over all its connections.
    """

    mount: ClassVar[str] = "/api/hub"
    """Path of hub.url in its configuration."""

    def __init__(
        self,
        origin: str,
        topic: str,
        *,
        token: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.hub_url = origin + self.mount
        self.topic = topic
        self.endpoint = ""
        self.frames: list[Json] = []
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=DEADLINE_SECONDS,
            trust_env=False,
            transport=transport,
        )
        self._confirmed = asyncio.Event()
        self._closed = asyncio.Event()
        self._page_origin = ""
        self._events: asyncio.Queue[Json] = asyncio.Queue()
        self._socket: ClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def stop(self) -> None:
        """End what it does in the background and close what it opened."""
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()
        await self._http.aclose()
        for end in ends:
            if isinstance(end, Exception):
                raise end  # the script itself failed

    def in_page_of(self, origin: str) -> None:
        """Run in a page of this origin, as browsers mark it."""
        self._page_origin = self._http.headers["Origin"] = origin

    async def received(self, frame: Json) -> None:
        """What this client does with a frame; by default it hands events on and answers nothing."""
        if "event" in frame:
            self._events.put_nowait(frame)

    async def is_confirmed(self) -> None:
        """Wait for the confirmation of the newest connection."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            await self._confirmed.wait()

    async def is_closed(self) -> None:
        """Wait until a connection is gone."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            await self._closed.wait()

    @property
    def close_code(self) -> int | None:
        """Close code of the newest connection, None while it is open."""
        assert self._socket is not None
        return self._socket.close_code

    async def next_event(self) -> Json:
        """Return the next event that the client handed on to its application."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._events.get()

    async def get_context(self) -> Any:
        """Read the current context; the topic stands in the URL as it is."""
        answer = await self._http.get(f"{self.hub_url}/{self.topic}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post_form(self, fields: Mapping[str, str]) -> httpx.Response:
        return await self._http.post(self.hub_url, data=dict(fields))

    async def post_json(self, url: str, message: Json) -> httpx.Response:
        return await self._http.post(url, json=message)

    async def open_socket(self) -> None:
        """Connect to the endpoint and read from it until it is closed."""
        self._socket = await self.connect()
        self.start(self.read(self._socket))

    async def connect(self) -> ClientConnection:
        """Open one connection to the endpoint: no credentials, no subprotocol."""
        self._confirmed.clear()
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await connect(
                self.endpoint,
                origin=Origin(self._page_origin) if self._page_origin else None,
                proxy=None,
                compression="deflate",
                max_size=None,
            )

    async def read(self, connection: ClientConnection) -> None:
        """Take frames until the connection is gone."""
        with suppress(ConnectionClosed):
            async for text in connection:
                frame = json.loads(text)
                self.frames.append(frame)
                if frame.get("hub.mode") == "subscribe":
                    self._confirmed.set()
                await self.received(frame)
        self._closed.set()

    async def send(self, frame: Json) -> None:
        assert self._socket is not None
        with suppress(ConnectionClosed):  # the hub may have closed it meanwhile
            await self._socket.send(json.dumps(frame))

    async def drop_socket(self) -> None:
        """Lose the connection without a close frame, after all that was sent has arrived."""
        assert self._socket is not None
        await (await self._socket.ping())
        self._socket.transport.abort()
        await self._socket.wait_closed()

    async def close_as_browsers_do(self) -> None:
        """Close with a frame that has no code: what `close()` without arguments sends."""
        assert self._socket is not None
        with suppress(ConnectionClosed):  # the hub may have closed it meanwhile
            async with self._socket.send_context():
                self._socket.protocol.send_close()
        await self._socket.wait_closed()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background for as long as the client lives."""
        self._tasks.append(asyncio.create_task(work))


def now_z() -> str:
    """The moment as JavaScript writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def events_of(frames: list[Json]) -> list[str]:
    """Return the ids of the events among frames."""
    return [frame["id"] for frame in frames if "event" in frame]
