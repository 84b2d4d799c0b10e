"""What the hub relies on in uvicorn and websockets beyond what they promise.

pyproject.toml pins uvicorn's minor version for these. With a newer one, whatever fails here says
which of our modules has to be looked at.
"""

from __future__ import annotations

import asyncio
import re
import socket
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httptools
import pytest
import uvicorn
from builders import TOPIC
from fhircast_hub.web.server import bind
from fhircast_hub.web.wire import Wire
from publisher import armed, post
from raw_http import RawConnection
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State
from wire_messages import ALL_EVENTS, marker, only_marker_comes

if TYPE_CHECKING:
    from collections.abc import Callable

    from hub_server import RunningHub

ROOT = Path(__file__).parents[2]


def test_the_version_is_the_one_that_was_looked_at() -> None:
    """A newer minor version may move what is private."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (demand,) = (it for it in project["dependencies"] if it.startswith("uvicorn"))
    least, below = re.findall(r"0\.(\d+)", demand)
    assert int(below) == int(least) + 1
    assert version("uvicorn").split(".")[:2] == ["0", least]
    (pinned,) = re.findall(
        r"^uvicorn==0\.(\d+)\.", (ROOT / "constraints.txt").read_text(), re.MULTILINE
    )
    assert pinned == least


# Names


def made(protocol: Callable[..., Any]) -> Any:
    """A protocol as the server makes it."""

    async def make() -> Any:
        config = uvicorn.Config(app=lambda: None, ws="websockets-sansio", log_config=None)
        config.load()
        state = uvicorn.Server(config).server_state
        return protocol(config=config, server_state=state, app_state={})

    return asyncio.run(make())


def test_what_http_protocol_and_express_use() -> None:
    """web/http_protocol.py, web/express.py, web/plain_parser.py."""
    it = made(HttpToolsProtocol)
    for name in (
        "client", "connections", "cycle", "flow", "headers", "loop", "parser", "pipeline", "scope",
        "server_state", "transport",
    ):  # fmt: skip
        assert hasattr(it, name), name
    for name in ("default_headers", "total_requests", "connections", "tasks"):
        assert hasattr(it.server_state, name), name
    assert isinstance(it.parser, httptools.HttpRequestParser)
    for name in (
        "_should_upgrade", "_unset_keepalive_if_required", "connection_lost", "connection_made",
        "data_received", "on_body", "on_header", "on_headers_complete",
        "on_message_begin", "on_message_complete", "on_response_complete", "pause_writing",
        "resume_writing", "send_400_response", "shutdown",
    ):  # fmt: skip
        assert callable(getattr(HttpToolsProtocol, name)), name


def test_what_is_used_of_a_request() -> None:
    """web/http_protocol.py: whether it is answered, and how it is given up."""
    fields = RequestResponseCycle.__init__.__code__.co_names
    assert {"response_started", "response_complete", "disconnected", "message_event"} <= {*fields}
    assert {"keep_alive", "transport"} <= {*fields}


def test_what_socket_protocol_uses() -> None:
    """web/socket_protocol.py."""
    it = made(WebSocketsSansIOProtocol)
    for name in ("client", "conn", "connections", "loop", "transport", "read_paused"):
        assert hasattr(it, name), name
    assert (it.handshake_initiated, it.handshake_complete) == (False, False)
    assert it.writable.is_set()
    for name in (
        "connection_lost", "connection_made", "data_received", "handle_connect", "pause_writing",
        "resume_writing", "stop_keepalive",
    ):  # fmt: skip
        assert callable(getattr(WebSocketsSansIOProtocol, name)), name


def test_what_is_used_of_websockets() -> None:
    """web/frames.py, web/wire.py: state, sizes and closes of the parser, and its mask."""
    conn = Protocol(Side.SERVER, state=State.OPEN, max_size=10)
    assert (conn.current_size, conn.parser_exc, conn.close_rcvd, conn.close_sent) == (None,) * 4
    conn.receive_data(Frame(Opcode.TEXT, b"{", fin=False).serialize(mask=True))
    assert conn.current_size == 1
    conn.receive_data(Frame(Opcode.CONT, b"}").serialize(mask=True))
    assert conn.current_size is None
    conn.receive_data(Frame(Opcode.PING, b"x").serialize(mask=True))
    assert conn.data_to_send() == [b"\x8a\x01x"]
    conn.receive_data(Frame(Opcode.TEXT, b"x" * 11).serialize(mask=True))
    assert conn.parser_exc is not None
    assert conn.close_sent is not None
    assert conn.close_sent.code == 1009


def test_a_close_is_answered_by_the_parser_itself() -> None:
    """web/wire.py: and to fail it afterwards is an error."""
    conn = Protocol(Side.SERVER, state=State.OPEN)
    conn.receive_data(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
    assert conn.close_rcvd is not None
    assert conn.data_to_send()[0] == b"\x88\x02\x03\xe8"
    with pytest.raises(InvalidState):
        conn.send_close(1000)


@pytest.mark.parametrize("module", ["websockets.utils", "websockets.speedups"])
def test_masks(module: str) -> None:
    """web/frames.py: RFC 6455, 5.3; the compiled one is not everywhere."""
    apply_mask = pytest.importorskip(module).apply_mask
    assert bytes(apply_mask(b"hello", b"\1\2\3\4")) == b"igohn"


# What the server does


async def test_the_end_of_an_application_closes_its_websocket() -> None:
    """web/socket_protocol.py: `_HandedOver` is there for this call alone."""
    closed: list[bool] = []

    class Watched(WebSocketsSansIOProtocol):
        async def run_asgi(self) -> None:
            transport = self.transport
            await super().run_asgi()
            closed.append(transport.is_closing())

    async def accept(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        assert "extensions" in scope

    config = uvicorn.Config(accept, ws=Watched, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with bind("127.0.0.1", 0) as sock:
        serving = asyncio.create_task(server.serve([sock]))
        connection = RawConnection(*await asyncio.open_connection(*sock.getsockname()))
        await connection.upgrade("/")
        assert await connection.rest() == b""
        connection.writer.close()
        server.should_exit = True
        await serving
    assert closed == [True]


async def test_a_wire_is_one_of_the_servers_connections(hub: RunningHub) -> None:
    """web/wire.py: in place of what was there, and until it is gone; its request has ended."""
    state = hub._server.server_state
    await hub.wire.join(TOPIC, ALL_EVENTS)
    await hub.wire.http.aclose()
    async with asyncio.timeout(10):
        while len(state.connections) > 1 or state.tasks:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
    (it,) = state.connections
    assert isinstance(it, Wire)


async def test_a_shutdown_asks_every_connection(hub: RunningHub) -> None:
    """web/wire.py: also one that opened when the good-byes were said already."""
    socket_ = await hub.wire.join(TOPIC, ALL_EVENTS)
    (wire,) = (it for it in hub._server.server_state.connections if isinstance(it, Wire))
    wire.shutdown()
    assert await socket_.close_code() == 1012


async def test_the_date_is_in_the_default_headers(hub: RunningHub) -> None:
    """web/express.py writes them on its answers."""
    await hub._server.on_tick(0)
    ((name, _),) = hub._server.server_state.default_headers
    assert name == b"date"


async def test_an_answer_begins_the_time_that_a_connection_may_be_idle(hub: RunningHub) -> None:
    """web/express.py: uvicorn's own timer must not end a connection that is used."""
    await hub.wire.join(TOPIC, ALL_EVENTS)
    async with armed(hub) as connection:
        (it,) = (it for it in hub._server.server_state.connections if getattr(it, "_express", None))
        assert isinstance(it, HttpToolsProtocol)
        assert it.timeout_keep_alive_task is not None
        await post(connection, marker())
        assert it.timeout_keep_alive_task is None


async def test_who_goes_before_the_accept_leaves_nothing(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """web/socket_protocol.py: uvicorn accepts on a connection that is being closed in silence."""
    viewer = await hub.wire.join(TOPIC, ALL_EVENTS)
    answer = await hub.wire.subscribe(TOPIC, ["org.example.marker"])
    inner = hub._server.app.state.hub
    find = inner.find

    async def find_and_close(endpoint_id: str) -> Any:
        for it in hub._server.server_state.connections:
            if isinstance(it, WebSocketsSansIOProtocol):
                it.transport.close()
        return await find(endpoint_id)

    monkeypatch.setattr(inner, "find", find_and_close)
    with socket.create_connection(("127.0.0.1", int(hub.origin.rsplit(":", 1)[1]))) as plain:
        connection = RawConnection(*await asyncio.open_connection(sock=plain))
        with pytest.raises(asyncio.IncompleteReadError):
            await connection.upgrade(answer.json()["hub.channel.endpoint"])
        connection.writer.close()
    await only_marker_comes(hub.wire, viewer)
    assert [it for it in caplog.records if it.levelname == "ERROR"] == []
