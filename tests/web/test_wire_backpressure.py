"""A subscriber that does not read for a while, or never again: what waits, and what comes last."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from builders import TOPIC
from client_frames import masked
from fhircast_hub.web import wire as wire_module
from fhircast_hub.web.wire import Wire
from raw_http import CLOSE, RawConnection
from websockets.frames import Opcode
from wire_messages import ALL_EVENTS, codings, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from builders import Json
    from hub_server import RunningHub, StartHub

_MOST = 100
"""Large events, more than any system buffers between two sockets."""


def large(number: int) -> Json:
    return request("org.example.marker", {"key": "note", "string": "x" * 100_000}, id=f"n-{number}")


class Deaf:
    """A subscriber that reads nothing until it is told to."""

    def __init__(self, connection: RawConnection, endpoint: str) -> None:
        self.connection = connection
        self.endpoint = endpoint
        self._transport: asyncio.Transport = connection.writer.transport  # type: ignore[assignment]

    def stop_reading(self) -> None:
        self._transport.pause_reading()

    def read(self) -> None:
        self._transport.resume_reading()

    async def ids(self, count: int) -> list[str]:
        """The ids of the next notifications."""
        return [(await self.connection.message())["id"] for _ in range(count)]


@asynccontextmanager
async def deaf(hub: RunningHub, name: str = "Deaf") -> AsyncIterator[Deaf]:
    """Small buffers: an event is more than they hold."""
    answer = await hub.wire.subscribe(TOPIC, ["org.example.marker"], name=name)
    endpoint = answer.json()["hub.channel.endpoint"]
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", urlsplit(hub.origin).port))
    connection = RawConnection(*await asyncio.open_connection(sock=sock, limit=1024))
    try:
        await connection.upgrade(endpoint)
        assert (await connection.message())["hub.mode"] == "subscribe"
        it = Deaf(connection, endpoint)
        it.stop_reading()
        yield it
    finally:
        connection.writer.transport.abort()


def wire_of(hub: RunningHub) -> Wire:
    """The only one there is."""
    (it,) = (it for it in hub._server.server_state.connections if isinstance(it, Wire))
    return it


async def post_until_some_wait(hub: RunningHub, first: int = 0) -> int:
    """Post events until some wait for the one who does not read; return the number of the next."""
    for number in range(first, first + _MOST):
        if len(wire_of(hub)._waiting or ()) >= 3:
            return number
        assert (await hub.wire.post(large(number))).status_code == 202
    raise AssertionError("nothing ever waited")


PLENTY = {"max_outbox_events": "1000", "max_outbox_bytes": str(10**9), "ack_timeout_seconds": "60"}


@pytest.fixture
async def hub(start_hub: StartHub) -> RunningHub:
    return await start_hub(**PLENTY, reconnect_grace_seconds="0")


async def test_what_waited_comes_in_order_when_it_reads_again(hub: RunningHub) -> None:
    """CONT-06: and what is posted then comes behind it."""
    async with deaf(hub) as subscriber:
        posted = await post_until_some_wait(hub)
        subscriber.read()
        last = asyncio.create_task(hub.wire.post(large(posted)))
        assert await subscriber.ids(posted + 1) == [f"n-{it}" for it in range(posted + 1)]
        assert (await last).status_code == 202
        assert wire_of(hub)._waiting is None


async def test_who_stops_again_and_again_misses_nothing(hub: RunningHub) -> None:
    """CONT-06: each time where it was."""
    async with deaf(hub) as subscriber:
        begin = 0
        for _ in range(3):
            end = await post_until_some_wait(hub, begin)
            subscriber.read()
            assert await subscriber.ids(end - begin) == [f"n-{it}" for it in range(begin, end)]
            subscriber.stop_reading()
            begin = end


@pytest.mark.parametrize(
    "bound", [{"max_outbox_events": "4"}, {"max_outbox_bytes": "450000"}], ids=["count", "bytes"]
)
async def test_no_more_waits_than_may(start_hub: StartHub, bound: dict[str, str]) -> None:
    """SYNC-06: four events by either bound; then it is ended, and the others are told."""
    hub = await start_hub(**{**PLENTY, **bound, "reconnect_grace_seconds": "0"})
    async with deaf(hub) as subscriber:
        wire = wire_of(hub)
        viewer = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
        most = 0
        for number in range(_MOST):
            await hub.wire.post(large(number))
            if not wire._is_closing:
                most = max(most, len(wire._waiting or ()))
            frame = await viewer.followed()
            if frame["event"]["hub.event"] == "SyncError":
                break
        assert codings(frame)["subscribername"] == "Deaf"
        assert most == 4
        subscriber.read()
        *notifications, denial = await until_the_close(subscriber)
        assert [it["id"] for it in notifications] == [f"n-{it}" for it in range(len(notifications))]
        assert denial["hub.mode"] == "denied"


async def until_the_close(subscriber: Deaf) -> list[Json]:
    """All that comes before the close frame."""
    messages: list[Json] = []
    while True:
        opcode, payload = await subscriber.connection.frame()
        if opcode == CLOSE:
            return messages
        messages.append(json.loads(payload))


async def test_the_denial_comes_behind_what_waited(hub: RunningHub) -> None:
    """CONF-05: nothing that was put is lost by an unsubscribe."""
    async with deaf(hub) as subscriber:
        posted = await post_until_some_wait(hub)
        await hub.wire.unsubscribe(TOPIC, subscriber.endpoint)
        subscriber.read()
        *notifications, denial = await until_the_close(subscriber)
        assert [it["id"] for it in notifications] == [f"n-{it}" for it in range(posted)]
        assert denial["hub.mode"] == "denied"


async def test_nothing_comes_behind_the_close(hub: RunningHub) -> None:
    """RFC 6455, 5.5.1; CONF-05: whatever is put."""
    async with deaf(hub) as subscriber:
        await post_until_some_wait(hub)
        wire = wire_of(hub)
        await hub.wire.unsubscribe(TOPIC, subscriber.endpoint)
        assert wire.put(b"{}")
        subscriber.read()
        await until_the_close(subscriber)
        await subscriber.connection.send(masked(Opcode.CLOSE, b"\x03\xe8"))
        assert await subscriber.connection.rest() == b""


async def test_who_does_not_read_its_last_frames_is_cut(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SYNC-06, CONF-05: its connection ends after some seconds."""
    monkeypatch.setattr(wire_module, "_FAREWELL_SECONDS", 0.1)
    async with deaf(hub) as subscriber:
        await post_until_some_wait(hub)
        await hub.wire.unsubscribe(TOPIC, subscriber.endpoint)
        await until_it_is_gone(hub)


async def test_who_reads_nothing_for_too_long_is_lost(start_hub: StartHub) -> None:
    """SYNC-06: by the time that a write may take, though its bounds are not reached."""
    hub = await start_hub(**PLENTY, write_timeout_seconds="0.3", reconnect_grace_seconds="0")
    async with deaf(hub):
        await post_until_some_wait(hub)
        viewer = await hub.wire.join(TOPIC, ["SyncError"], name="Viewer")
        assert codings(await viewer.followed(within=15))["subscribername"] == "Deaf"


async def test_who_reads_nothing_answers_no_ping(start_hub: StartHub) -> None:
    """SYNC-06: the ping waits like anything else."""
    hub = await start_hub(
        **PLENTY, write_timeout_seconds="60", ping_seconds="0.2", reconnect_grace_seconds="0"
    )
    async with deaf(hub):
        await post_until_some_wait(hub)
        viewer = await hub.wire.join(TOPIC, ["SyncError"], name="Viewer")
        assert codings(await viewer.followed(within=15))["subscribername"] == "Deaf"


async def test_the_server_ends_though_one_does_not_read(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONF-05: who reads gets its denial and 1001."""
    monkeypatch.setattr(wire_module, "_FAREWELL_SECONDS", 0.1)
    async with deaf(hub):
        await post_until_some_wait(hub)
        viewer = await hub.wire.join(TOPIC, ["SyncError"], name="Viewer")
        await hub.stop()
        assert (await viewer.next())["hub.reason"] == "hub shut down"
        assert await viewer.close_code() == 1001


async def until_it_is_gone(hub: RunningHub) -> None:
    async with asyncio.timeout(15):
        while any(isinstance(it, Wire) for it in hub._server.server_state.connections):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
