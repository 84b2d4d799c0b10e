"""A fake: it lets everybody in and forwards events, with the faults that it is told to have."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    Notification = dict[str, Any]
    Forward = Callable[[int, int, Notification], list[Notification]]
    Answer = Callable[[int], int]


SILENT = 0
"""In place of a status: no answer ever comes."""


def faithful(_event: int, _subscriber: int, notification: Notification) -> list[Notification]:
    """Forward as it came."""
    return [notification]


class FakeHub:
    """No hub: what it answers and forwards is up to the test.

    Attributes:
        app: To be served.
        is_loaded: Set when the first event is acknowledged.
        acknowledged: Ids of events that subscribers answered.
        unsubscribed: Endpoints that were given back.

    Args:
        forward: Number of the event and of the subscriber in its topic, from 0, and the event;
            returns what the subscriber gets.
        answer: Number of the event; returns the status of the answer, or SILENT for none.
        forwards_refused: Whether subscribers get what was refused, too.
    """

    def __init__(
        self,
        forward: Forward = faithful,
        answer: Answer = lambda _: 202,
        *,
        forwards_refused: bool = False,
    ) -> None:
        self._forward = forward
        self._answer = answer
        self._forwards_refused = forwards_refused
        self._events = 0
        self._sockets: dict[str, list[WebSocket]] = defaultdict(list)
        self.is_loaded = asyncio.Event()
        self.acknowledged: list[str] = []
        self.unsubscribed: list[str] = []
        self.app = Starlette(
            routes=[
                Route("/hub", self._post, methods=["POST"]),
                WebSocketRoute("/hub/{topic}", self._socket),
            ]
        )

    async def _post(self, request: Request) -> Response:
        body = await request.body()
        if request.headers["content-type"] == "application/json":
            return await self._event(json.loads(body), request)
        fields = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        if fields["hub.mode"] == "unsubscribe":
            self.unsubscribed.append(fields["hub.channel.endpoint"])
        endpoint = f"ws://{request.headers['host']}/hub/{fields['hub.topic']}"
        return JSONResponse({"hub.channel.endpoint": endpoint}, 202)

    async def _event(self, notification: Notification, request: Request) -> Response:
        number, self._events = self._events, self._events + 1
        status = self._answer(number)
        if status == SILENT:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            return Response()
        if status < 300 or self._forwards_refused:
            for place, socket in enumerate(self._sockets[notification["event"]["hub.topic"]]):
                for frame in self._forward(number, place, notification):
                    await socket.send_text(json.dumps(frame))
        return PlainTextResponse("said by the fake", status)

    async def _socket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self._sockets[websocket.path_params["topic"]].append(websocket)
        await websocket.send_text(json.dumps({"hub.mode": "subscribe"}))
        try:
            while True:
                self.acknowledged.append(json.loads(await websocket.receive_text())["id"])
                self.is_loaded.set()
        except WebSocketDisconnect:
            pass
