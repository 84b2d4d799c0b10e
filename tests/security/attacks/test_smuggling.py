"""A request that hides in another one: it is never done, and never answered.

What two servers could read in two ways is refused (tests/security/test_request_framing.py has the
shapes); here a good request with a good token hides where a proxy might leave it unseen.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from attacked import another_patient, genuine
from builders import TOPIC
from raw_http import exchange, raw_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from attacked import Attacked

LAST = b"GET /livez HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n"
"""Answered with 200, if the hub and its caller agree on where it begins."""

JSON_TYPE = b"Content-Type: application/json"


def hidden() -> bytes:
    """The open of the attacker's patient, with a token for everything."""
    body = json.dumps(another_patient()).encode()
    return lines(
        b"POST /api/hub HTTP/1.1",
        f"Authorization: Bearer {genuine()}".encode(),
        JSON_TYPE,
        b"Content-Length: %d" % len(body),
        body=body,
    )


def lines(first: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([first, b"Host: hub", *headers, b"", body])


def sized(first: bytes, *headers: bytes) -> Callable[[bytes], bytes]:
    """A request whose body is the hidden one, from its first byte to its last."""
    return lambda it: lines(first, *headers, b"Content-Length: %d" % len(it), body=it)


def chunked(
    first: bytes, *headers: bytes, before: bytes = b"", behind: bytes = b""
) -> Callable[[bytes], bytes]:
    """The same in chunks, with something before and behind the hidden one."""

    def build(it: bytes) -> bytes:
        body = before + b"%x\r\n%s\r\n" % (len(it), it) + behind
        return lines(first, *headers, b"Transfer-Encoding: chunked", body=body)

    return build


async def statuses(attacked: Attacked, request: bytes) -> list[int]:
    """Return the statuses of all answers on one connection, and see that they tell nothing."""
    answer = await exchange(attacked.hub, request)
    attacked.tells_nothing(answer.decode("latin-1"))
    return [int(it) for it in re.findall(rb"HTTP/1\.[01] ([0-9]{3}) ", answer)]


POST = b"POST /api/hub HTTP/1.1"
READ = b"GET /api/hub/" + TOPIC.encode() + b" HTTP/1.1"
IN_A_BODY: dict[str, tuple[Callable[[bytes], bytes], int]] = {
    "without a token": (sized(POST, JSON_TYPE), 401),
    "with a bad token": (sized(POST, JSON_TYPE, b"Authorization: Bearer x.y.z"), 401),
    "of a type that is not read": (sized(POST, b"Content-Type: image/png"), 415),
    "of a form": (sized(POST, b"Content-Type: application/x-www-form-urlencoded"), 401),
    "of a GET": (sized(READ), 401),
    "of a HEAD": (sized(b"HEAD" + READ[3:]), 401),
    "of another method": (sized(b"PUT /api/hub HTTP/1.1"), 405),
    "of a path that is not there": (sized(b"POST /nowhere HTTP/1.1"), 404),
    "of what needs none": (sized(b"GET /livez HTTP/1.1"), 200),
    "of an upgrade to something else": (
        sized(b"GET /livez HTTP/1.1", b"Connection: Upgrade", b"Upgrade: h2c"),
        200,
    ),
    "in a chunk": (chunked(POST, JSON_TYPE, behind=b"0\r\n\r\n"), 401),
    "in a chunk of what needs none": (chunked(b"GET /livez HTTP/1.1", behind=b"0\r\n\r\n"), 200),
    "in a chunk between others": (
        chunked(POST, before=b"1;x=y\r\n{\r\n", behind=b"1\r\n}\r\n0\r\nX: y\r\n\r\n"),
        415,
    ),
}


@pytest.mark.parametrize("name", IN_A_BODY)
async def test_a_body_that_nobody_reads_is_no_request(attacked: Attacked, name: str) -> None:
    """GEN-01: what was refused before its body was read is still read to its end, and no further.

    The next request on the connection is answered, so both sides see its beginning.
    """
    build, status = IN_A_BODY[name]
    found = await statuses(attacked, build(hidden()) + LAST)
    assert found in ([status, 200], [status]), found  # or the connection ends with the refusal
    await attacked.is_unharmed()


@pytest.mark.parametrize("name", IN_A_BODY)
async def test_nor_is_one_that_comes_a_moment_later(attacked: Attacked, name: str) -> None:
    """GEN-01: the same, with the answer to the header block read before the body is sent."""
    build, status = IN_A_BODY[name]
    head, end, body = build(hidden()).partition(b"\r\n\r\n")
    async with raw_connection(attacked.hub) as connection:
        await connection.send(head + end)
        first = await connection.until(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 %d " % status)
        await connection.send(body + LAST)
        rest = await connection.rest()
    found = re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", rest)
    assert found in ([b"200"], []), found
    await attacked.is_unharmed()


SOCKET = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: " + b"A" * 22 + b"==")
VERSION = b"Sec-WebSocket-Version: 13"


def ws(id: bytes) -> bytes:
    return b"GET /api/hub/ws/" + id + b" HTTP/1.1"


REFUSED_BEFORE = {
    "length and chunks": lines(POST, b"Content-Length: 4", b"Transfer-Encoding: chunked"),
    "chunks, but not quite": lines(POST, b"Transfer-Encoding: xchunked"),
    "chunks behind a tab": lines(POST, b"Transfer-Encoding:\x0bchunked"),
    "chunks in a list": lines(POST, b"Transfer-Encoding: identity, chunked"),
    "a length that is none": lines(POST, b"Content-Length: 0, 0"),
    "an old version": lines(b"GET /livez HTTP/0.9"),
    "the beginning of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a chunk without end": lines(
        POST, b"Transfer-Encoding: chunked", body=b"FFFFFFFFFFFFFFFFF\r\n"
    ),
    "a tunnel": lines(b"CONNECT hub:80 HTTP/1.1"),
    "a handshake of another version": lines(ws(b"A" * 32), *SOCKET, b"Sec-WebSocket-Version: 12"),
    "a handshake without a version": lines(ws(b"A" * 32), *SOCKET),
    "a handshake without a key": lines(ws(b"A" * 32), *SOCKET[:2], VERSION),
    "a handshake to what is no endpoint": lines(ws(b"x"), *SOCKET, VERSION),
    "a handshake to a topic": lines(READ, *SOCKET, VERSION),
    "a handshake that opens a denial": lines(ws(b"A" * 32), *SOCKET, VERSION),
}


@pytest.mark.parametrize("name", REFUSED_BEFORE)
async def test_nothing_behind_a_refusal_is_a_request(attacked: Attacked, name: str) -> None:
    """GEN-01, GEN-02: one answer, then the connection ends; a proxy may think it is a tunnel."""
    found = await statuses(attacked, REFUSED_BEFORE[name] + hidden() + LAST)
    assert len(found) == 1, found
    assert found[0] >= 400 or (found == [101] and "denial" in name)
    await attacked.is_unharmed()


async def test_a_body_is_not_asked_for_before_the_token_is_judged(attacked: Attacked) -> None:
    """SUB-10: 401 at once, no 100 before it."""
    head = lines(POST, JSON_TYPE, b"Expect: 100-continue", b"Content-Length: 100000")
    async with raw_connection(attacked.hub) as connection:
        await connection.send(head)
        assert (await connection.until(b"\r\n")).startswith(b"HTTP/1.1 401 ")
    await attacked.is_unharmed()


async def test_a_body_that_is_announced_as_endless_is_not_waited_for(attacked: Attacked) -> None:
    """CONT-19: 413 at once, and the token had to be good for that."""
    token = f"Authorization: Bearer {genuine()}".encode()
    for headers, status in (((token,), 413), ((), 401)):
        head = lines(POST, JSON_TYPE, b"Content-Length: 99999999999", *headers)
        async with raw_connection(attacked.hub) as connection:
            await connection.send(head)
            assert (await connection.until(b"\r\n")).startswith(b"HTTP/1.1 %d " % status)
    await attacked.is_unharmed()


@pytest.mark.parametrize(
    "target",
    [
        "/api/hub/x%0d%0aX-Evil:%20y",
        "/api/hub/x%0d%0a%0d%0aHTTP/1.1%20200%20OK",
        "/api/hub/x%E5%98%8A%E5%98%8DX-Evil:%20y",
        "/nowhere%0d%0aX-Evil:%20y",
        "/api/hub/ws/x%0d%0aX-Evil:%20y",
    ],
)
async def test_no_line_of_an_answer_can_be_written_by_a_path(
    attacked: Attacked, target: str
) -> None:
    """GEN-01, SEC-03: one answer, without a header of the attacker's."""
    token = f"Authorization: Bearer {genuine()}".encode()
    request = lines(f"GET {target} HTTP/1.1".encode(), token, b"Connection: close")
    answer = await exchange(attacked.hub, request)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"evil" not in answer.lower()


@pytest.mark.parametrize(
    "header",
    [
        *("X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: evil.example", "Forwarded: for=10.0.0.1"),
        *("X-Real-IP: 10.0.0.1", "X-Forwarded-Proto: https", "Via: 1.1 x", "X-Forwarded-User: a"),
    ],
)
async def test_what_only_a_proxy_may_say_is_not_believed(attacked: Attacked, header: str) -> None:
    """SUB-10, SUB-14: 401 all the same, and no endpoint elsewhere."""
    name, _, value = header.partition(": ")
    wire = attacked.hub.wire
    wire.http.headers[name] = value
    for answer in await attacked.at_every_door(wire):
        attacked.is_refused(answer, 401)
    wire = await attacked.hub.client(genuine(sub="attacker"))
    wire.http.headers[name] = value
    endpoint = (await wire.subscribe(TOPIC, ["Home-open"])).json()["hub.channel.endpoint"]
    assert endpoint.startswith(attacked.hub.url.replace("http", "ws", 1))
    await attacked.is_unharmed()
