"""Subscribers that send without end: ended with words, and the others told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from fhircast_hub.web.allowance import FrameAllowance
from raw_http import BINARY, CONTINUATION, PING, TEXT, frame, raw_connection
from wire_messages import ALL_EVENTS, codings, only_marker_comes, request

if TYPE_CHECKING:
    from hub_server import RunningHub, StartHub

FLOODS = {
    "text": frame(TEXT, b"{}"),
    "acknowledgements": frame(TEXT, b'{"id":"x","status":"200"}'),
    "binary": frame(BINARY, b"x"),
    "pings": frame(PING, b"x" * 125),
    "pongs": frame(10, b"x"),
    "empty fragments": frame(CONTINUATION, is_last=False),
}


@pytest.fixture
async def hub(start_hub: StartHub) -> RunningHub:
    return await start_hub(max_frames_per_second="5")


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_ends_its_subscription(hub: RunningHub, kind: str) -> None:
    """SYNC-06, D-24: denial and 1008 with words, a SyncError to the others, who go on."""
    viewer = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    answer = await hub.wire.subscribe(TOPIC, ["org.example.other"], name="Flood")
    endpoint = answer.json()["hub.channel.endpoint"]
    async with raw_connection(hub) as connection:
        await connection.upgrade(endpoint)
        if kind == "empty fragments":
            await connection.send(frame(TEXT, b"{", is_last=False))
        await connection.send(FLOODS[kind] * 5000)
        assert await connection.close_frame() == (1008, "too many frames")
    told = await viewer.followed()
    assert codings(told)["subscribername"] == "Flood"
    assert "too many frames" in str(told)
    await only_marker_comes(hub.wire, viewer)
    again = await hub.wire.connect(endpoint)
    assert (await again.next())["hub.mode"] == "denied"


async def test_answers_are_no_flood(hub: RunningHub) -> None:
    """ACK-01: as many as events came, however fast, and late ones all at once."""
    socket = await hub.wire.join(TOPIC, ["org.example.marker"])
    frames = []
    for _ in range(100):
        await hub.wire.post(request("org.example.marker"))
        frames.append(await socket.next())
    for it in frames:
        await socket.acknowledge(it)
    await only_marker_comes(hub.wire, socket)


async def test_a_burst_and_a_steady_rate(start_hub: StartHub) -> None:
    """GEN-02: some frames that nothing asked for are no flood."""
    hub = await start_hub()
    socket = await hub.wire.join(TOPIC, ["org.example.marker"])
    for _ in range(500):
        await socket.send("{}")
    await only_marker_comes(hub.wire, socket)


def test_the_allowance() -> None:
    """SYNC-06: ten seconds' worth at once, then by the second, and one for each frame sent."""
    it = FrameAllowance(per_second=2, now=0)
    assert [it.takes(lambda: 0) for _ in range(21)] == [True] * 20 + [False]
    it = FrameAllowance(per_second=2, now=0)
    for _ in range(5):
        it.earned += 1
    assert [it.takes(lambda: 0) for _ in range(26)] == [True] * 25 + [False]
    it = FrameAllowance(per_second=1, now=0)
    assert all(it.takes(iter([second]).__next__) for second in range(100))
    assert all(FrameAllowance(0, now=0).takes(lambda: 0) for _ in range(1000))
