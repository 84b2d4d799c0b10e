"""Requests that offer another protocol beside their own, as Java's client does with every one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from raw_http import exchange, raw_connection, status_of
from wire_messages import ALL_EVENTS, only_marker_comes, patient_request

if TYPE_CHECKING:
    from hub_server import RunningHub

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA"
LAST = b"GET /livez HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n"


def post(body: bytes, *, is_chunked: bool = False) -> bytes:
    framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % len(body)
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if is_chunked else body
    head = b"POST /api/hub HTTP/1.1\r\nHost: hub\r\n" + OFFER + b"\r\n" + framing
    return head + b"\r\nContent-Type: application/json\r\n\r\n" + sent


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("size", [1, 50, 100_000])
async def test_the_request_is_read_with_its_body(
    hub: RunningHub, is_chunked: bool, size: int
) -> None:
    """GEN-01, EVT-01: in whatever pieces it comes; and so is what comes behind it."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    event = patient_request()
    data = post(json.dumps(event).encode(), is_chunked=is_chunked) * 2 + LAST
    async with raw_connection(hub) as connection:
        for start in range(0, len(data), size):
            await connection.send(data[start : start + size])
        answers = await connection.rest()
    assert [it[:3] for it in answers.split(b"HTTP/1.1 ")[1:]] == [b"202", b"202", b"200"]
    assert (await socket.followed())["id"] == event["id"]
    await only_marker_comes(hub.wire, socket)


async def test_the_bounds_hold(hub: RunningHub) -> None:
    """D-43, GEN-01: for a block that is read twice as for any other."""
    for more, status in ((b"X: y\r\n" * 101, 431), (b"Host: evil\r\n", 400)):
        assert status_of(await exchange(hub, post(b"{}").replace(b"HTTP2", more + b"HTTP2"))) == (
            status
        )


@pytest.mark.parametrize("target", [b"hub:80", b"/livez", b"http://hub/livez", b"*"])
async def test_a_tunnel_is_refused(hub: RunningHub, target: bytes) -> None:
    """GEN-01: an upgrade that no header asks for."""
    request = b"CONNECT " + target + b" HTTP/1.1\r\nHost: hub\r\n" + OFFER + b"\r\n\r\n"
    assert status_of(await exchange(hub, request)) == 400
