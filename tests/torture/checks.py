"""Reads the log afterwards, and says what must not have happened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

from torture.log import ACCEPTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torture.log import Connection, Frame, Log


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not have happened.

    Attributes:
        rule: Which rule it breaks.
        text: What happened.
    """

    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Wait:
    """An event under way to a subscriber.

    Attributes:
        event_id: Of the event.
        connection: To whom.
        start: When it was committed, at the latest.
        end: When it came, or the connection ended: then the subscriber knows that something may be
            missing. inf if neither did.
    """

    event_id: str
    connection: Connection
    start: float
    end: float


def violations(log: Log, announced_within: float) -> list[Violation]:
    """Return all that the log holds against the hubs.

    Args:
        log: Of a run that is over.
        announced_within: Seconds after a commit within which who is connected has it or is told.
    """
    found: list[Violation] = []
    for topic in log.topics:
        found += _order(log, topic)
        found += _versions(log, topic)
        found += _announced(log, topic, announced_within)
    found += _strangers(log)
    found += _settled(log)
    found += _again(log)
    found += [Violation("left over", it) for it in log.left_over]
    found += [Violation("bug in a log", it) for it in log.complaints]
    return found


def live_frames(log: Log, connection: Connection) -> list[Frame]:
    """Return the events of a connection that were committed after it was confirmed.

    What comes first may be told again: open contexts, and what was not answered. Live at the
    latest is what nobody had sent before the confirmation, and all that comes after that.
    """
    for place, it in enumerate(connection.frames):
        request = log.requests.get(it.event_id)
        if request is not None and request.sent_at[0] > connection.confirmed_at:
            return connection.frames[place:]
    return []


def _repeated(log: Log, topic: str) -> set[str]:
    """Return ids that were broadcast again because somebody sent them again (D-28)."""
    found = set()
    for connection in log.connections_of(topic):
        counts = Counter(it.event_id for it in connection.frames)
        for event_id, count in counts.items():
            request = log.requests.get(event_id)
            if count > 1 and request is not None and len(request.sent_at) > 1:
                found.add(event_id)
    return found


def _order(log: Log, topic: str) -> Iterator[Violation]:
    """One order for all, without gaps: every event has one successor, whoever saw it."""
    again = _repeated(log, topic)
    after: dict[str, str] = {}
    before: dict[str, str] = {}
    for connection in log.connections_of(topic):
        counts = Counter(it.event_id for it in connection.frames)
        for event_id, count in counts.items():
            if count > 1 and event_id not in again:
                yield Violation("doubled", f"{event_id} came {count} times to {_who(connection)}")
        chain = [it.event_id for it in live_frames(log, connection) if it.event_id not in again]
        for one, other in pairwise(chain):
            for links, key, value in ((after, one, other), (before, other, one)):
                if links.setdefault(key, value) != value:
                    text = f"{key} stands beside {links[key]} and {value} ({_who(connection)})"
                    yield Violation("order", text)
    yield from _circles(after)


def _circles(after: dict[str, str]) -> Iterator[Violation]:
    seen: set[str] = set()
    for start in after:
        walked: set[str] = set()
        at = start
        while at in after and at not in seen:
            if at in walked:
                yield Violation("order", f"{at} comes before itself")
                break
            walked.add(at)
            at = after[at]
        seen |= walked


def _versions(log: Log, topic: str) -> Iterator[Violation]:
    """One linear chain of versions: each connection saw one, and no version has two successors."""
    again = _repeated(log, topic)
    followers: dict[str, str] = {}
    versions: dict[str, str] = {}
    for connection in log.connections_of(topic):
        live = live_frames(log, connection)
        yield from _chain(connection, [it for it in live if it.event_id not in again])
        for it in connection.frames:
            if it.prior and followers.setdefault(it.prior, it.event_id) != it.event_id:
                text = f"{it.prior} is followed by {followers[it.prior]} and {it.event_id}"
                yield Violation("versions", text)
            versions[it.event_id] = it.version
    for request in log.requests.values():
        if request.topic != topic or not request.is_accepted:
            continue
        first = followers.get(request.based_on, request.event_id)
        if request.name.endswith("-update") and first != request.event_id:
            text = f"{request.event_id} was accepted, but {first} follows {request.based_on}"
            yield Violation("versions", text)
        told = versions.get(request.event_id, request.version)
        if request.version and told != request.version:
            text = f"{request.event_id} was answered with another version than was broadcast"
            yield Violation("versions", text)


def _chain(connection: Connection, live: list[Frame]) -> Iterator[Violation]:
    # An open that is told again has the version that it made, which may be long past.
    last: dict[str, str] = {}
    for it in live:
        known = last.get(it.anchor)
        if it.name.endswith("-close"):
            last.pop(it.anchor, None)  # an older close ends nothing (D-26): either may follow
            continue
        if not it.version or not it.anchor:
            continue
        expected = it.prior or it.version
        if known is not None and expected != known:
            text = f"{it.event_id} builds on {expected or 'nothing'} instead of {known}"
            yield Violation("versions", f"{text} ({_who(connection)})")
        last[it.anchor] = it.version


def _announced(log: Log, topic: str, within: float) -> Iterator[Violation]:
    """Who is connected gets what is committed, or is told that it lost something, in time."""
    for it in waits(log, topic):
        allowed = within + _stopped(log, it.connection, it.start, it.start + within)
        if it.end > it.start + allowed:
            late = "never" if it.end == inf else f"{it.end - it.start:.1f} s later"
            text = f"{it.event_id} came, or its loss was told, {late} to {_who(it.connection)}"
            yield Violation("announced", text)


def waits(log: Log, topic: str) -> Iterator[Wait]:
    """Return for how long each event was under way to each who was connected when it was sent."""
    committed: dict[str, float] = {}
    for request in log.requests.values():
        if request.topic == topic and request.is_accepted:
            committed[request.event_id] = request.answered_at
    connections = log.connections_of(topic)
    for connection in connections:
        for it in connection.frames:
            if it.event_id in log.requests:
                committed[it.event_id] = min(committed.get(it.event_id, inf), it.at)
    for connection in connections:
        came = {it.event_id: it.at for it in reversed(connection.frames)}
        for event_id, at in committed.items():
            if log.requests[event_id].sent_at[0] <= connection.confirmed_at:
                continue
            end = min(came.get(event_id, inf), connection.closed_at)
            if end > at:
                yield Wait(event_id, connection, at, end)


def _stopped(log: Log, connection: Connection, start: float, end: float) -> float:
    """Return for how long a hub could say nothing at all, since it was stopped, from then on."""
    stops = [it for it in log.faults if it.kind == "STOP_NODE" and it.node == connection.node]
    return sum(it.end - it.start for it in stops if it.end > start and it.start < end)


def _strangers(log: Log) -> Iterator[Violation]:
    """Nobody gets events of another topic, or such that nobody published or that were refused."""
    for connection in log.connections:
        for it in connection.frames:
            request = log.requests.get(it.event_id)
            wrong = ""
            if it.topic != connection.topic:
                wrong = f"is of {it.topic}"
            elif request is None:
                wrong = "" if it.name == "SyncError" else "was never published"
            elif request.topic != connection.topic:
                wrong = f"was published for {request.topic}"
            elif 400 <= request.status < 500 and len(request.sent_at) == 1:
                wrong = f"was refused with {request.status}"
            if wrong:
                text = f"{it.event_id} {wrong}, and came to {_who(connection)}"
                yield Violation("strangers", text)


def _settled(log: Log) -> Iterator[Violation]:
    """In the end all hubs tell, and all subscribers show, the same."""
    for topic in log.topics:
        views = [it for it in log.at_nodes if it.topic == topic]
        shown = [it for it in log.at_subscribers if it.topic == topic]
        if not views or not shown:
            yield Violation("settled", f"nobody tells or shows the context of {topic}")
            continue
        for it in views[1:] + shown:
            if not it.shows_the_same(views[0]):
                mine, theirs = ((v.anchor, v.version, len(v.content)) for v in (it, views[0]))
                text = f"{it.of} has {mine} in {topic}, {views[0].of} has {theirs}"
                yield Violation("settled", text)


def _again(log: Log) -> Iterator[Violation]:
    """What was accepted is known when it comes again."""
    for it in log.agains:
        request = log.requests[it.event_id]
        if it.status not in ACCEPTED or it.version != request.version:
            yield Violation("lost", f"{it.event_id} was accepted, then {it.status} {it.version}")


def _who(connection: Connection) -> str:
    return f"{connection.subscriber} at hub {connection.node}"
