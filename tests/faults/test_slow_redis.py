"""Redis answers late, or so late that nobody waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wire_messages import marker, open_request

from faults.nodes import now, told_by_then

if TYPE_CHECKING:
    from redis_server import RedisServer

    from faults.nodes import StartNode


async def test_a_redis_that_answers_after_600_milliseconds_is_slow_and_no_more(
    redis_server: RedisServer, start_node: StartNode
) -> None:
    """Guarantees 1 and 2: 300 ms each way; accepted, delivered in order, nobody is sent away."""
    node = await start_node(redis_server.port, redis_timeout_seconds="2")
    socket = await node.joined()
    node.way.delay_seconds = 0.3
    began, sent = now(), [open_request(1), open_request(2)]
    for it in sent:
        await node.accepted(it)
    assert now() - began >= 0.6
    assert [(await socket.followed())["id"] for _ in sent] == [it["id"] for it in sent]
    assert await node.readiness() == 200


async def test_a_redis_that_answers_too_late_is_503_and_subscribers_are_told(
    redis_server: RedisServer, start_node: StartNode
) -> None:
    """Guarantee 1: 5 s each way; no 202 without a commit, and the same id is good elsewhere."""
    slow, other = [await start_node(redis_server.port) for _ in range(2)]
    at_slow, at_other = await slow.joined(), await other.joined()
    first, second = open_request(1), open_request(2)
    await slow.accepted(first)
    for socket in (at_slow, at_other):
        await socket.followed()
    slow.way.delay_seconds = 5
    began = now()
    assert "retry with the same id" in await slow.refused(second)
    await told_by_then(at_slow, began)
    await other.accepted(second)
    assert (await at_other.followed())["id"] == second["id"]
    slow.way.heal()
    await slow.ready()
    again = await slow.back(at_slow)
    assert (await again.followed())["id"] == second["id"]
    assert await slow.context() == await other.context()
    # What the slow way still held came to nothing: it was decided on a session that is no more.
    last = marker()
    await other.accepted(last)
    for socket in (again, at_other):
        assert (await socket.followed())["id"] == last["id"]
