"""One HTTP connection that is kept, one request at a time; no task and no timer of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, cast

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_bench.target import Target

JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_MAX_SAID = 300


class Answer(NamedTuple):
    """What a hub answered.

    Attributes:
        status: 0 if there was no answer; `body` then says why.
        body: As it came.
        retry_after: Of the header of that name, "" without one.
    """

    status: int
    body: bytes
    retry_after: str = ""

    @property
    def said(self) -> str:
        """What it says, on one line."""
        text = " ".join(self.body.decode(errors="replace").split())
        return "".join(it for it in text if it.isprintable())[:_MAX_SAID]


_CLOSED = Answer(0, b"the hub closed the connection")


class HttpLane:
    """A connection to the hub: `send` a request, and the answer is handed to a function.

    Args:
        target: The hub.
        token: Bearer token, "" for none.
    """

    __slots__ = ("_connection", "_heads", "_target")

    def __init__(self, target: Target, token: str) -> None:
        self._target = target
        self._connection: _Connection | None = None
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        self._heads = {
            kind: (
                f"POST {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n{authorization}"
                f"Accept: application/json\r\nContent-Type: {kind}\r\nContent-Length: "
            ).encode()
            for kind in (JSON, _FORM)
        }

    async def open(self, within: float) -> None:
        """Connect.

        Raises:
            OSError: Nobody listens there, or TLS came to nothing.
            TimeoutError: Not in time.
        """
        loop, target = asyncio.get_running_loop(), self._target
        async with asyncio.timeout(within):
            _, self._connection = await loop.create_connection(
                _Connection, target.host, target.port, ssl=target.tls
            )

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return self._connection is not None and self._connection.is_open

    def send(self, kind: str, body: bytes, then: Callable[[Answer], None]) -> None:
        """Send a request; `then` is called once, with the answer or with the reason for none."""
        if self._connection is None or not self._connection.is_open:
            then(_CLOSED)
            return
        request = b"%b%d\r\n\r\n%b" % (self._heads[kind], len(body), body)
        self._connection.send(request, then)

    async def ask(self, fields: str, within: float) -> Answer:
        """Post a form and wait for the answer.

        Raises:
            OSError: The hub cannot be connected to any more.
        """
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if not self.is_open:
            await self.open(within)
        self.send(_FORM, fields.encode(), answered.set_result)
        done, _ = await asyncio.wait((answered,), timeout=within)
        if not done:
            self.give_up(f"no answer within {within:g} s")
        return await answered

    def give_up(self, why: str) -> None:
        """Cut the connection; an answer that is waited for is none."""
        if self._connection is not None:
            self._connection.give_up(why)

    def close(self) -> None:
        """Close the connection."""
        self.give_up("closed")


class _Connection(asyncio.Protocol):
    """One TCP connection of a lane."""

    __slots__ = ("_body", "_keeps", "_parser", "_retry_after", "_status", "_then", "_transport")

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._then: Callable[[Answer], None] | None = None
        self._status, self._retry_after, self._keeps = 0, "", True
        self._body: list[bytes] = []

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def send(self, request: bytes, then: Callable[[Answer], None]) -> None:
        assert self._transport is not None
        self._then = then
        self._transport.write(request)

    def give_up(self, why: str) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._done(Answer(0, why.encode()))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.give_up(f"what answers there does not speak HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._status and exc is None:  # the end of the connection is the end of such a body
            self._done(Answer(self._status, b"".join(self._body), self._retry_after))
        self._done(_CLOSED)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self._retry_after = value.decode(errors="replace")

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._keeps = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        answer = Answer(self._status, b"".join(self._body), self._retry_after)
        self._status, self._retry_after, self._body = 0, "", []
        if not self._keeps and self._transport is not None:
            self._transport.close()
            self._transport = None
        self._done(answer)

    def _done(self, answer: Answer) -> None:
        then, self._then = self._then, None
        if then is not None:
            then(answer)
