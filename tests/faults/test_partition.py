"""One hub does not reach Redis, while another goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wire_messages import close_request, open_request

from faults.nodes import now, told_by_then

if TYPE_CHECKING:
    from redis_server import RedisServer

    from faults.nodes import StartNode


@pytest.mark.parametrize("how", ["cut", "hang"])
async def test_a_hub_without_redis_sends_its_subscribers_away_and_the_others_go_on(
    redis_server: RedisServer, start_node: StartNode, how: str
) -> None:
    """Guarantee 1: nobody is left on a patient that was closed; who comes back is in sync."""
    lost, other = [await start_node(redis_server.port) for _ in range(2)]
    at_lost, at_other = await lost.joined(), await other.joined()
    first, second = open_request(1), open_request(2)
    await lost.accepted(first)
    for socket in (at_lost, at_other):
        await socket.followed()
    began = now()
    getattr(lost.way, how)()
    for it in (close_request(1), second):
        await other.accepted(it)
        assert (await at_other.followed())["id"] == it["id"]
    await lost.refused(open_request(3))
    await told_by_then(at_lost, began)
    await lost.ready(is_ready=False)
    elsewhere = await other.back(at_lost)
    assert (await elsewhere.followed())["id"] == second["id"]
    lost.way.heal()
    await lost.ready()
    here = await lost.back(at_lost)
    assert (await here.followed())["id"] == second["id"]
    assert await elsewhere.close_code() == 1008, "replaced by the one that came back"
    third = open_request(3)
    await lost.accepted(third)
    for socket in (here, at_other):
        assert (await socket.followed())["id"] == third["id"]
    assert await lost.context() == await other.context()
