"""A request that is a little odd is read in the same way behind an event that armed the express.

The same bytes go to two hubs, each time as the second request of a connection: to one as it is, and
to one whose connections have no express. Answers, and what subscribers get, have to be the same.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from builders import TOPIC
from fhircast_hub.web.http_protocol import HubHttp
from hub_server import running_hub
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from publisher import armed, post, posted
from raw_http import answers_in, raw_connection
from wire_messages import ALL_EVENTS, marker

if TYPE_CHECKING:
    from collections.abc import Callable

    from hub_server import RunningHub
    from raw_http import Answer

    Mutation = Callable[[bytes, bytes], tuple[bytes, bytes]]
    """Of head (without the line that ends it) and body."""

SECONDS = "0.3"
SOME_BYTES = [*b"\r\n\t :;,+-0aA", 0, 255]
ODD_LINES = (
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding : chunked",
    b"Content-Length: 5",
    b"content-length:7",
    b"X:\r\n folded",
    b"Expect: 100-continue",
    b"Upgrade: h2c",
    b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: keep-alive, Content-Length",
    b"Origin: https://app.example",
    b"Host: evil",
    b"Authorization: Bearer x",
    b"Content-Type: text/plain",
    b"X: y",
    b"X: " + b"y" * 9000,
)
LENGTH = re.compile(rb"(Content-Length: )[0-9]+")
HIDDEN = b"GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n"


def with_length(value: bytes) -> Mutation:
    def mutate(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return LENGTH.sub(lambda it: it[1] + value, head), body

    return mutate


def with_length_around(before: bytes, after: bytes) -> Mutation:
    return lambda head, body: with_length(before + b"%d" % len(body) + after)(head, body)


def with_byte(at: int, byte: int, replaced: int) -> Mutation:
    def mutate(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        start = at % len(head)
        return head[:start] + bytes([byte]) + head[start + replaced :], body

    return mutate


def without_bytes(at: int, count: int) -> Mutation:
    return lambda head, body: (head[: at % len(head)] + head[at % len(head) + count :], body)


def with_line(at: int, line: bytes) -> Mutation:
    def mutate(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        lines = head.split(b"\r\n")
        place = 1 + at % len(lines)
        return b"\r\n".join([*lines[:place], line, *lines[place:]]), body

    return mutate


def with_body(cut: int, more: bytes) -> Mutation:
    return lambda head, body: (head, body[: len(body) - cut] + more)


PLACES = st.integers(0, 400)
LENGTHS = st.lists(st.sampled_from(list(b"0123456789+-, \tx")), max_size=12).map(bytes)
AROUND = [b"0", b"000", b"+", b"-", b" ", b"\t", b",", b", 5", b"\r", b"\x0b", b"x"]
MUTATIONS = st.one_of(
    st.builds(with_length, LENGTHS),
    st.builds(with_length_around, st.sampled_from(AROUND), st.just(b"")),
    st.builds(with_length_around, st.just(b""), st.sampled_from(AROUND)),
    st.builds(with_byte, PLACES, st.sampled_from(SOME_BYTES), st.integers(0, 1)),
    st.builds(without_bytes, PLACES, st.integers(1, 4)),
    st.builds(with_line, PLACES, st.sampled_from(ODD_LINES)),
    st.builds(with_body, st.integers(0, 5), st.sampled_from([b"", b"x", b"\r\n", HIDDEN])),
)


def second_request(number: int, mutations: list[Mutation]) -> bytes:
    event = marker() | {"id": f"m-{number}"}
    head, _, body = posted(event).partition(b"\r\n\r\n")
    for mutate in mutations:
        head, body = mutate(head, body)
    return head + b"\r\n\r\n" + body


async def answers_to(hub: RunningHub, requests: list[bytes]) -> list[list[Answer]]:
    """Send each behind an event that is accepted; return all that is answered until the close."""
    few = asyncio.Semaphore(10)

    async def one(request: bytes) -> list[Answer]:
        async with AsyncExitStack() as stack:
            async with few:
                connection = await stack.enter_async_context(armed(hub))
                await connection.send(request)
            return answers_in(await connection.rest())

    return await asyncio.gather(*map(one, requests))


async def broadcast(hub: RunningHub, requests: list[bytes]) -> tuple[list[list[Answer]], set[str]]:
    """Send them; return the answers and the ids that a subscriber got."""
    client = await hub.client()  # a connection that was kept may be closed when it is used again
    socket = await client.join(TOPIC, ALL_EVENTS)
    answers = await answers_to(hub, requests)
    last = marker()
    async with raw_connection(hub) as connection:
        await post(connection, last)
    ids: set[str] = set()
    while last["id"] not in ids:
        ids.add((await socket.followed())["id"])
    await socket.close()
    return answers, {it for it in ids if it.startswith("m-")}


async def on_all(
    hubs: list[RunningHub], requests: list[bytes]
) -> list[tuple[list[list[Answer]], set[str]]]:
    return await asyncio.gather(*(broadcast(it, requests) for it in hubs))


def without_express(hub: RunningHub) -> None:
    config = hub._server.config
    made = config.http_protocol_class
    assert isinstance(made, partial)
    config.http_protocol_class = partial(HubHttp, **made.keywords)


def test_what_is_odd_is_answered_as_if_there_were_no_express() -> None:
    """GEN-01: lengths, bytes, lines and bodies that are a little wrong."""
    hubs: list[RunningHub] = []

    @settings(max_examples=4, phases=[Phase.generate])  # what differs is shown; it need not shrink
    @given(st.lists(st.lists(MUTATIONS, min_size=1, max_size=2), min_size=200, max_size=200))
    def compare(all_mutations: list[list[Mutation]]) -> None:
        requests = [second_request(number, it) for number, it in enumerate(all_mutations)]
        (answers, ids), (plain_answers, plain_ids) = runner.run(on_all(hubs, requests))
        for request, express, plain in zip(requests, answers, plain_answers, strict=True):
            assert express == plain, request
        assert ids == plain_ids

    async def start() -> None:
        limits = {f"{it}_timeout_seconds": SECONDS for it in ("header", "body", "idle")} | {
            "max_publishes_per_minute": "0",
            "max_subscribes_per_minute": "0",
        }
        hubs.extend([await stack.enter_async_context(running_hub(**limits)) for _ in range(2)])
        without_express(hubs[1])

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        runner.run(start())
        try:
            compare()
        finally:
            runner.run(stack.aclose())
