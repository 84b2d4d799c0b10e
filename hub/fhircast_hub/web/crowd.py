"""How many connections there are, and how long each may take: bounds below the application."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from fhircast_hub.web.forwarded import TrustedProxies
from fhircast_hub.web.peers import peer_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_hub.config import Settings


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of one connection; see the settings of the same names.

    Attributes:
        header_seconds: For the header block of a request to come in.
        body_seconds: For its body, or a message in fragments, to come in.
        idle_seconds: Without a request.
        write_seconds: For a peer to read what it is sent.
        max_header_bytes: Size of a header block, and of the trailers of a body in chunks.
        max_frames_per_second: Of a subscriber, beyond one for each that it was sent; 0 for any.
    """

    header_seconds: float = 10
    body_seconds: float = 30
    idle_seconds: float = 75
    write_seconds: float = 30
    max_header_bytes: int = 32_768
    max_frames_per_second: int = 100

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return those that the settings name."""
        return cls(
            header_seconds=settings.header_timeout_seconds,
            body_seconds=settings.body_timeout_seconds,
            idle_seconds=settings.idle_timeout_seconds,
            write_seconds=settings.write_timeout_seconds,
            max_header_bytes=settings.max_header_bytes,
            max_frames_per_second=settings.max_frames_per_second,
        )


class Crowd:
    """The connections of this process, counted by the address that they really come from.

    Attributes:
        max_total: Connections at a time, 0 for any number.
    """

    def __init__(self, *, max_total: int, max_per_peer: int, proxies: Iterable[str] = ()) -> None:
        self.max_total = max_total
        self._max_per_peer = max_per_peer
        self._proxies = TrustedProxies(proxies)
        self._counts: Counter[str] = Counter()
        self._total = 0

    def enter(self, address: str) -> bool:
        """Count a connection; tell whether there is room. To be left in either case."""
        peer = peer_key(address)
        self._counts[peer] += 1
        self._total += 1
        if self.max_total and self._total > self.max_total:
            return False
        is_crowded = self._max_per_peer and self._counts[peer] > self._max_per_peer
        return not is_crowded or address in self._proxies

    def leave(self, address: str) -> None:
        """A connection is gone."""
        peer = peer_key(address)
        self._counts[peer] -= 1
        self._total -= 1
        if not self._counts[peer]:
            del self._counts[peer]


class Watched(Protocol):
    """A connection that has a deadline."""

    def check(self, now: float) -> None:
        """End the connection if it is overdue.

        Args:
            now: Time of the event loop.
        """
        ...


class Deadline:
    """When a connection is overdue: one moment, moved as the connection gets on.

    Looked at by a sweep over all connections, so that no timer is needed for each.
    """

    __slots__ = ("_closing", "_stalled", "_step")

    NEVER = float("inf")

    def __init__(self, at: float) -> None:
        self._step = at
        self._stalled = self._closing = self.NEVER

    def __call__(self) -> float:
        """Return the moment."""
        if self._closing < self.NEVER:
            return self._closing
        return min(self._step, self._stalled)

    @property
    def has_step(self) -> bool:
        """Whether the step that the connection is at may not take for ever."""
        return self._step < self.NEVER

    def step(self, until: float) -> None:
        """The connection got on to a step that may take until then."""
        self._step = until

    def stall(self, until: float) -> None:
        """The peer does not read; it may take until then."""
        self._stalled = until

    def resume(self) -> None:
        """The peer reads again."""
        self._stalled = self.NEVER

    def close(self, until: float) -> None:
        """The connection is being closed; it may take until then, counted from the first call."""
        self._closing = min(self._closing, until)
