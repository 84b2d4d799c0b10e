"""A subscriber that follows a session, whatever happens to hubs and sockets, and logs all of it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from wire_messages import ALL_EVENTS

from torture.following import Following, anchor_of, versions_of, view_of
from torture.log import Connection, Frame, View, now
from torture.settings import LEASE_SECONDS

if TYPE_CHECKING:
    from random import Random

    from torture.log import Log
    from torture.nodes import Node

_AGAIN_SECONDS = 0.1
_FIRST_FRAME_SECONDS = 5.0


class Subscriber:
    """One subscriber of one topic, at whichever hub it happens to come to.

    Attributes:
        name: `subscriber.name`.
        topic: What it follows.
        shown: What it shows.
    """

    def __init__(
        self,
        name: str,
        topic: str,
        nodes: list[Node],
        *,
        http: httpx.AsyncClient,
        log: Log,
        chance: Random,
    ) -> None:
        self.name = name
        self.topic = topic
        self.shown = Following()
        self._nodes = nodes
        self._http = http
        self._log = log
        self._chance = chance
        self._path = ""
        self._socket: ClientConnection | None = None
        self._connection: Connection | None = None

    @property
    def is_settled(self) -> bool:
        """Whether it is connected, confirmed, and knows what to show."""
        it = self._connection
        is_in = it is not None and it.confirmed_at < inf and it.closed_at == inf
        return is_in and not self.shown.is_in_doubt

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            if not self._path:
                await self._subscribe()
            if self._path:
                await self._connect()
            await asyncio.sleep(_AGAIN_SECONDS)

    def drop(self) -> None:
        """Break the connection, if there is one."""
        if self._socket is not None and self._connection is not None:
            self._connection.is_dropped = True
            self._socket.transport.abort()

    async def leave(self) -> None:
        """Unsubscribe, wherever that works."""
        fields = {"hub.mode": "unsubscribe", "hub.channel.endpoint": self._endpoint()}
        while self._path:
            with suppress(httpx.HTTPError):
                answer = await self._form(fields)
                if answer.status_code < 500:
                    return
            await asyncio.sleep(_AGAIN_SECONDS)

    def view(self) -> View:
        """Return what it shows."""
        return self.shown.view(self.name, self.topic)

    def _endpoint(self) -> str:
        return self._nodes[0].endpoint(self._path)

    async def _form(self, fields: dict[str, str]) -> httpx.Response:
        common = {"hub.channel.type": "websocket", "hub.topic": self.topic}
        return await self._http.post(self._chance.choice(self._nodes).hub_url, data=common | fields)

    async def _subscribe(self) -> None:
        fields = {
            "hub.mode": "subscribe",
            "hub.events": ",".join(ALL_EVENTS),
            "hub.lease_seconds": str(LEASE_SECONDS),
            "subscriber.name": self.name,
        }
        with suppress(httpx.HTTPError):
            answer = await self._form(fields)
            if answer.status_code == 202:
                self._path = urlsplit(answer.json()["hub.channel.endpoint"]).path

    async def _connect(self) -> None:
        node = self._chance.choice(self._nodes)
        try:
            socket = await connect(
                node.endpoint(self._path),
                proxy=None,
                compression=None,
                ping_interval=None,
                open_timeout=2,
                close_timeout=1,
            )
        except (OSError, InvalidHandshake, EOFError, ConnectionClosed):  # a timeout is an OSError
            return
        it = Connection(self.name, self.topic, node.number, now())
        self._log.connections.append(it)
        self._socket, self._connection, self.shown = socket, it, Following()
        asking = asyncio.create_task(self._ask_when_in_doubt(self.shown, it))
        try:
            async with asyncio.timeout(_FIRST_FRAME_SECONDS):
                await self._read(socket, it)
            while True:
                await self._read(socket, it)
        except ConnectionClosed as closed:
            it.code = closed.rcvd.code if closed.rcvd is not None else 1006
        except TimeoutError:
            it.is_dropped, it.code = True, 1006
        finally:
            it.closed_at = now()
            socket.transport.abort()
            asking.cancel()

    async def _read(self, socket: ClientConnection, it: Connection) -> None:
        message = json.loads(await socket.recv())
        mode = message.get("hub.mode")
        if mode == "subscribe":
            it.confirmed_at = min(it.confirmed_at, now())
        elif mode == "denied":
            it.denial = message["hub.reason"]
            self._path = ""
        else:
            self._note(message, it)
            await socket.send(json.dumps({"id": message["id"], "status": "200"}))

    def _note(self, message: dict[str, Any], it: Connection) -> None:
        event = message["event"]
        version, prior = versions_of(message)
        frame = Frame(
            now(), message["id"], event["hub.topic"], event["hub.event"],
            anchor_of(message), version, prior,
        )  # fmt: skip
        it.frames.append(frame)
        self.shown.take(message)

    async def _ask_when_in_doubt(self, shown: Following, it: Connection) -> None:
        """Read the current context, as a subscriber has to, until no event overtakes the answer."""
        while True:
            if shown.is_in_doubt and it.confirmed_at < inf:
                steps = shown.steps
                with suppress(httpx.HTTPError):
                    url = f"{self._chance.choice(self._nodes).hub_url}/{quote(self.topic)}"
                    answer = await self._http.get(url)
                    if answer.status_code == 200 and shown.steps == steps:
                        shown.told(view_of(self.name, self.topic, answer.json()))
            await asyncio.sleep(_AGAIN_SECONDS)
