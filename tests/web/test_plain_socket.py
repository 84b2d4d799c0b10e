"""The hub on an ASGI server that hands no connection over: every frame is a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from client_frames import acknowledgement, masked
from fhircast_hub.web.wire import Wire
from hub_server import BY_MESSAGES, running_hub
from publisher import armed, post
from raw_http import raw_connection
from websockets.frames import Opcode
from wire_messages import ALL_EVENTS, codings, denied_and_closed, marker, only_marker_comes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hub_server import RunningHub


@pytest.fixture
async def hub() -> AsyncIterator[RunningHub]:
    async with running_hub(BY_MESSAGES, reconnect_grace_seconds="0") as it:
        yield it


async def test_nothing_of_it_goes_the_short_way(hub: RunningHub) -> None:
    """GEN-02: what is tried here is not what `fhircast serve` does."""
    await hub.wire.join(TOPIC, ALL_EVENTS)
    async with armed(hub) as connection:
        assert (await post(connection, marker())).status == 202
        for it in hub._server.server_state.connections:
            assert not isinstance(it, Wire)
            assert not hasattr(it, "_express")


@pytest.mark.parametrize("code", [1000, 1001, 4000])
async def test_the_close_code_comes_through(hub: RunningHub, code: int) -> None:
    """SYNC-06: only who leaves with another code than 1000 or 1001 is told of."""
    viewer = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    leaving = await hub.wire.join(TOPIC, ["org.example.other"], name="Leaving")
    await leaving.close(code)
    if code == 4000:
        assert codings(await viewer.followed())["subscribername"] == "Leaving"
    await only_marker_comes(hub.wire, viewer)


async def test_a_subscriber_that_vanishes_is_told_of(hub: RunningHub) -> None:
    """SYNC-06: no close frame at all."""
    viewer = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    await (await hub.wire.join(TOPIC, ["org.example.other"], name="Lost")).abort()
    assert codings(await viewer.followed())["subscribername"] == "Lost"


async def test_the_newest_connection_of_an_endpoint_wins(hub: RunningHub) -> None:
    """D-44: the older one is closed with 1008, and hears of nothing more."""
    older = await hub.wire.join(TOPIC, ALL_EVENTS)
    newer = await (await hub.wire.connect(older.endpoint)).confirmed()
    assert await older.close_code() == 1008
    await only_marker_comes(hub.wire, newer)


async def test_a_denial_is_followed_by_a_close(hub: RunningHub) -> None:
    """CONF-05."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    await hub.wire.unsubscribe(TOPIC, socket.endpoint)
    assert (await denied_and_closed(socket))[1] == 1000


async def test_frames_that_are_none_of_the_hubs_are_passed_over(hub: RunningHub) -> None:
    """GEN-02, D-38: binary, fragments, what is no JSON; an answer behind them is heard."""
    viewer = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    answer = await hub.wire.subscribe(TOPIC, ["org.example.marker"], name="Refusing")
    async with raw_connection(hub) as connection:
        await connection.upgrade(answer.json()["hub.channel.endpoint"])
        assert (await connection.message())["hub.mode"] == "subscribe"
        await hub.wire.post(sent := marker())
        await viewer.followed()
        assert (await connection.message())["id"] == sent["id"]
        await connection.send(
            masked(Opcode.BINARY, b"\x00")
            + masked(Opcode.TEXT, b"{")
            + masked(Opcode.TEXT, b"{", fin=False)
            + masked(Opcode.CONT, b"}")
            + acknowledgement(sent["id"], "500")
        )
        assert codings(await viewer.followed())["eventid"] == sent["id"]
