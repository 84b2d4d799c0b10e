"""What subscribers see when the hub is shut down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
from builders import TOPIC
from wire_messages import ALL_EVENTS, denied_and_closed, open_request, patient_request

if TYPE_CHECKING:
    from fhircast_conformance.wire import Socket
    from hub_server import RunningHub, StartHub
    from redis_server import RedisServer


async def test_everybody_is_told(hub: RunningHub) -> None:
    """CONF-05, D-22: denial, then close 1001."""
    sockets = [await hub.wire.join(TOPIC, ALL_EVENTS) for _ in range(3)]
    sockets.append(await hub.wire.join("another", ALL_EVENTS))
    await hub.stop()
    for socket in sockets:
        assert await denied_and_closed(socket) == ("hub shut down", 1001)


async def test_what_was_accepted_goes_out_before(hub: RunningHub) -> None:
    """2.6: an accepted event is not lost by a shutdown that follows it at once."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    sent = [open_request(), *(patient_request(number) for number in range(10))]
    for it in sent:
        assert (await hub.wire.post(it)).status_code == 202
    await hub.stop()
    assert [(await socket.next())["id"] for _ in sent] == [it["id"] for it in sent]
    assert (await denied_and_closed(socket))[1] == 1001


async def test_nobody_gets_in_afterwards(hub: RunningHub) -> None:
    """The port is closed."""
    await hub.stop()
    late = await hub.client()
    with pytest.raises(httpx.ConnectError):
        await late.get(TOPIC)


async def test_all_is_served_while_a_hub_drains(start_hub: StartHub) -> None:
    """Guarantee 5: /readyz tells load balancers first; nothing is refused meanwhile."""
    hub = await start_hub(drain_seconds="1")
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    stopping = asyncio.create_task(hub.stop())
    while await _readiness(hub) != 503:  # noqa: ASYNC110 - the hub turns in the same loop
        await asyncio.sleep(0)
    sent = open_request()
    assert (await hub.wire.post(sent)).status_code == 202
    assert (await socket.followed())["id"] == sent["id"]
    await stopping
    assert (await denied_and_closed(socket))[1] == 1001


async def test_a_hub_that_drains_sends_subscribers_to_the_others(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    """Guarantee 5: one after the other, so that they do not come back in the same moment."""
    going, staying = [
        await start_hub(backend=redis_server.url, drain_seconds="3") for _ in range(2)
    ]
    sockets = [await going.wire.join(TOPIC, ALL_EVENTS) for _ in range(4)]
    sent = open_request()
    assert (await going.wire.post(sent)).status_code == 202
    for it in sockets:
        await it.followed()
    ends: list[float] = []

    async def come_back(socket: Socket) -> None:
        assert await socket.close_code() == 1001
        ends.append(asyncio.get_running_loop().time())
        there = urlsplit(staying.url).netloc
        again = await staying.wire.connect(f"ws://{there}{urlsplit(socket.endpoint).path}")
        assert (await (await again.confirmed()).followed())["id"] == sent["id"]

    await asyncio.gather(going.stop(), *map(come_back, sockets))
    assert len(set(ends)) == len(sockets)
    assert max(ends) - min(ends) > 0.3


async def _readiness(hub: RunningHub) -> int:
    return (await hub.wire.http.get(f"{hub.origin}/readyz")).status_code
