"""One subscriber's WebSocket on the wire: pings, closes, and what is not allowed."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from client_frames import acknowledgement, any_frame, closing, masked
from fhircast_hub.web import wire as wire_module
from fhircast_hub.web.frames import control_frame
from fhircast_hub.web.wire import Wire
from raw_http import CLOSE, PING, PONG, raw_connection
from websockets.frames import Opcode
from wire_messages import ALL_EVENTS, codings, marker, only_marker_comes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hub_server import RunningHub, StartHub
    from raw_http import RawConnection


@asynccontextmanager
async def subscribed(hub: RunningHub, name: str = "Raw") -> AsyncIterator[RawConnection]:
    """A connection that is a subscriber's, its confirmation read."""
    answer = await hub.wire.subscribe(TOPIC, ["org.example.marker"], name=name)
    async with raw_connection(hub) as connection:
        await connection.upgrade(answer.json()["hub.channel.endpoint"])
        assert (await connection.message())["hub.mode"] == "subscribe"
        yield connection


def wires(hub: RunningHub) -> list[Wire]:
    return [it for it in hub._server.server_state.connections if isinstance(it, Wire)]


async def until_there_are(hub: RunningHub, count: int) -> None:
    """Wait until the hub has so many wires."""
    async with asyncio.timeout(15):
        while len(wires(hub)) != count:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def check_that_it_lives(hub: RunningHub, connection: RawConnection) -> None:
    """An event comes, and its answer is heard."""
    sent = marker()
    await hub.wire.post(sent)
    assert (await connection.message())["id"] == sent["id"]
    await connection.send(acknowledgement(sent["id"]))


# Pings


@pytest.mark.parametrize("payload", [b"", b"x", b"y" * 125])
async def test_a_ping_is_answered_with_what_it_held(hub: RunningHub, payload: bytes) -> None:
    """GEN-02: RFC 6455, 5.5.3; also in the middle of a message."""
    async with subscribed(hub) as connection:
        await connection.send(masked(Opcode.PING, payload))
        assert await connection.frame() == (PONG, payload)
        await connection.send(masked(Opcode.TEXT, b"{", fin=False) + masked(Opcode.PING, payload))
        assert await connection.frame() == (PONG, payload)
        await connection.send(masked(Opcode.CONT, b"}"))
        await check_that_it_lives(hub, connection)


async def test_who_answers_pings_stays(start_hub: StartHub) -> None:
    """SYNC-06: each ping has a payload of its own."""
    hub = await start_hub(ping_seconds="0.2")
    async with subscribed(hub) as connection:
        payloads = []
        for _ in range(4):
            opcode, payload = await connection.frame()
            assert opcode == PING
            payloads.append(payload)
            await connection.send(masked(Opcode.PONG, payload))
        assert len(set(payloads)) == 4
        assert wires(hub)


@pytest.mark.parametrize("answer", ["nothing", "another payload", "the one before", "text"])
async def test_who_does_not_answer_a_ping_is_lost(start_hub: StartHub, answer: str) -> None:
    """SYNC-06: 1011 with words, and the others are told; nothing else counts for a pong."""
    hub = await start_hub(ping_seconds="0.2", reconnect_grace_seconds="0")
    viewer = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    async with subscribed(hub, "Silent") as connection:
        _, first = await connection.frame()
        await connection.send(masked(Opcode.PONG, first))
        opcode, second = await connection.frame()
        assert (opcode, second == first) == (PING, False)
        said = {
            "nothing": b"",
            "another payload": masked(Opcode.PONG, b"?" + second[1:]) + masked(Opcode.PONG),
            "the one before": masked(Opcode.PONG, first),
            "text": masked(Opcode.TEXT, second.hex().encode()),
        }
        await connection.send(said[answer])
        assert await connection.close_frame() == (1011, "keepalive ping timeout")
        assert await connection.rest() == b""
    assert codings(await viewer.followed())["subscribername"] == "Silent"


# Closes


@pytest.mark.parametrize("code", [1000, 1001, 1008, 3000, 4999])
async def test_a_close_is_answered_with_its_code(hub: RunningHub, code: int) -> None:
    """GEN-02: RFC 6455, 5.5.1; and the hub closes the connection."""
    async with subscribed(hub) as connection:
        await connection.send(closing(code, "bye"))
        assert await connection.close_frame() == (code, "bye")
        assert await connection.rest() == b""


async def test_a_close_without_a_code_is_answered(hub: RunningHub) -> None:
    """GEN-02."""
    async with subscribed(hub) as connection:
        await connection.send(masked(Opcode.CLOSE))
        assert await connection.frame() == (CLOSE, b"")
        assert await connection.rest() == b""


@pytest.mark.parametrize(
    ("code", "is_told"), [(1000, False), (1001, False), (1011, True), (4000, True), (None, True)]
)
async def test_only_who_leaves_in_order_is_not_told_of(
    start_hub: StartHub, code: int | None, is_told: bool
) -> None:
    """SYNC-06: another code, or the end of the stream without a close, is a loss."""
    hub = await start_hub(reconnect_grace_seconds="0")
    viewer = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    async with subscribed(hub, "Leaving") as connection:
        if code is None:
            connection.writer.write_eof()
        else:
            await connection.send(closing(code))
        await connection.rest()
    await until_there_are(hub, 1)
    if is_told:
        assert codings(await viewer.followed())["subscribername"] == "Leaving"
    await only_marker_comes(hub.wire, viewer)


async def test_what_is_said_with_a_close_is_heard(hub: RunningHub) -> None:
    """ACK-01: an answer in the same segment."""
    viewer = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    async with subscribed(hub, "Refusing") as connection:
        await hub.wire.post(sent := marker())
        await connection.message()
        await connection.send(acknowledgement(sent["id"], "500") + closing(1000))
        await connection.rest()
    await viewer.followed()
    assert codings(await viewer.followed())["eventid"] == sent["id"]


async def test_the_hub_waits_for_the_answer_to_its_close(hub: RunningHub) -> None:
    """CONF-05: a denial, a close, and the connection ends when that is answered."""
    async with subscribed(hub) as connection:
        await wires_endpoint_ends(hub)
        assert (await connection.message())["hub.mode"] == "denied"
        opcode, payload = await connection.frame()
        assert opcode == CLOSE
        assert wires(hub)
        await connection.send(masked(Opcode.PING, b"late") + masked(Opcode.CLOSE, payload))
        assert await connection.rest() == control_frame(0x8A, b"late")
    await until_there_are(hub, 0)


async def test_no_ping_comes_behind_a_close(start_hub: StartHub) -> None:
    """RFC 6455, 5.5.1; CONF-05: though the last one is answered late."""
    hub = await start_hub(ping_seconds="0.2")
    async with subscribed(hub) as connection:
        _, ping = await connection.frame()
        await wires_endpoint_ends(hub)
        await connection.send(masked(Opcode.PONG, ping) + masked(Opcode.PING))
        assert (await connection.message())["hub.mode"] == "denied"
        assert (await connection.close_frame())[0] == 1000
        assert await connection.frame() == (PONG, b"")
        (wire,) = wires(hub)
        wire.check(asyncio.get_running_loop().time() + 1)
        await connection.send(closing(1000))
        assert await connection.rest() == b""


async def test_a_close_that_is_not_answered_is_cut(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONF-05: whatever else comes meanwhile."""
    monkeypatch.setattr(wire_module, "_ANSWER_SECONDS", 0.1)
    async with subscribed(hub) as connection:
        await wires_endpoint_ends(hub)
        assert (await connection.message())["hub.mode"] == "denied"
        await connection.send(masked(Opcode.TEXT, b"{}") + masked(Opcode.PONG, b"x"))
        await connection.close_frame()
        assert await connection.rest() == b""
    await until_there_are(hub, 0)


async def wires_endpoint_ends(hub: RunningHub) -> None:
    """Unsubscribe whoever is connected."""
    ids = [it.channel.subscription.endpoint_id for it in hub._server.app.state.hub._fanout]
    endpoint = f"{hub.url.replace('http', 'ws')}/ws/{ids[0]}"
    assert (await hub.wire.unsubscribe(TOPIC, endpoint)).status_code == 202


# What is not allowed

NOT_ALLOWED = {
    "a text without a mask": (b"\x81\x02{}", 1002),
    "an unknown opcode": (any_frame(0x83), 1002),
    "reserved bits": (any_frame(0xC1, b"{}"), 1002),
    "a ping in fragments": (any_frame(0x09), 1002),
    "a ping that is too long": (b"\x89\xfe\x00\x7e" + bytes(4 + 126), 1002),
    "the rest of nothing": (masked(Opcode.CONT, b"}"), 1002),
    "a text within another": (
        masked(Opcode.TEXT, b"{", fin=False) + masked(Opcode.TEXT, b"}"),
        1002,
    ),
    "a close with half a code": (any_frame(0x88, b"\x03"), 1002),
    "a close with a code that nobody may send": (any_frame(0x88, b"\x03\xee"), 1002),
    "text that is no UTF-8": (masked(Opcode.TEXT, b"\xff"), 1007),
    "long text that is no UTF-8": (masked(Opcode.TEXT, b"x" * 200 + b"\xff"), 1007),
    "half a letter": (
        masked(Opcode.TEXT, b"\xc3", fin=False) + masked(Opcode.CONT, b"\xc3"),
        1007,
    ),
    "a frame that is too large": (masked(Opcode.TEXT, b"x" * 65_537), 1009),
    "fragments that are too large": (
        masked(Opcode.TEXT, b"x" * 65_536, fin=False) + masked(Opcode.CONT, b"x"),
        1009,
    ),
    "a length beyond all": (b"\x81\xff\x7f" + b"\xff" * 7 + bytes(4), 1009),
}


@pytest.mark.parametrize("name", NOT_ALLOWED)
async def test_what_is_not_allowed_ends_the_connection(hub: RunningHub, name: str) -> None:
    """GEN-02: with the code of RFC 6455, 7.4.1; the endpoint stands, for who comes back."""
    data, code = NOT_ALLOWED[name]
    async with subscribed(hub) as connection:
        endpoint_id = next(iter(hub._server.app.state.hub._fanout)).channel.subscription.endpoint_id
        await connection.send(acknowledgement() + data)
        assert (await connection.close_frame())[0] == code
        assert await connection.rest() == b""
    again = await hub.wire.connect(f"{hub.url.replace('http', 'ws')}/ws/{endpoint_id}")
    await again.confirmed()


async def test_the_largest_message(hub: RunningHub) -> None:
    """GEN-02: 64 KiB, in a frame or in fragments, and the connection goes on."""
    async with subscribed(hub) as connection:
        text = json.dumps({"x": "y" * (65_536 - 9)}).encode()
        assert len(text) == 65_536
        await connection.send(masked(Opcode.TEXT, text))
        await connection.send(
            masked(Opcode.TEXT, text[:40_000], fin=False) + masked(Opcode.CONT, text[40_000:])
        )
        await check_that_it_lives(hub, connection)
