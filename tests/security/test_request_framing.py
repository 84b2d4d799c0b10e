"""Requests that two servers could read in two ways: refused, or read in one clear way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from raw_http import exchange, raw_connection, status_of

if TYPE_CHECKING:
    from hub_server import RunningHub

HIDDEN = b"GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n"
"""A request that hides in the body of another, or so its sender hopes."""


def post(
    *headers: bytes, body: bytes = b"", version: bytes = b"1.1", host: bytes = b"hub"
) -> bytes:
    lines = [b"POST /api/hub HTTP/" + version, b"Host: " + host, *headers]
    return b"\r\n".join([*lines, b"Content-Type: application/json", b"", body])


def get(*headers: bytes, line: bytes = b"GET /livez HTTP/1.1") -> bytes:
    return b"\r\n".join([line, *headers, b"", b""])


CHUNKED = b"Transfer-Encoding: chunked"
END = b"0\r\n\r\n"
AMBIGUOUS = {
    "length and chunks": post(b"Content-Length: 5", CHUNKED, body=END + HIDDEN),
    "chunks and length": post(CHUNKED, b"Content-Length: 5", body=END + HIDDEN),
    "two lengths": post(b"Content-Length: 2", b"Content-Length: 35", body=b"{}" + HIDDEN),
    "the same length twice": post(b"Content-Length: 2", b"Content-Length: 2", body=b"{}"),
    "a list of lengths": post(b"Content-Length: 2, 2", body=b"{}"),
    "a signed length": post(b"Content-Length: +2", body=b"{}"),
    "a negative length": post(b"Content-Length: -2", body=b"{}"),
    "a length in hex": post(b"Content-Length: 0x2", body=b"{}"),
    "an endless length": post(b"Content-Length: 99999999999999999999", body=b"{}"),
    "chunked with a vertical tab": post(b"Transfer-Encoding: chunked\x0b", body=END),
    "chunked with a letter more": post(b"Transfer-Encoding: xchunked", body=END),
    "chunked and then not": post(b"Transfer-Encoding: chunked, identity", body=END),
    "chunked in a second line": post(CHUNKED, b"Transfer-Encoding: identity", body=END),
    "chunked twice": post(CHUNKED, CHUNKED, body=END),
    "another coding before": post(b"Transfer-Encoding: gzip, chunked", body=END),
    "another coding only": post(b"Transfer-Encoding: gzip", body=END),
    "identity": post(b"Transfer-Encoding: identity", body=END),
    "chunks in HTTP/1.0": post(CHUNKED, body=END, version=b"1.0"),
    "space before the colon": post(b"Transfer-Encoding : chunked", body=END),
    "space in a name": post(b"Content Length: 2", body=b"{}"),
    "space before the first header": b"GET /livez HTTP/1.1\r\n X: y\r\nHost: hub\r\n\r\n",
    "a folded line": post(b"X: a\r\n b", b"Content-Length: 2", body=b"{}"),
    "bare line feeds": HIDDEN.replace(b"\r\n", b"\n"),
    "a bare line feed": post(b"X: a\nContent-Length: 2", body=b"{}"),
    "a bare carriage return": post(b"X: a\rContent-Length: 2", body=b"{}"),
    "a zero byte": post(b"X: a\x00b"),
    "a name that is no ASCII": post(b"X\xff: a"),
    "an empty name": post(b": a"),
    "chunk size with a sign": post(CHUNKED, body=b"+2\r\n{}\r\n" + END),
    "chunk size in another form": post(CHUNKED, body=b"0x2\r\n{}\r\n" + END),
    "chunk size with a bare line feed": post(CHUNKED, body=b"2\n{}\r\n" + END),
    "chunk longer than its size": post(CHUNKED, body=b"1\r\n{}\r\n" + END),
    "a length among the trailers": post(CHUNKED, body=b"0\r\nContent-Length: 5\r\n\r\n"),
    "no host": get(),
    "two hosts": get(b"Host: hub", b"Host: evil"),
    "two tokens": get(b"Host: hub", b"Authorization: Bearer a", b"Authorization: Bearer b"),
    "two content types": post(b"Content-Type: text/plain", b"Content-Length: 2", body=b"{}"),
    "a host with a path": get(b"Host: hub/evil"),
    "a host with a user": get(b"Host: hub@evil"),
    "a host with a space": get(b"Host: hub evil"),
    "an empty host": get(b"Host: "),
    "an endless host": get(b"Host: " + b"h" * 300),
    "no path": get(b"Host: hub", line=b"OPTIONS * HTTP/1.1"),
    "a tunnel": get(b"Host: hub", line=b"CONNECT hub:80 HTTP/1.1"),
    "bytes in the path": get(b"Host: hub", line=b"GET /\xff HTTP/1.1"),
    "a tab in the first line": get(b"Host: hub", line=b"GET\t/livez HTTP/1.1"),
    "an unknown method": get(b"Host: hub", line=b"FETCH /livez HTTP/1.1"),
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_an_ambiguous_request_is_refused_and_the_connection_closed(
    hub: RunningHub, name: str
) -> None:
    """GEN-01: 400 in plain text and no second answer: nothing that hides in a body is a request."""
    answer = await exchange(hub, AMBIGUOUS[name])
    assert status_of(answer) == 400
    head, _, text = answer.partition(b"\r\n\r\n")
    assert b"content-type: text/plain" in head
    assert b"connection: close" in head
    assert len(text.splitlines()) == 2


@pytest.mark.parametrize("version", [b"", b" HTTP/2.0", b" HTTP/0.9"])
async def test_another_version_is_refused(hub: RunningHub, version: bytes) -> None:
    """GEN-01: 505."""
    line = b"GET /livez" + version
    assert status_of(await exchange(hub, get(b"Host: hub", line=line))) == 505


CLEAR = {
    "chunks": post(CHUNKED, body=b"2;name=value\r\n{}\r\n" + END),
    "chunked in capitals": post(b"Transfer-Encoding: Chunked", body=b"2\r\n{}\r\n" + END),
    "trailers": post(CHUNKED, body=b"2\r\n{}\r\n0\r\nHost: evil\r\nAuthorization: x\r\n\r\n"),
    "a full address": post(b"Content-Length: 2", body=b"{}").replace(
        b"/api/hub", b"http://evil/api/hub"
    ),
}


@pytest.mark.parametrize("name", CLEAR)
async def test_what_is_clear_is_read(hub: RunningHub, name: str) -> None:
    """GEN-01: the request comes to its handler, and the next one on the connection too."""
    async with raw_connection(hub) as connection:
        await connection.send(CLEAR[name] + get(b"Host: hub", b"Connection: close"))
        answer = await connection.rest()
    assert answer.startswith(b"HTTP/1.1 400 ")  # of the hub: {} is no notification
    assert b"event: missing" in answer
    assert b"HTTP/1.1 200 " in answer


async def test_a_bad_request_behind_one_that_waits_is_not_answered_in_its_place(
    hub: RunningHub,
) -> None:
    """GEN-01: answers come in the order of requests, or the connection ends."""
    async with raw_connection(hub) as connection:
        await connection.send(post(b"Content-Length: 2", body=b"{}") + b"NO HTTP\r\n\r\n")
        answer = await connection.rest()
    assert answer.count(b"HTTP/1.1 ") <= 1


async def test_an_upgrade_to_something_else_is_a_plain_request(hub: RunningHub) -> None:
    """GEN-02: h2c and the like."""
    answer = await exchange(hub, get(b"Host: hub", b"Upgrade: h2c", b"Connection: upgrade, close"))
    assert status_of(answer) == 200


HANDSHAKE = (
    b"Host: hub",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.mark.parametrize(
    ("line", "header"),
    [
        (b"POST /api/hub/ws/x HTTP/1.1", b"X: y"),
        (b"GET /api/hub/ws/x HTTP/1.1", b"Content-Length: 5"),
        (b"GET /api/hub/ws/x HTTP/1.1", CHUNKED),
        (b"GET /api/hub/ws/x HTTP/1.1", b"Sec-WebSocket-Key: x"),
    ],
)
async def test_a_handshake_that_is_none(hub: RunningHub, line: bytes, header: bytes) -> None:
    """GEN-02: answered with 4xx, and not left waiting."""
    assert 400 <= status_of(await exchange(hub, get(*HANDSHAKE, header, line=line))) < 500


# Sizes


def many(count: int) -> list[bytes]:
    return [b"X-%d: y" % number for number in range(count)]


@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (many(90), 0),
        (many(101), 431),
        (many(10_000), 431),
        ([b"X: " + b"y" * 9000], 431),
        ([b"X: " + b"y" * 1_000_000], 431),
        ([b"Y: " + b"y" * 8000] * 5, 431),
        ([b"X" * 70_000 + b": y"], 431),
    ],
)
async def test_an_absurd_header_block(
    hub: RunningHub, headers: list[bytes], status: int, upgrade: bool
) -> None:
    """D-43, CONT-19: by count, by line and in all; 431, before anything is done with it."""
    begin = [*HANDSHAKE, *headers] if upgrade else [b"Host: hub", *headers, b"Connection: close"]
    line = b"GET /api/hub/ws/x HTTP/1.1" if upgrade else b"GET /livez HTTP/1.1"
    answer = await exchange(hub, get(*begin, line=line))
    assert status_of(answer) == (status or (404 if upgrade else 200))


async def test_an_endless_header_block(hub: RunningHub) -> None:
    """CONT-19: refused as it comes; its end is not waited for."""
    async with raw_connection(hub) as connection:
        await connection.send(b"GET /livez HTTP/1.1\r\nHost: hub\r\nX: " + b"y" * 60_000)
        assert status_of(await connection.rest()) == 431


async def test_a_refusal_arrives_though_more_is_coming(hub: RunningHub) -> None:
    """CONT-19: a connection closed over unread bytes would take its last answer back."""
    request = post(b"Content-Length: 2", b"Content-Length: 3") + b"x" * 5_000_000
    for _ in range(20):
        assert status_of(await exchange(hub, request)) == 400


async def test_endless_trailers(hub: RunningHub) -> None:
    """CONT-19: trailers are bounded like headers, and so is what stands beside a chunk's size."""
    for tail in (
        b"0\r\nX: " + b"y" * 400_000,
        b"0\r\n" + b"X: y\r\n" * 200,
        b"2;x=" + b"y" * 400_000,
    ):
        assert status_of(await exchange(hub, post(CHUNKED, body=b"1\r\n{\r\n" + tail))) == 431


@pytest.mark.parametrize("upgrade", [False, True])
async def test_an_endless_address(hub: RunningHub, upgrade: bool) -> None:
    """GEN-01: 414."""
    headers = HANDSHAKE if upgrade else (b"Host: hub",)
    answer = await exchange(hub, get(*headers, line=b"GET /" + b"x" * 9000 + b" HTTP/1.1"))
    assert status_of(answer) == 414
