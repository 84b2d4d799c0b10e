"""uvicorn's HTTP protocol with bounds: sizes of the header block, deadlines, one reading of it.

What its parser refuses (two lengths, folded or bare lines, a length beside chunks) it answers with
400 and closes. What it lets pass and another server could read in another way is refused here.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fhircast_hub.web.crowd import Deadline
from fhircast_hub.web.forwarded import is_host
from fhircast_hub.web.plain_parser import PlainParser

if TYPE_CHECKING:
    import asyncio

    from fhircast_hub.web.crowd import ConnectionLimits, Crowd

_MAX_HEADERS = 100
_MAX_LINE_BYTES = 8190
"""Of one header, and of the request line: as much as the parser of WebSocket handshakes takes."""

_SINGLE = (b"authorization", b"content-type")
"""What a proxy may have judged, or read, by another one of two than the hub would."""

_MAX_PIPELINED = 32
"""Requests that may wait for the answer to an earlier one; uvicorn would queue any number."""

_PART_SECONDS = 2.0
"""How long what still comes from a peer that was refused is thrown away before the cut."""


class _Refused(Exception):
    """Ends the parsing; the parser hands it on as an error of its own."""


class _LastAnswer:
    """The transport, for the answer behind which uvicorn closes it."""

    def __init__(self, protocol: HubHttp, transport: asyncio.Transport) -> None:
        self._protocol = protocol
        self._transport = transport

    def close(self) -> None:
        """Close so that the answer arrives."""
        self._protocol.end_after_answer()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class HubHttp(HttpToolsProtocol):
    """One HTTP connection."""

    def __init__(self, *args: Any, limits: ConnectionLimits, crowd: Crowd, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser: PlainParser = PlainParser(self)  # type: ignore[assignment]  # stands for it
        self._limits = limits
        self._crowd = crowd
        self._peer = ""
        self._refusal: tuple[HTTPStatus, str] | None = None
        self._deadline = Deadline(Deadline.NEVER)
        self._is_reading = False
        self._has_head = False
        self._is_refused = False
        self._header_count = 0
        self._quiet_bytes = 0
        """Bytes since the parser last had something to say: a block, some body, the end."""

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A peer connected; there may be no room for it."""
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else ""
        self._deadline.step(self.loop.time() + self._limits.header_seconds)
        if not self._crowd.enter(self._peer):
            self._refusal = HTTPStatus.SERVICE_UNAVAILABLE, "too many connections; try again later"
            self.send_400_response("")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._crowd.leave(self._peer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came: part of a header block that has no end, perhaps."""
        if self._is_refused:
            return
        self._quiet_bytes += len(data)
        super().data_received(data)
        if self._quiet_bytes > self._limits.max_header_bytes:
            self._refusal = self._too_large()
            self.send_400_response("")

    def pause_writing(self) -> None:
        """The peer does not read."""
        super().pause_writing()
        self._deadline.stall(self.loop.time() + self._limits.write_seconds)

    def resume_writing(self) -> None:
        """The peer reads again."""
        super().resume_writing()
        self._deadline.resume()

    def check(self, now: float) -> None:
        """End the connection if it is overdue."""
        if self.transport.is_closing():
            self._deadline.close(now + self._limits.write_seconds)
        if now < self._deadline():
            return
        if self._is_refused or self.transport.is_closing() or self.flow.write_paused:
            self.transport.abort()
        elif self._is_reading and not self._has_head and self._is_answered:
            self._refusal = HTTPStatus.REQUEST_TIMEOUT, "the header block took too long"
            self.send_400_response("")
        else:
            self.transport.close()

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._is_reading, self._has_head, self._header_count = True, False, 0
        self._deadline.step(self.loop.time() + self._limits.header_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer after the body, is complete; trailers are passed over."""
        self._header_count += 1
        if self._header_count > _MAX_HEADERS:
            self._refuse(*self._too_large())
        if not self._has_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The header block is complete: judge it before anything is done with it."""
        self._judge()
        if self.parser.will_read_anew:
            return
        if len(self.pipeline) >= _MAX_PIPELINED:
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS, "too many requests at once")
        self._has_head = True
        self._quiet_bytes = 0
        # The application answers a slow body with words; this is for a body nobody reads.
        self._deadline.step(self.loop.time() + 2 * self._limits.body_seconds)
        super().on_headers_complete()
        if self.cycle is not None and not self.cycle.keep_alive:
            self.cycle.transport = _LastAnswer(self, self.transport)  # type: ignore[assignment]  # stands for it

    def on_body(self, body: bytes) -> None:
        """Some of the body came."""
        self._quiet_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self.parser.will_read_anew:
            return
        self._is_reading = False
        self._quiet_bytes = 0
        self._deadline.step(self._idle_at() if self._is_answered else Deadline.NEVER)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is written."""
        super().on_response_complete()
        if not self._is_reading and not self.pipeline:
            self._deadline.step(self._idle_at())

    def end_after_answer(self) -> None:
        """Close behind the last answer; some of its request may still be on its way."""
        if self._is_reading:
            self._part()
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, or none for this hub, and close."""
        if self._is_refused or self.transport.is_closing():
            return
        if not self._is_answered and (not self._has_head or self.cycle.response_started):
            self.transport.close()  # an answer now would be taken for that to an earlier request
            return
        status, reason = self._refusal or (HTTPStatus.BAD_REQUEST, "not a valid HTTP request")
        text = f"{reason}\nHTTP\n".encode()
        lines = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            "content-type: text/plain; charset=utf-8",
            f"content-length: {len(text)}",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "connection: close",
            *(["retry-after: 10"] if status is HTTPStatus.SERVICE_UNAVAILABLE else []),
            "\r\n",
        ]
        self.transport.write("\r\n".join(lines).encode() + text)
        self._part()

    def _part(self) -> None:
        """Close so that the answer arrives: a close with bytes unread would take it back."""
        self._is_refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._deadline.close(self.loop.time() + _PART_SECONDS)
        else:
            self.transport.close()

    @property
    def is_handshake(self) -> bool:
        """Whether the request asks for a WebSocket."""
        return self._should_upgrade()

    @property
    def _is_answered(self) -> bool:
        """Whether no earlier request waits for its answer."""
        return self.cycle is None or self.cycle.response_complete

    def _idle_at(self) -> float:
        return self.loop.time() + self._limits.idle_seconds

    def _judge(self) -> None:
        """Refuse a header block that is too large, or could be read in two ways (RFC 9112)."""
        if len(self.url) > _MAX_LINE_BYTES:
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG, "the request target is too long")
        version = self.parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            self._refuse(
                HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "the version is neither 1.1 nor 1.0"
            )
        if not self.url.startswith((b"/", b"http://", b"https://")):
            self._refuse(HTTPStatus.BAD_REQUEST, "the request target is not a path")
        size, hosts = 0, []
        single: set[bytes] = set()
        for name, value in self.headers:
            line = len(name) + len(value) + 4
            size += line
            if line > _MAX_LINE_BYTES or size > self._limits.max_header_bytes:
                self._refuse(*self._too_large())
            if name in single:
                shown = name.decode().title()
                self._refuse(HTTPStatus.BAD_REQUEST, f"{shown}: there may be only one")
            if name in _SINGLE:
                single.add(name)
            if name == b"host":
                hosts.append(value)
            elif name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
                self._refuse(HTTPStatus.BAD_REQUEST, "Transfer-Encoding: only chunked, in HTTP/1.1")
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            self._refuse(HTTPStatus.BAD_REQUEST, "Host: there must be exactly one")
        if hosts and not is_host(hosts[0].decode("latin-1")):
            self._refuse(HTTPStatus.BAD_REQUEST, "Host: not a host name or address")

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._refusal = status, reason
        raise _Refused

    def _too_large(self) -> tuple[HTTPStatus, str]:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the header block is too large"
