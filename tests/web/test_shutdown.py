"""What subscribers see when the hub is shut down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from builders import TOPIC
from wire_messages import ALL_EVENTS, denied_and_closed, open_request, patient_request

if TYPE_CHECKING:
    from hub_server import RunningHub


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
