"""What subscribers see when the hub is shut down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest
from builders import TOPIC
from wire_messages import ALL_EVENTS, denied_and_closed, open_request, patient_request

if TYPE_CHECKING:
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


async def test_a_hub_that_drains_says_so_and_still_works(start_hub: StartHub) -> None:
    """Load balancers see 503 at /readyz first; until they act on it nobody is refused."""
    hub = await start_hub(drain_seconds="1.5")
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    stopping = asyncio.create_task(hub.stop())
    while (ready := await hub.wire.http.get(f"{hub.origin}/readyz")).status_code == 200:
        pass
    assert (ready.status_code, ready.text) == (503, "draining\n")
    assert (await hub.wire.http.get(f"{hub.origin}/livez")).status_code == 200
    sent = open_request()
    assert (await hub.wire.post(sent)).status_code == 202
    assert (await socket.next())["id"] == sent["id"]
    late = await hub.wire.join("another", ALL_EVENTS)
    assert not stopping.done()
    for it in (socket, late):
        assert (await denied_and_closed(it))[1] == 1001
    await stopping


async def test_subscribers_are_sent_away_one_after_the_other(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    """Guarantee 5: 1001 without a denial; those who wait for it still get what is committed."""
    one, other = [await start_hub(backend=redis_server.url) for _ in range(2)]
    first = await one.wire.join(TOPIC, ALL_EVENTS)
    sockets = [first, *[await one.wire.join(TOPIC, ALL_EVENTS) for _ in range(79)]]
    stopping = asyncio.create_task(one.stop())
    codes = {await it.close_code() for it in sockets}
    await stopping
    assert codes == {1001}
    again = await other.wire.connect(first.endpoint.replace(one.origin[7:], other.origin[7:]))
    assert (await again.confirmed()).confirmation["hub.topic"] == TOPIC


async def test_nobody_gets_in_afterwards(hub: RunningHub) -> None:
    """The port is closed."""
    await hub.stop()
    late = await hub.client()
    with pytest.raises(httpx.ConnectError):
        await late.get(TOPIC)
