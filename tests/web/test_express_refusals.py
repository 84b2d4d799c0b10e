"""What is refused on a connection with an express: the same words as anywhere, and no change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import OBSERVATION, TOPIC, put
from publisher import armed, post, posted, watch
from raw_http import raw_connection
from wire_messages import (
    ALL_EVENTS,
    codings,
    marker,
    only_marker_comes,
    open_request,
    patient_request,
    request,
    update_request,
)

if TYPE_CHECKING:
    from builders import Json
    from hub_server import RunningHub, StartHub
    from raw_http import Answer

REFUSED: dict[str, tuple[Json | bytes, int]] = {
    "a stale version": (update_request("v-old", put(OBSERVATION)), 409),
    "an update without a version": (update_request("", put(OBSERVATION)), 400),
    "nothing that is open": (update_request("v-1", put(OBSERVATION), number=7), 409),
    "no JSON": (b"{", 400),
    "no event": (b"{}", 400),
    "nothing": (b"", 400),
    "the wrong type": (b"[1, 2]", 400),
    "a name twice": (b'{"id": "1", "id": "2"}', 400),
    "no UTF-8": (b'{"id": "\xff"}', 400),
    "a topic that nobody made": (patient_request(topic="nowhere"), 400),
    "an open without a resource": (request("Patient-open"), 400),
    "too large": (b" " * 2_000_000, 413),
    "an id of another event": (patient_request(2, id="taken"), 409),
}


async def both(hub: RunningHub, event: Json | bytes) -> tuple[Answer, Answer]:
    """What is answered to an event behind others of its connection, and to the first of one."""
    async with armed(hub) as connection:
        behind = await post(connection, event)
    async with raw_connection(hub) as connection:
        return behind, await post(connection, event)


@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused_with_the_same_words(hub: RunningHub, name: str) -> None:
    """EVT-03, CONT-19: as the first event of a connection would be."""
    event, status = REFUSED[name]
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    for it in (open_request(), patient_request(id="taken")):
        await hub.wire.post(it)
        await socket.followed()
    before = await hub.wire.context(TOPIC)
    behind, first = await both(hub, event)
    assert behind == first
    assert behind.status == status
    assert await hub.wire.context(TOPIC) == before
    await socket.followed()  # the marker that armed
    await only_marker_comes(hub.wire, socket)


async def test_after_a_refusal_the_next_is_judged_for_itself(hub: RunningHub) -> None:
    """EVT-03: on the same connection, in whatever order."""
    await hub.wire.join(TOPIC, ALL_EVENTS)
    seen = watch(hub)
    async with armed(hub) as connection:
        for _ in range(3):
            assert (await post(connection, b"{}")).status == 400
            assert (await post(connection, marker())).status == 202
    assert seen.usual == 1 + 3


async def test_too_large_is_told_before_it_has_come(hub: RunningHub) -> None:
    """CONT-19: 413 to what is announced."""
    await hub.wire.join(TOPIC, ALL_EVENTS)
    async with armed(hub) as connection:
        await connection.send(posted(b"{", length=b"999999999"))
        assert (await connection.answer()).status == 413


async def test_a_duplicate_is_answered_alike_and_not_sent_again(hub: RunningHub) -> None:
    """D-28, D-46: whichever way the first one came, and the second."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    event = open_request()
    async with armed(hub) as connection:
        answers = [await post(connection, event) for _ in range(2)]
    async with armed(hub) as connection:
        answers.append(await post(connection, event))
    assert (await hub.wire.post(event)).content == answers[0].body
    assert [(it.status, it.body) for it in answers] == [(202, answers[0].body)] * 3
    frames = [await socket.followed() for _ in range(3)]
    assert [it["event"]["hub.event"] for it in frames] == [
        "org.example.marker",
        "DiagnosticReport-open",
        "org.example.marker",
    ]
    await only_marker_comes(hub.wire, socket)


async def test_an_open_with_an_outstanding_sync_error_goes_out_again(hub: RunningHub) -> None:
    """D-28, SYNC-12: the same frame, once for each request."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    event = open_request()
    async with armed(hub) as connection:
        await socket.followed()
        await post(connection, event)
        first = await socket.next()
        await socket.acknowledge(first, "409")
        assert codings(await socket.next())["eventid"] == event["id"]
        assert (await post(connection, event)).status == 202
        assert await socket.next() == first


# How many


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_exactly_as_many_are_accepted_as_the_limit_says(
    start_hub: StartHub, limit: int
) -> None:
    """EVT-03: 429 with words and a time; nobody hears of what is too much."""
    hub = await start_hub(max_publishes_per_minute=str(limit))
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    sent = [marker() for _ in range(limit + 3)]
    async with raw_connection(hub) as connection:
        answers = [await post(connection, it) for it in sent]
    assert [it.status for it in answers] == [202] * limit + [429] * 3
    assert answers[-1].body.startswith(b"too many publishes from this address")
    assert "retry-after" in dict(answers[-1].headers)
    assert [(await socket.followed())["id"] for _ in range(limit)] == [
        it["id"] for it in sent[:limit]
    ]


async def test_connections_of_one_address_share_the_limit(start_hub: StartHub) -> None:
    """EVT-03: an express has no count of its own."""
    hub = await start_hub(max_publishes_per_minute="7")
    await hub.wire.join(TOPIC, ALL_EVENTS)
    async with armed(hub) as first, armed(hub) as second:
        statuses = [(await post(it, marker())).status for it in (first, second) * 3]
    assert statuses == [202] * 5 + [429]


async def test_what_is_refused_counts_once(start_hub: StartHub) -> None:
    """EVT-03: though it was looked at on both ways."""
    hub = await start_hub(max_publishes_per_minute="4")
    await hub.wire.join(TOPIC, ALL_EVENTS)
    async with armed(hub) as connection:
        events: list[Json | bytes] = [b"{}", b"{}", marker(), marker()]
        statuses = [(await post(connection, it)).status for it in events]
    assert statuses == [400, 400, 202, 429]
