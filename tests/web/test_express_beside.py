"""What else comes on a connection that has an express for its events, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from publisher import armed, post, posted, uncounted, watch
from raw_http import raw_connection
from wire_messages import ALL_EVENTS, marker, only_marker_comes, patient_request

if TYPE_CHECKING:
    from fhircast_conformance.wire import Socket
    from hub_server import RunningHub, StartHub
    from publisher import Watch


@pytest.fixture
def seen(hub: RunningHub) -> Watch:
    return watch(hub)


@pytest.fixture
async def viewer(hub: RunningHub, seen: Watch) -> Socket:
    return await uncounted(hub, seen)


OTHERS = {
    "the context": (b"GET /api/hub/%b HTTP/1.1\r\nHost: hub\r\n\r\n" % TOPIC.encode(), 200),
    "another path": (posted(patient_request(), path=b"/api/hub/" + TOPIC.encode()), 202),
    "another topic in the path": (posted(patient_request(), path=b"/api/hub/other"), 400),
    "another mount": (posted(patient_request(), path=b"/fhircast/STU3"), 202),
    "no such path": (posted(patient_request(), path=b"/nowhere"), 404),
    "another type": (posted(patient_request(), content_type=b"text/plain"), 415),
    "a parameter of the type": (
        posted(patient_request(), content_type=b"application/json; charset=utf-8"),
        202,
    ),
    "one header more": (posted(patient_request(), b"X-Request-Id: 1"), 202),
    "a form": (
        posted(
            b"hub.channel.type=websocket&hub.mode=subscribe&hub.topic=x&hub.events=Patient-open",
            content_type=b"application/x-www-form-urlencoded",
        ),
        202,
    ),
    "chunks": (
        posted(b"", b"Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
        + b"2\r\n{}\r\n0\r\n\r\n",
        400,
    ),
    "no length": (posted(b"").replace(b"Content-Length: 0\r\n", b""), 400),
    "an origin": (posted(patient_request(), b"Origin: https://app.example"), 202),
    "an expectation": (posted(patient_request(), b"Expect: something"), 202),
    "the same in HTTP/1.0": (posted(patient_request()).replace(b"HTTP/1.1", b"HTTP/1.0"), 202),
    "the last one": (posted(patient_request(), b"Connection: close"), 202),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_another_request_in_between_goes_the_usual_way(
    hub: RunningHub, viewer: Socket, seen: Watch, name: str
) -> None:
    """EVT-03, OLD-02, D-52: judged for itself; afterwards the express goes on where it may."""
    data, status = OTHERS[name]
    async with armed(hub) as connection:
        assert (await (await connection.send(data)).answer()).status == status
        assert seen.usual == 2
        if b"HTTP/1.0" in data or b"close" in data:
            assert await connection.rest() == b""
        else:
            assert (await post(connection, marker())).status == 202
            assert (await post(connection, marker())).status == 202
            assert seen.usual <= 3


@pytest.mark.parametrize(
    "header", [b"Origin: https://app.example", b"Connection: close, x", b"Expect: 100-continue"]
)
async def test_who_needs_more_than_a_body_gets_no_express(
    hub: RunningHub, viewer: Socket, seen: Watch, header: bytes
) -> None:
    """D-52, EVT-03: what is answered with other headers is never taken."""
    async with raw_connection(hub) as connection:
        for number in (1, 2, 3):
            await connection.send(posted(marker(), header))
            if b"100" in header:
                await connection.until(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert (await connection.answer()).status == 202
            assert seen.usual == number
            if b"close" in header:
                assert await connection.rest() == b""
                break


async def test_a_page_of_another_origin_may_read_its_answers(start_hub: StartHub) -> None:
    """D-52: on every answer of its connection."""
    hub = await start_hub(allowed_origins="https://app.example")
    await hub.wire.join(TOPIC)
    async with raw_connection(hub) as connection:
        for _ in range(3):
            answer = await post(connection, marker())
            assert "access-control-allow-origin" not in dict(answer.headers)
            await connection.send(posted(marker(), b"Origin: https://app.example"))
            headers = dict((await connection.answer()).headers)
            assert headers["access-control-allow-origin"] == "https://app.example"


async def test_a_client_that_goes_in_the_middle_changes_nothing(
    hub: RunningHub, viewer: Socket, seen: Watch
) -> None:
    """GEN-01: half an event is none."""
    async with armed(hub) as connection:
        read = seen.bytes_read
        half = posted(patient_request())[:-10]
        await connection.send(half)
        await seen.until_read(read + len(half))
    await viewer.followed()
    await only_marker_comes(hub.wire, viewer)
    assert seen.usual == 1 + 1  # the marker that was posted at last


async def test_a_body_that_never_comes(start_hub: StartHub) -> None:
    """CONT-19: 408 with words, and a close."""
    hub = await start_hub(body_timeout_seconds="0.2")
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    async with armed(hub) as connection:
        await connection.send(posted(patient_request())[:-10])
        answer = await connection.answer()
        assert (answer.status, answer.body.splitlines()[0]) == (
            408,
            b"body: not complete within 0.2 seconds",
        )
        assert await connection.rest() == b""
    await socket.followed()
    await only_marker_comes(hub.wire, socket)


async def test_an_idle_connection_is_closed_after_an_express_answer(start_hub: StartHub) -> None:
    """D-43: as after any other."""
    hub = await start_hub(idle_timeout_seconds="0.3")
    await hub.wire.join(TOPIC, ALL_EVENTS)
    async with armed(hub) as connection:
        assert (await post(connection, marker())).status == 202
        assert await connection.rest() == b""
