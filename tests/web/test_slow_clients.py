"""Peers that take their time: each is cut off at its deadline."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from builders import TOPIC
from raw_http import TEXT, RawConnection, exchange, frame, raw_connection, status_of
from wire_messages import codings, patient_request, request

if TYPE_CHECKING:
    from hub_server import RunningHub, StartHub

SHORT = {
    "header_timeout_seconds": "0.3",
    "body_timeout_seconds": "0.3",
    "idle_timeout_seconds": "0.3",
    "write_timeout_seconds": "0.3",
}
HEAD = b"POST /api/hub HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"


async def pace() -> None:
    """Let a moment pass between two bytes, or two looks at the hub."""
    await asyncio.sleep(0.02)


async def dribble(connection: RawConnection, byte: bytes) -> bytes:
    """Send a byte again and again until the hub closes; return what it said."""

    async def go_on() -> None:
        while True:
            await connection.send(byte)
            await pace()

    sending = asyncio.create_task(go_on())
    try:
        return await connection.rest()
    finally:
        sending.cancel()


@pytest.fixture
async def hasty(start_hub: StartHub) -> RunningHub:
    return await start_hub(**SHORT)


async def test_a_connection_on_which_nothing_comes(hasty: RunningHub) -> None:
    """D-43: closed without a word."""
    assert await exchange(hasty, b"") == b""


@pytest.mark.parametrize("begin", [b"G", b"GET /livez HTTP/1.1\r\nHost: hub\r\nX: y"])
async def test_a_header_block_in_dribbles(hasty: RunningHub, begin: bytes) -> None:
    """D-43: 408, however steadily it comes; the same for the handshake of a WebSocket."""
    async with raw_connection(hasty) as connection:
        await connection.send(begin)
        assert status_of(await dribble(connection, b"E" if begin == b"G" else b"y")) in {400, 408}


async def test_a_handshake_in_dribbles(hasty: RunningHub) -> None:
    """D-43, SEC-02: 408."""
    begin = b"GET /api/hub/ws/x HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nHost: hub"
    async with raw_connection(hasty) as connection:
        await connection.send(begin)
        assert status_of(await dribble(connection, b"h")) == 408


async def test_empty_lines_are_no_request(hasty: RunningHub) -> None:
    """D-43: the parser passes over them, the deadline does not."""
    async with raw_connection(hasty) as connection:
        assert await dribble(connection, b"\r\n") == b""


@pytest.mark.parametrize(
    "length", [b"Content-Length: 9999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"]
)
async def test_a_body_in_dribbles(hasty: RunningHub, length: bytes) -> None:
    """CONT-19: 408 with words, and the connection is closed."""
    async with raw_connection(hasty) as connection:
        await connection.send(HEAD + length)
        answer = await dribble(connection, b"1\r\n{\r\n" if b"chunked" in length else b" ")
    assert status_of(answer) == 408
    assert b"body: not complete within 0.3 seconds" in answer
    assert b"connection: close" in answer


async def test_a_body_that_nobody_reads(hasty: RunningHub) -> None:
    """CONT-19: it was refused already; the rest may not come for ever."""
    async with raw_connection(hasty) as connection:
        await connection.send(HEAD.replace(b"/json", b"/pdf") + b"Content-Length: 9999\r\n\r\n")
        assert status_of(await dribble(connection, b" ")) == 415


async def test_an_idle_connection_is_closed(hasty: RunningHub) -> None:
    """D-43: after its answer; and bytes that begin no request do not keep it."""
    alive = b"GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n"
    assert status_of(await exchange(hasty, alive)) == 200
    async with raw_connection(hasty) as connection:
        await connection.send(alive)
        assert status_of(await dribble(connection, b"\r\n")) == 200


async def test_a_request_may_take_longer_than_an_idle_connection(hasty: RunningHub) -> None:
    """D-43: a WebSocket lives on without a byte of its client."""
    answer = await hasty.wire.subscribe(TOPIC)
    async with raw_connection(hasty) as connection:
        await connection.upgrade(answer.json()["hub.channel.endpoint"])
        assert b"hub.lease_seconds" in await connection.until(b"}")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await connection.reader.read(1)


@pytest.mark.parametrize(
    "part", [frame(TEXT, b"{" * 50)[:20], frame(TEXT, b"{}", is_last=False)], ids=["half", "first"]
)
async def test_a_message_that_never_ends(hasty: RunningHub, part: bytes) -> None:
    """GEN-02: half a frame, or fragments without the last; 1008 with words."""
    answer = await hasty.wire.subscribe(TOPIC)
    async with raw_connection(hasty) as connection:
        await connection.upgrade(answer.json()["hub.channel.endpoint"])
        await connection.send(part)
        assert await connection.close_frame() == (1008, "a message took too long")


async def test_whole_messages_begin_the_time_anew(start_hub: StartHub) -> None:
    """GEN-02: bytes of the next message beside the end of the last are no endless message."""
    hub = await start_hub(body_timeout_seconds="1")
    answer = await hub.wire.subscribe(TOPIC)
    message = frame(TEXT, b"{}")
    async with raw_connection(hub) as connection:
        await connection.upgrade(answer.json()["hub.channel.endpoint"])
        await connection.until(b"}")
        await connection.send(message[:3])
        for _ in range(80):
            await connection.send(message[3:] + message[:3])
            await pace()
        await connection.send(message[3:] + frame(8, b"\x03\xe8"))
        assert (await connection.close_frame())[0] == 1000


def connections(hub: RunningHub) -> int:
    return len(hub._server.server_state.connections)


def waiting_bytes(hub: RunningHub) -> list[int]:
    """What the server holds for each connection beside what the hub counts and bounds."""
    return [it.transport.get_write_buffer_size() for it in hub._server.server_state.connections]


async def until_there_are(count: int, hub: RunningHub) -> None:
    async with asyncio.timeout(15):
        while connections(hub) != count:
            await pace()


async def deaf(hub: RunningHub) -> RawConnection:
    """A connection with small buffers, from which nobody reads any more when it is paused."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", urlsplit(hub.origin).port))
    return RawConnection(*await asyncio.open_connection(sock=sock, limit=1024))


BIG = {"key": "note", "string": "x" * 400_000}


async def test_a_client_that_does_not_read_its_answers_is_cut_off(hasty: RunningHub) -> None:
    """D-43: more of them than any system buffers between two sockets."""
    await hasty.wire.subscribe(TOPIC)
    opened = patient_request()
    opened["event"]["context"].append(BIG)
    assert (await hasty.wire.post(opened)).status_code == 202
    await hasty.wire.http.aclose()
    await until_there_are(0, hasty)
    connection = await deaf(hasty)
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
    await connection.send(f"GET /api/hub/{TOPIC} HTTP/1.1\r\nHost: hub\r\n\r\n".encode() * 32)
    await until_there_are(1, hasty)
    await until_there_are(0, hasty)
    connection.writer.close()


async def test_requests_do_not_queue_up_without_end(hub: RunningHub) -> None:
    """D-43: many at once on one connection end it; none of them is answered out of turn."""
    async with raw_connection(hub) as connection:
        await connection.send(b"GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n" * 5000)
        assert (await connection.rest()).count(b"HTTP/1.1 ") < 5000


async def test_a_subscriber_that_reads_nothing_is_gone_in_the_end(start_hub: StartHub) -> None:
    """SYNC-06: also its connection, though its end of it stays open and silent."""
    hub = await start_hub(write_timeout_seconds="0.3", ping_seconds="60")
    viewer = await hub.wire.join(TOPIC, ["SyncError"], name="Viewer")
    answer = await hub.wire.subscribe(TOPIC, ["org.example.marker"], name="Deaf")
    connection = await deaf(hub)
    await connection.upgrade(answer.json()["hub.channel.endpoint"])
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
    before = connections(hub)
    most = 0
    async with asyncio.timeout(15):
        while connections(hub) == before:
            await hub.wire.post(request("org.example.marker", BIG))
            most = max(most, *waiting_bytes(hub))
    assert 0 < most < 1_000_000  # a frame and the mark at which writing pauses; the rest is counted
    assert codings(await viewer.followed(within=15))["subscribername"] == "Deaf"
    connection.writer.close()


# How many


async def test_connections_are_bounded(start_hub: StartHub) -> None:
    """D-43: 503 at once; one that goes makes room, and a WebSocket counts once."""
    hub = await start_hub(max_connections="3")
    socket = await hub.wire.join(TOPIC)  # and the connection of its subscribe
    async with raw_connection(hub) as third:
        await third.send(b"GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert b"200 OK" in await third.until(b"ok\n")
        answer = await exchange(hub, b"")
        assert status_of(answer) == 503
        assert b"retry-after: 10" in answer
    await socket.close()
    await until_there_are(1, hub)
    assert status_of(await exchange(hub, b"GET /livez HTTP/1.0\r\nHost: hub\r\n\r\n")) == 200


@pytest.mark.parametrize(("proxies", "status"), [("", 503), ("127.0.0.1", 200)])
async def test_connections_of_one_address_are_bounded(
    start_hub: StartHub, proxies: str, status: int
) -> None:
    """D-43: but not those of a trusted proxy, which are of many clients."""
    hub = await start_hub(max_connections_per_peer="1", trusted_proxies=proxies)
    async with raw_connection(hub) as first:
        await first.send(b"GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n")
        await first.until(b"ok\n")
        answer = await exchange(hub, b"GET /livez HTTP/1.0\r\nHost: hub\r\n\r\n")
        assert status_of(answer) == status
