"""The books: what was sent and answered, and what came to whom, how often and in which order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


class Sent:
    """One event and what became of it. Times are seconds of one monotonic clock.

    Attributes:
        topic: Number of its topic.
        position: In its topic; a subscriber must get the events of a topic in this order.
        name: `hub.event`.
        counts: Whether it is measured, or only warms up.
        due_at: When it had to be sent: latencies begin here.
        answered_at: When the answer was there; 0 before.
        status: Of the answer; 0 while there is none, or if none came.
        first_at: When the first subscriber had it.
        last_at: When the last one had it that got it.
        deliveries: Subscribers that have it.
    """

    __slots__ = (
        "answered_at",
        "counts",
        "deliveries",
        "due_at",
        "first_at",
        "got_by",
        "last_at",
        "name",
        "position",
        "status",
        "topic",
    )

    def __init__(self, topic: int, position: int, name: str, *, due_at: float, counts: bool):
        self.topic = topic
        self.position = position
        self.name = name
        self.counts = counts
        self.due_at = due_at
        self.answered_at = 0.0
        self.status = 0
        self.first_at = 0.0
        self.last_at = 0.0
        self.deliveries = 0
        self.got_by = 0  # a bit for each subscriber of the topic

    @property
    def is_accepted(self) -> bool:
        """Whether the hub said that it takes the event, so that everybody must get it."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Account:
    """What the books say of deliveries.

    Attributes:
        expected: Accepted events times the subscribers of their topics.
        delivered: Deliveries, a doubled one counted once.
        missing: Expected and never seen.
        doubled: Deliveries of what the subscriber had.
        out_of_order: Deliveries of an event after one that was sent later.
        unexpected: Deliveries of events that the hub refused.
        strange: Events that nobody here sent, or that came to the wrong topic.
        undecided: Deliveries of events whose answer never came: right or wrong cannot be told.
    """

    expected: int
    delivered: int
    missing: int
    doubled: int
    out_of_order: int
    unexpected: int
    strange: int
    undecided: int

    @property
    def is_right(self) -> bool:
        """Whether everybody got everything exactly once and in order, and nothing else."""
        wrong = (self.missing, self.doubled, self.out_of_order, self.unexpected, self.strange)
        return not any(wrong)


@dataclass(slots=True)
class Ledger:
    """Takes down what happens, and draws the account at the end.

    Attributes:
        topics: How many there are.
        subscribers: Of each topic.
        sent: All events, in the order in which they were sent.
        statuses: Answers by status; 0 stands for none.
        others: Frames that are no events of ours, by what they are: SyncError, denial …
        deliveries: All that came, doubled ones too: what a progress display shows.
    """

    topics: int
    subscribers: int
    sent: list[Sent] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    deliveries: int = 0
    _by_id: dict[str, Sent] = field(default_factory=dict)
    _last: list[int] = field(init=False)
    _doubled: int = 0
    _out_of_order: int = 0
    _strange: int = 0
    _owed: int = 0

    def __post_init__(self) -> None:
        self._last = [-1] * (self.topics * self.subscribers)

    def send(self, event_id: str, event: Sent) -> None:
        """An event goes out now."""
        self.sent.append(event)
        self._by_id[event_id] = event

    def find(self, event_id: str | None) -> Sent | None:
        """Return the event that was sent with an id."""
        return self._by_id.get(event_id) if event_id is not None else None

    def answer(self, event: Sent, status: int, now: float) -> None:
        """Its answer is there, or (status 0) will never come."""
        event.status = status
        event.answered_at = now
        self.statuses[status] += 1
        if event.is_accepted:
            self._owed += self.subscribers - event.deliveries

    def deliver(self, topic: int, subscriber: int, event: Sent | None, now: float) -> None:
        """A subscriber, by its number in the topic, got an event; None is one of somebody else."""
        self.deliveries += 1
        if event is None or event.topic != topic:
            self._strange += 1
            return
        bit = 1 << subscriber
        if event.got_by & bit:
            self._doubled += 1
            return
        event.got_by |= bit
        event.deliveries += 1
        event.last_at = now
        self._owed -= event.is_accepted
        if event.deliveries == 1:
            event.first_at = now
        seat = topic * self.subscribers + subscriber
        if event.position < self._last[seat]:
            self._out_of_order += 1
        else:
            self._last[seat] = event.position

    def is_complete(self, event: Sent) -> bool:
        """Whether everybody has it."""
        return event.deliveries == self.subscribers

    @property
    def is_owed(self) -> bool:
        """Whether answers or deliveries are still to come."""
        return self._owed > 0 or self.statuses.total() < len(self.sent)

    @property
    def movements(self) -> int:
        """Grows with whatever comes."""
        return self.deliveries + self.statuses.total()

    def account(self) -> Account:
        """Draw the account: what has not come now is missing."""
        accepted = [it for it in self.sent if it.is_accepted]
        expected = len(accepted) * self.subscribers
        arrived = sum(it.deliveries for it in accepted)
        return Account(
            expected=expected,
            delivered=sum(it.deliveries for it in self.sent),
            missing=expected - arrived,
            doubled=self._doubled,
            out_of_order=self._out_of_order,
            unexpected=sum(it.deliveries for it in self.sent if it.status >= 300),
            strange=self._strange,
            undecided=sum(it.deliveries for it in self.sent if not it.status),
        )
