"""Unsubscribing, on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import TOPIC
from wire_messages import ALL_EVENTS, denied_and_closed, only_marker_comes

if TYPE_CHECKING:
    from hub_server import RunningHub

UNSUBSCRIBE = {
    "hub.channel.type": "websocket",
    "hub.mode": "unsubscribe",
    "hub.topic": TOPIC,
}


async def test_unsubscribe_denies_and_closes(hub: RunningHub) -> None:
    """UNS-02, UNS-03: 202 with the endpoint, then denial and close 1000; no SyncError."""
    watcher = await hub.wire.join(TOPIC, ALL_EVENTS)
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    answer = await hub.wire.unsubscribe(TOPIC, socket.endpoint)
    assert answer.status_code == 202
    assert answer.json() == {"hub.channel.endpoint": socket.endpoint}
    assert await denied_and_closed(socket) == ("unsubscribed", 1000)
    await only_marker_comes(hub.wire, watcher)


async def test_an_endpoint_never_comes_back(hub: RunningHub) -> None:
    """UNS-04, D-43: a reconnect is denied with 1008; a new subscription gets a new endpoint."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    await hub.wire.unsubscribe(TOPIC, socket.endpoint)
    await denied_and_closed(socket)
    again = await hub.wire.connect(socket.endpoint)
    assert await denied_and_closed(again) == ("no such subscription", 1008)
    assert (await hub.wire.unsubscribe(TOPIC, socket.endpoint)).status_code == 400
    assert (await hub.wire.join(TOPIC)).endpoint != socket.endpoint


async def test_one_event_named_ends_everything(hub: RunningHub) -> None:
    """UNS-04: hub.events in an unsubscribe means nothing."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    await hub.wire.form(
        {**UNSUBSCRIBE, "hub.channel.endpoint": socket.endpoint, "hub.events": "Patient-open"}
    )
    assert (await denied_and_closed(socket))[1] == 1000


async def test_a_wrong_pair_ends_nothing(hub: RunningHub) -> None:
    """UNS-05: 4xx with plain text, the subscription goes on."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    for topic, endpoint in [
        ("another", socket.endpoint),
        (TOPIC, socket.endpoint[:-1]),
        (TOPIC, ""),
    ]:
        answer = await hub.wire.unsubscribe(topic, endpoint)
        assert (answer.status_code, answer.text.split(":")[0]) == (400, "hub.channel.endpoint")
    await only_marker_comes(hub.wire, socket)


async def test_a_name_stands_for_the_endpoint(hub: RunningHub) -> None:
    """UNS-01, D-48: if exactly one subscription of the topic has it."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    other = await hub.wire.join(TOPIC, ALL_EVENTS, name="Dictation")
    answer = await hub.wire.form({**UNSUBSCRIBE, "subscriber.name": "Viewer"})
    assert answer.json() == {"hub.channel.endpoint": socket.endpoint}
    assert (await denied_and_closed(socket))[1] == 1000
    await only_marker_comes(hub.wire, other)


async def test_an_ambiguous_name_ends_nothing(hub: RunningHub) -> None:
    """D-48: two of that name, or no name at all even if there is only one subscription."""
    sockets = [await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer") for _ in range(2)]
    assert (await hub.wire.form({**UNSUBSCRIBE, "subscriber.name": "Viewer"})).status_code == 400
    assert (await hub.wire.form(UNSUBSCRIBE)).status_code == 400
    await only_marker_comes(hub.wire, *sockets)
