"""Events that are answered where their bytes come in: which ones are, and that nobody can tell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from builders import OBSERVATION, TOPIC, put
from publisher import armed, post, posted, uncounted, watch
from raw_http import raw_connection
from wire_messages import (
    ALL_EVENTS,
    close_request,
    marker,
    only_marker_comes,
    open_request,
    patient_request,
    request,
    select_request,
    sync_error_request,
    update_request,
)

if TYPE_CHECKING:
    from fhircast_conformance.wire import Socket
    from hub_server import RunningHub, StartHub
    from publisher import Watch
    from raw_http import Answer


@pytest.fixture
def seen(hub: RunningHub) -> Watch:
    return watch(hub)


@pytest.fixture
async def viewer(hub: RunningHub, seen: Watch) -> Socket:
    return await uncounted(hub, seen)


def form_of(answer: Answer) -> tuple[bytes, set[tuple[str, str]], list[str]]:
    """All of an answer but for what differs with every event: ids, and so the length."""
    headers = {it for it in answer.headers if it[0] not in {"date", "content-length"}}
    return answer.first, headers, list(json.loads(answer.body))


async def test_from_the_second_on_they_do_not_come_to_the_application(
    hub: RunningHub, viewer: Socket, seen: Watch
) -> None:
    """EVT-03, EVT-04: each is accepted and goes out, in order."""
    sent = [marker() for _ in range(5)]
    async with raw_connection(hub) as connection:
        for it in sent:
            assert (await post(connection, it)).status == 202
    assert seen.usual == 1
    assert [(await viewer.followed())["id"] for _ in sent] == [it["id"] for it in sent]


@pytest.mark.parametrize(
    "event",
    [open_request(), patient_request(), close_request(), sync_error_request("e-1"), marker()],
    ids=lambda it: it["event"]["hub.event"],
)
async def test_the_answer_is_that_of_the_usual_way(
    hub: RunningHub, viewer: Socket, seen: Watch, event: dict[str, object]
) -> None:
    """EVT-03, D-46: status line, headers and the fields of the JSON, with the event's own id."""
    await hub._server.on_tick(0)  # makes the date that is on every answer
    async with raw_connection(hub) as connection:
        usual = await post(connection, event)
        express = await post(connection, event | {"id": "another"})
        assert seen.usual == 1
    assert form_of(express) == form_of(usual)
    assert "date" in dict(express.headers)
    assert json.loads(express.body)["id"] == "another"


async def test_a_version_that_is_answered_is_the_one_that_goes_out(
    hub: RunningHub, viewer: Socket, seen: Watch
) -> None:
    """CONT-01, D-46: of an open on the express way."""
    async with armed(hub) as connection:
        answer = await post(connection, open_request())
        assert seen.usual == 1
    assert (await viewer.followed())["event"]["hub.event"] == "org.example.marker"
    frame = await viewer.followed()
    assert json.loads(answer.body)["context.versionId"] == frame["event"]["context.versionId"]


async def test_partial_content(start_hub: StartHub) -> None:
    """RAD-151, IRA-HUB-12, D-09: 206 has a status line of its own."""
    hub = await start_hub(profile="ira")
    await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    seen = watch(hub)
    async with raw_connection(hub) as connection:
        opened = json.loads((await post(connection, open_request())).body)
        update = update_request(opened["context.versionId"], put(OBSERVATION))
        assert (await post(connection, update)).status == 202
        selection = select_request("Observation/ob-1", "Observation/unknown")
        answer = await post(connection, selection)
        assert seen.usual == 1
    assert answer.first == b"HTTP/1.1 206 Partial Content"
    assert json.loads(answer.body) == {"id": selection["id"]}


async def test_a_body_of_another_length(hub: RunningHub, viewer: Socket, seen: Watch) -> None:
    """EVT-03: with more digits, or fewer; as far as one event may go."""
    async with armed(hub) as connection:
        for size in (0, 20_000, 10, 900_000):
            event = request("org.example.marker", {"key": "note", "string": "x" * size})
            assert (await post(connection, event)).status == 202
    assert seen.usual == 1


CUTS = {
    "a byte of the body is missing": lambda head, body: [head + body[:-1], body[-1:]],
    "head, then body": lambda head, body: [head, body],
    "body in three": lambda head, body: [head + body[:10], body[10:50], body[50:]],
    "within the head": lambda head, body: [head[:40], head[40:] + body],
    "within the length": lambda head, body: [head[:-20], head[-20:] + body],
    "the first byte alone": lambda head, body: [head[:1], head[1:] + body],
    "byte by byte": lambda head, body: (
        [(head + body)[it : it + 1] for it in range(400)] + [(head + body)[400:]]
    ),
}


@pytest.mark.parametrize("name", CUTS)
async def test_an_event_in_segments(
    hub: RunningHub, viewer: Socket, seen: Watch, name: str
) -> None:
    """EVT-03: wherever the network cuts, and the next one whole again."""
    head, end, body = posted(sent := patient_request()).partition(b"\r\n\r\n")
    async with armed(hub) as connection:
        for it in CUTS[name](head + end, body):
            read = seen.bytes_read
            await connection.send(it)
            await seen.until_read(read + len(it))
        assert (await connection.answer()).status == 202
        assert (await post(connection, marker())).status == 202
    assert (await viewer.followed())["event"]["hub.event"] == "org.example.marker"
    assert (await viewer.followed())["id"] == sent["id"]
    await viewer.followed()
    await only_marker_comes(hub.wire, viewer)


async def test_a_body_in_segments_goes_the_express_way(
    hub: RunningHub, viewer: Socket, seen: Watch
) -> None:
    """EVT-03: if the head came whole."""
    head, end, body = posted(marker()).partition(b"\r\n\r\n")
    async with armed(hub) as connection:
        for it in (head + end + body[:7], body[7:60], body[60:]):
            read = seen.bytes_read
            await connection.send(it)
            await seen.until_read(read + len(it))
        assert (await connection.answer()).status == 202
    assert seen.usual == 1


@pytest.mark.parametrize("count", [2, 3, 20])
async def test_events_in_one_segment(
    hub: RunningHub, viewer: Socket, seen: Watch, count: int
) -> None:
    """GEN-01: each is answered, in order, and goes out once."""
    sent = [marker() for _ in range(count)]
    async with armed(hub) as connection:
        await connection.send(b"".join(map(posted, sent)))
        answers = [await connection.answer() for _ in sent]
    assert [json.loads(it.body)["id"] for it in answers] == [it["id"] for it in sent]
    await viewer.followed()
    assert [(await viewer.followed())["id"] for _ in sent] == [it["id"] for it in sent]
    await only_marker_comes(hub.wire, viewer)


async def test_one_and_a_half_in_a_segment(hub: RunningHub, viewer: Socket, seen: Watch) -> None:
    """GEN-01: what comes behind a body is the begin of the next request."""
    first, second = marker(), marker()
    data = posted(first) + posted(second)
    async with armed(hub) as connection:
        read = seen.bytes_read
        await connection.send(data[:-30])
        await seen.until_read(read + len(data) - 30)
        await connection.send(data[-30:])
        answers = [await connection.answer(), await connection.answer()]
    assert [json.loads(it.body)["id"] for it in answers] == [first["id"], second["id"]]


async def test_a_request_that_comes_while_another_is_judged_waits_for_it(
    hub: RunningHub, viewer: Socket, seen: Watch
) -> None:
    """GEN-01: a GET and events behind it; answers come in the order of requests."""
    get = b"GET /api/hub/%b HTTP/1.1\r\nHost: hub\r\n\r\n" % TOPIC.encode()
    async with armed(hub) as connection:
        for _ in range(5):
            await connection.send(get)
            await connection.send(posted(sent := marker()))
            assert b"context.type" in (await connection.answer()).body
            assert json.loads((await connection.answer()).body)["id"] == sent["id"]
