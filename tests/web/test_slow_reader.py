"""A subscriber that stops reading is ended, and the others do not notice."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builders import TOPIC
from wire_messages import ALL_EVENTS, codings, denied_and_closed, only_marker_comes, patient_request

if TYPE_CHECKING:
    from builders import Json
    from fhircast_conformance.wire import Socket
    from hub_server import RunningHub, StartHub

_MOST_EVENTS = 200
"""More than any system buffers between two sockets; by then the hub has to have acted."""


def large(number: int) -> Json:
    event = patient_request(number)
    event["event"]["context"].append({"key": "note", "string": "x" * 200_000})
    return event


async def stalled(hub: RunningHub) -> Socket:
    """A subscriber with a small receive buffer, from which nobody reads."""
    answer = await hub.wire.subscribe(TOPIC, ["Patient-open"], name="Stalled")
    endpoint = answer.json()["hub.channel.endpoint"]
    plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    plain.connect(("127.0.0.1", urlsplit(endpoint).port))
    plain.setblocking(False)
    connected = await hub.wire.connect(endpoint, "Stalled", sock=plain, max_queue=1)
    return await connected.confirmed()


async def until_told(hub: RunningHub, viewer: Socket) -> Json:
    """Post large events until a SyncError comes; each reaches the one that reads."""
    for number in range(_MOST_EVENTS):
        event = large(number)
        assert (await hub.wire.post(event)).status_code == 202
        frame = await viewer.followed()
        if frame["event"]["hub.event"] == "SyncError":
            return frame
        assert frame["id"] == event["id"]
    raise AssertionError("a subscriber that does not read was never ended")


async def test_too_many_frames_end_it(start_hub: StartHub) -> None:
    """Guarantee of the outbox: ended with a SyncError, never dropped in silence; others go on."""
    plenty = str(10**9)
    hub = await start_hub(
        max_outbox_events="3", max_outbox_bytes=plenty, reconnect_grace_seconds="0"
    )
    viewer = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    slow = await stalled(hub)
    assert codings(await until_told(hub, viewer))["subscribername"] == "Stalled"
    again = await hub.wire.connect(slow.endpoint)
    assert await denied_and_closed(again) == ("no such subscription", 1008)
    await slow.abort()
    await only_another_event_comes(hub, viewer)


async def test_too_many_bytes_end_it(start_hub: StartHub) -> None:
    """The same by size."""
    hub = await start_hub(max_outbox_bytes="500000", reconnect_grace_seconds="0")
    viewer = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    slow = await stalled(hub)
    assert codings(await until_told(hub, viewer))["subscribername"] == "Stalled"
    await slow.abort()
    await only_another_event_comes(hub, viewer)


async def only_another_event_comes(hub: RunningHub, viewer: Socket) -> None:
    """The event whose place the SyncError took may be outstanding; then nothing more is."""
    last = patient_request(999)
    await hub.wire.post(last)
    frame = await viewer.followed()
    while frame["id"] != last["id"]:
        assert frame["event"]["hub.event"] == "Patient-open"
        frame = await viewer.followed()
    await only_marker_comes(hub.wire, viewer)
