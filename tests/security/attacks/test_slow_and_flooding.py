"""Peers that wait, flood or do not read, many at once: each is ended, and the victim is served."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from attacked import SHORT, another_patient, attacked_session, genuine
from builders import TOPIC
from raw_http import CONTINUATION, PING, TEXT, RawConnection, frame, raw_connection
from wire_messages import codings, request

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    from attacked import Attacked
    from fhircast_conformance.wire import Wire
    from hub_server import StartHub

CROWD = 20
HEAD = b"POST /api/hub HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
GOOD = f"Authorization: Bearer {genuine(exp=9_999_999_999)}\r\n".encode()

PARKED = {
    "nothing": b"",
    "a letter": b"G",
    "half a header block": HEAD + b"X: y",
    "half a handshake": b"GET /api/hub/ws/x HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nX: y",
    "half a body": HEAD + GOOD + b"Content-Length: 9999\r\n\r\n{",
    "half a body without a token": HEAD + b"Content-Length: 9999\r\n\r\n{",
    "half a chunk": HEAD + GOOD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{",
    "half the size of a chunk": HEAD + GOOD + b"Transfer-Encoding: chunked\r\n\r\nf",
    "no end of chunks": HEAD + GOOD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "no end of trailers": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
}


@pytest.mark.parametrize("kind", PARKED)
async def test_who_comes_and_waits_is_sent_away(
    start_hub: StartHub, tmp_path: Path, kind: str
) -> None:
    """D-43, CONT-19: the victim is served while they wait, and none of them waits for ever."""
    attacked = await attacked_session(start_hub, tmp_path, **SHORT)
    async with AsyncExitStack() as crowd:
        parked = [
            await crowd.enter_async_context(raw_connection(attacked.hub)) for _ in range(CROWD)
        ]
        for it in parked:
            await it.send(PARKED[kind])
        await attacked.is_unharmed()
        for answer in await asyncio.gather(*(it.rest() for it in parked)):
            assert answer == b"" or answer.split(b" ")[1] in {b"400", b"401", b"408"}
            attacked.tells_nothing(answer.decode())
    await attacked.is_unharmed()


async def subscribed(attacked: Attacked, crowd: AsyncExitStack, count: int) -> list[RawConnection]:
    """So many subscribers of the attacker, on plain sockets."""
    wire = await attacked.hub.client(genuine(sub="attacker"))
    connections = []
    for _ in range(count):
        answer = await wire.subscribe(TOPIC, ["Home-open"])
        connection = await crowd.enter_async_context(raw_connection(attacked.hub))
        connections.append(await connection.upgrade(answer.json()["hub.channel.endpoint"]))
    return connections


FRAMES = {
    "half a frame": frame(TEXT, b"{" * 50)[:20],
    "half the head of a frame": b"\x81",
    "a message without its last fragment": frame(TEXT, b"{", is_last=False),
    "fragments and half a frame": frame(TEXT, b"{", is_last=False) + frame(CONTINUATION, b"x")[:3],
}


@pytest.mark.parametrize("kind", FRAMES)
async def test_a_message_that_stops_half_way_ends(
    start_hub: StartHub, tmp_path: Path, kind: str
) -> None:
    """GEN-02, SYNC-06: 1008 with words for each, a SyncError for each, and no more."""
    attacked = await attacked_session(start_hub, tmp_path, **SHORT)
    async with AsyncExitStack() as crowd:
        connections = await subscribed(attacked, crowd, 5)
        for it in connections:
            await it.send(FRAMES[kind])
        closed = await asyncio.gather(*(it.close_frame() for it in connections))
    assert set(closed) == {(1008, "a message took too long")}
    await attacked.is_unharmed_but_told(5)


@pytest.mark.parametrize("head", [b"\x81\xfe", b"\x81\xfe\xff\xff", b"\x81\xfe\xff\xff1234"])
async def test_a_frame_that_is_only_announced_ends(
    start_hub: StartHub, tmp_path: Path, head: bytes
) -> None:
    """SYNC-06: who stays within a frame can answer no ping, and has a connection no longer."""
    attacked = await attacked_session(start_hub, tmp_path, ping_seconds="0.3", **SHORT)
    async with AsyncExitStack() as crowd:
        connections = await subscribed(attacked, crowd, 5)
        for it in connections:
            await it.send(head)
        await asyncio.gather(*(it.rest() for it in connections))
    await attacked.is_unharmed_but_told(5)


FLOODS = {
    "answers": frame(TEXT, b'{"id":"x","status":"500"}'),
    "pings": frame(PING, b"x" * 125),
    "pongs": frame(10),
    "a mixture": frame(TEXT, b"{}") + frame(PING) + frame(2, b"x") + frame(10),
    "empty messages": frame(TEXT),
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_floods_end_and_the_victim_is_served(
    start_hub: StartHub, tmp_path: Path, kind: str
) -> None:
    """SYNC-06, D-24: 1008 with words for each, a SyncError for each."""
    attacked = await attacked_session(
        start_hub, tmp_path, max_frames_per_second="5", reconnect_grace_seconds="0"
    )
    async with AsyncExitStack() as crowd:
        connections = await subscribed(attacked, crowd, 5)
        for it in connections:
            await it.send(FLOODS[kind] * 1000)
        closed = await asyncio.gather(*(it.close_frame() for it in connections))
        assert set(closed) == {(1008, "too many frames")}
    await attacked.is_unharmed_but_told(5)


# Who does not read

MAX_OUTBOX_BYTES = 200_000
BIG = {"key": "note", "string": "x" * 50_000}


async def deaf(attacked: Attacked, wire: Wire) -> RawConnection:
    """A subscriber of everything, with small buffers, from which nobody reads any more."""
    answer = await wire.subscribe(TOPIC, ["org.example.marker"])
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", urlsplit(attacked.hub.origin).port))
    connection = RawConnection(*await asyncio.open_connection(sock=sock, limit=1024))
    await connection.upgrade(answer.json()["hub.channel.endpoint"])
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
    return connection


def waiting_bytes(attacked: Attacked) -> int:
    """What the hub keeps for the peer that reads the least, beside its outbox."""
    connections = attacked.hub._server.server_state.connections
    return max(it.transport.get_write_buffer_size() for it in connections)


async def test_who_never_reads_costs_little_and_ends(start_hub: StartHub, tmp_path: Path) -> None:
    """Guarantee of the outbox: bounded for each of them, ended with a SyncError, others served."""
    attacked = await attacked_session(
        start_hub,
        tmp_path,
        max_outbox_bytes=str(MAX_OUTBOX_BYTES),
        write_timeout_seconds="0.3",
        reconnect_grace_seconds="0",
    )
    wire = await attacked.hub.client(genuine(sub="attacker"))
    readers = [await deaf(attacked, wire) for _ in range(4)]
    told: set[str] = set()
    async with asyncio.timeout(20):
        while len(told) < len(readers):
            sent = request("org.example.marker", BIG)
            assert (await attacked.owner.post(sent)).status_code == 202
            assert waiting_bytes(attacked) < 2 * MAX_OUTBOX_BYTES
            while (it := await attacked.victim.followed())["id"] != sent["id"]:
                told.add(codings(it)["subscribername"])
    for reader in readers:
        reader.writer.close()
    assert await attacked.owner.context(TOPIC) == attacked.before


# Who asks too much


async def test_one_holder_uses_up_its_own_count_only(start_hub: StartHub, tmp_path: Path) -> None:
    """SUB-13, EVT-03, CTX-01: 429 with words and a time; who shares the address goes on."""
    limits = {f"max_{it}_per_minute_and_token": "3" for it in ("subscribes", "reads")}
    attacked = await attacked_session(
        start_hub, tmp_path, max_publishes_per_minute_and_token="4", **limits
    )
    wire = await attacked.hub.client(genuine("fhircast/Home-open.*", sub="attacker"))

    async def exhausted(ask: str, statuses: list[int]) -> httpx.Response:
        answers = []
        for _ in statuses:
            if ask == "subscribe":
                answers.append(await wire.subscribe(TOPIC, ["Home-open"]))
            elif ask == "read":
                answers.append(await wire.get(TOPIC))
            elif ask == "head":
                answers.append(await wire.http.head(f"{wire.hub_url}/{TOPIC}"))
            else:
                answers.append(await wire.post(another_patient()))
        assert [it.status_code for it in answers] == statuses
        return answers[-1]

    for ask, statuses in (
        ("subscribe", [202, 202, 202, 429]),
        ("read", [200, 200, 200, 429]),
        ("publish", [403, 403, 403, 403, 429]),
    ):
        answer = await exhausted(ask, statuses)
        attacked.is_refused(answer, 429)
        assert int(answer.headers["retry-after"]) > 0
    await exhausted("head", [429])  # it reads, too
    assert await attacked.owner.context(TOPIC) == attacked.before


async def test_guessing_tokens_does_not_lock_out_who_works(
    start_hub: StartHub, tmp_path: Path
) -> None:
    """SUB-10: 429 for the guesser, from the same address; a token that is known gets in."""
    attacked = await attacked_session(start_hub, tmp_path, max_bad_tokens_per_minute="3")
    statuses = []
    for number in range(6):
        header = {"Authorization": f"Bearer {number}.x.y"}
        answer = await attacked.hub.wire.http.get(f"{attacked.hub.url}/{TOPIC}", headers=header)
        attacked.is_refused(answer, 401, 429)
        statuses.append(answer.status_code)
    assert statuses == [401, 401, 401, 429, 429, 429]
    await attacked.is_unharmed()


async def test_one_connection_cannot_queue_up_work(attacked: Attacked) -> None:
    """D-43: of thousands of opens on one connection a few are done, in order, and it ends."""
    body = json.dumps(request("org.example.marker", id="again and again")).encode()
    post = HEAD + GOOD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    async with raw_connection(attacked.hub) as connection:
        await connection.send(post * 2000)
        assert (await connection.rest()).count(b"HTTP/1.1 ") < 2000
    told = await attacked.victim.followed()  # the first of them; the others are the same
    assert told["id"] == "again and again"
    await attacked.is_unharmed()
