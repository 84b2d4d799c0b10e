"""What everybody saw, with the monotonic time at which they saw it; written first, judged later."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from math import inf
from typing import Any

ACCEPTED = frozenset({202, 206})


def now() -> float:
    """Monotonic seconds; one process writes the whole log, so all times compare."""
    return time.monotonic()


@dataclass(slots=True)
class Request:
    """One event that somebody publishes, however often it had to be sent.

    Attributes:
        event_id: Its id, the same each time.
        topic: Where it goes.
        name: `hub.event`.
        based_on: The version that an update was based on.
        sent_at: When it was sent, each time.
        status: Of the first answer that settles it, 0 as long as there is none.
        version: `context.versionId` of that answer.
        answered_at: When it came.
        body: What was sent.
    """

    event_id: str
    topic: str
    name: str
    based_on: str = ""
    sent_at: list[float] = field(default_factory=list)
    status: int = 0
    version: str = ""
    answered_at: float = inf
    body: bytes = b""

    @property
    def is_accepted(self) -> bool:
        """Whether a hub said that it is committed."""
        return self.status in ACCEPTED


@dataclass(frozen=True, slots=True)
class Frame:
    """One event notification on a connection.

    Attributes:
        at: When it came.
        event_id: `id`.
        topic: `hub.topic`.
        name: `hub.event`.
        anchor: "Type/id" of the anchor, "" for none.
        version: `context.versionId`.
        prior: `context.priorVersionId`.
    """

    at: float
    event_id: str
    topic: str
    name: str
    anchor: str = ""
    version: str = ""
    prior: str = ""


@dataclass(slots=True)
class Connection:
    """One WebSocket of a subscriber, from its opening on.

    Attributes:
        subscriber: Whose.
        topic: Of the subscription.
        node: Number of the hub.
        opened_at: When the upgrade was done.
        confirmed_at: When the hub confirmed, inf if it did not.
        frames: Events, as they came.
        denial: `hub.reason` of a denial.
        closed_at: When it ended, inf as long as it stands.
        code: With which close code; 1006 for none.
        is_dropped: Whether the subscriber itself cut it.
    """

    subscriber: str
    topic: str
    node: int
    opened_at: float
    confirmed_at: float = inf
    frames: list[Frame] = field(default_factory=list)
    denial: str = ""
    closed_at: float = inf
    code: int = 0
    is_dropped: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """A current context, as a hub tells it or as a subscriber shows it.

    Attributes:
        of: Who tells or shows it.
        topic: Of the session.
        anchor: "Type/id", "" for none.
        version: Its version, "" for none.
        content: Shared resources by "Type/id".
    """

    of: str
    topic: str
    anchor: str = ""
    version: str = ""
    content: dict[str, Any] = field(default_factory=dict)

    def shows_the_same(self, other: View) -> bool:
        """Whether two saw the same."""
        mine, theirs = ((it.anchor, it.version, it.content) for it in (self, other))
        return mine == theirs


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasted.

    Attributes:
        start: Its beginning.
        end: Its end.
        kind: What it was.
        node: Number of the hub that it hit, -1 for none or all.
    """

    start: float
    end: float
    kind: str
    node: int = -1


@dataclass(frozen=True, slots=True)
class Again:
    """The answer to an accepted request that was sent once more, long after.

    Attributes:
        event_id: Of the request.
        status: Of the answer.
        version: In the answer.
    """

    event_id: str
    status: int
    version: str


@dataclass(slots=True)
class Log:
    """All that a checker needs.

    Attributes:
        requests: By event id.
        connections: Of all subscribers.
        faults: What was done to whom, and when.
        at_nodes: The current context of each topic at each hub, in the end.
        at_subscribers: What each subscriber showed then.
        agains: What became of accepted requests that were sent once more.
        left_over: Keys in Redis after all had left.
        complaints: Lines in the hubs' logs that tell of a bug.
    """

    requests: dict[str, Request] = field(default_factory=dict)
    connections: list[Connection] = field(default_factory=list)
    faults: list[Span] = field(default_factory=list)
    at_nodes: list[View] = field(default_factory=list)
    at_subscribers: list[View] = field(default_factory=list)
    agains: list[Again] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def connections_of(self, topic: str) -> list[Connection]:
        """Return the connections of a topic, in the order of their opening."""
        return [it for it in self.connections if it.topic == topic]

    @property
    def topics(self) -> list[str]:
        """All topics that somebody was connected to."""
        return sorted({it.topic for it in self.connections})
