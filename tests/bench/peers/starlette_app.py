"""The baseline: what a good Starlette application does, `await socket.send_text` in a loop.

    uvicorn starlette_app:app --ws websockets-sansio --ws-per-message-deflate false

POST /pub/TOPIC, upgrade of GET /sub/TOPIC. No validation, no authentication, no bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

if TYPE_CHECKING:
    from starlette.requests import Request

_TOPICS: dict[str, set[WebSocket]] = {}


async def publish(request: Request) -> Response:
    """Send a body to all subscribers of a topic, then answer."""
    body = await request.body()
    msgspec.json.decode(body)
    text = body.decode()
    for socket in list(_TOPICS.get(request.path_params["topic"], ())):
        await socket.send_text(text)
    return Response(b"{}", 202, media_type="application/json")


async def subscribe(socket: WebSocket) -> None:
    """Read the answers of a subscriber until it leaves."""
    await socket.accept()
    subscribers = _TOPICS.setdefault(socket.path_params["topic"], set())
    subscribers.add(socket)
    try:
        while True:
            msgspec.json.decode(await socket.receive_text())
    except WebSocketDisconnect:
        pass
    finally:
        subscribers.discard(socket)


app = Starlette(
    routes=[
        Route("/pub/{topic}", publish, methods=["POST"]),
        WebSocketRoute("/sub/{topic}", subscribe),
    ]
)
