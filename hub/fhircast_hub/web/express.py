"""The event POST in front of everything: answered where its bytes come in.

The first event of a connection goes the usual way: parser, checks, layers, router. If it is
accepted, the application offers to take the next ones with the same head directly. It takes only
what it accepts; whatever is to be refused, or cannot be told, goes the usual way after all, where
nothing of it has happened yet; or nobody knows whether it has, and its id tells (D-28).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from fhircast_hub.web.crowd import Deadline
from fhircast_hub.web.http_protocol import HubHttp
from fhircast_hub.web.layers import ON_EVERY_ANSWER
from fhircast_hub.web.same_head import SameHead, head_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

    T = TypeVar("T")
    _Answering = Coroutine[Any, Any, tuple[int, bytes] | None]

OFFER = "fhircast.express"
"""Key of the ASGI extension: called with an `Express` by the application that offers one."""

_STATUS_LINES = {
    202: b"HTTP/1.1 202 Accepted\r\n",
    206: b"HTTP/1.1 206 Partial Content\r\n",
}


class Express(Protocol):
    """Takes the events of one publisher.

    Attributes:
        max_bytes: Size of a body; what is larger goes the usual way.
        is_immediate: Whether to answer never takes waiting.
    """

    max_bytes: int
    is_immediate: bool

    async def answer(self, body: bytes) -> tuple[int, bytes] | None:
        """Take an event; return status and JSON of the answer, None if it goes the usual way."""
        ...


def run_now(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that has nothing to wait for.

    Raises:
        RuntimeError: It waits for something: a bug of ours.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # what the coroutine returned
    coroutine.close()
    raise RuntimeError("a step that should not wait does")


class ExpressHttp(HubHttp):
    """One HTTP connection, with an express lane for events."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = b""
        """Head of the request that is parsed at the moment, if it began with what was parsed."""
        self._same: SameHead | None = None
        self._express: Express | None = None
        self._held = bytearray()
        """A request for the express of which some is still to come."""
        self._held_until = 0
        self._is_waiting = False
        """Whether an event for the express is not answered yet."""
        self._behind = bytearray()
        """What came meanwhile."""
        self._is_leaving = False

    # What the transport calls

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._is_waiting:
            self._behind += data
            self.flow.pause_reading()
            return
        if self._held:
            self._held += data
            if len(self._held) < self._held_until:
                return
            data = self._take_held()
        if not self._is_between_requests():
            super().data_received(data)
        elif self._express is None or not self._answer(data, self._express):
            self._usual(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._same = self._express = None
        self._held, self._behind = bytearray(), bytearray()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server stops: what is under way is answered first."""
        if self._is_waiting:
            self._is_leaving = True
        else:
            super().shutdown()

    def check(self, now: float) -> None:
        """End the connection if it is overdue; a body that is, is told so the usual way."""
        if self._held and now >= self._deadline():
            self._usual(self._take_held())
        else:
            super().check(now)

    # What the parser calls

    def on_headers_complete(self) -> None:
        """The header block is complete: the application may offer an express for the next one."""
        super().on_headers_complete()
        if self._has_head and self._head:
            extensions: dict[str, Any] = self.scope.setdefault("extensions", {})
            extensions[OFFER] = partial(self._take_offer, self._head)
        self._head = b""

    def _take_offer(self, head: bytes, express: Express) -> None:
        if not self.transport.is_closing():
            self._same = SameHead.of(head)
            self._express = express if self._same else None

    def _usual(self, data: bytes) -> None:
        self._head = head_of(data) if data.startswith(b"POST ") else b""
        super().data_received(data)
        self._head = b""

    def _answer(self, data: bytes, express: Express) -> bool:
        """Answer an event; tell whether that is done, or will be when the rest has come."""
        found = self._same.body_at(data) if self._same else None
        if found is None or found[1] - found[0] > express.max_bytes:
            return False
        start, end = found
        if len(data) < end:
            self._held += data
            self._held_until = end
            self._unset_keepalive_if_required()
            self._deadline.step(self.loop.time() + self._limits.body_seconds)
            return True
        if len(data) > end:
            return False
        if not express.is_immediate:
            self._unset_keepalive_if_required()
            self._wait_for(express.answer(data[start:]), data)
            return True
        answer = run_now(express.answer(data[start:]))
        if answer is None:
            return False
        self._unset_keepalive_if_required()
        self._write_answer(*answer)
        return True

    def _wait_for(self, answering: _Answering, data: bytes) -> None:
        """Answer an event when that is told; the backend has a bound for it."""
        self._is_waiting = True
        self._deadline.step(Deadline.NEVER)
        task = self.loop.create_task(self._answer_later(answering, data))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer_later(self, answering: _Answering, data: bytes) -> None:
        answer = await answering
        self._is_waiting = False
        if self.transport.is_closing():
            return
        if answer is None:
            self._usual(data)
        else:
            self._write_answer(*answer)
        self._go_on()

    def _go_on(self) -> None:
        """Turn to what came while an event waited for its answer."""
        if self._is_leaving:
            super().shutdown()
            return
        self.flow.resume_reading()
        if self._behind:
            behind, self._behind = bytes(self._behind), bytearray()
            self.data_received(behind)

    def _write_answer(self, status: int, body: bytes) -> None:
        parts = [_STATUS_LINES[status]]
        for name, value in self.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        parts += (_HEADERS, b"content-length: %d\r\n\r\n" % len(body), body)
        self.transport.write(b"".join(parts))
        self.server_state.total_requests += 1
        self._deadline.step(self._idle_at())

    def _is_between_requests(self) -> bool:
        return (
            not self._is_reading
            and not self._quiet_bytes
            and not self._is_refused
            and self._is_answered
            and not self.pipeline
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )

    def _take_held(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        return held


_HEADERS = b"".join(
    b"%s: %s\r\n" % it for it in ((b"content-type", b"application/json"), *ON_EVERY_ANSWER)
)
