"""Two processes, one store, lines that break, writers that race, one subscriber: a state of them.

What decides is the hub's own code: `decide`, `Fanout` with its channels, `Place`. All events are
opens of other patients at the same moment, so whatever was committed last is to be shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builders import TOPIC, case, item, message, parsed
from fhircast_hub.backends.base import Published, SubscriptionMoved, SyncLost
from fhircast_hub.backends.redis.place import Place
from fhircast_hub.fanout import Fanout
from fhircast_hub.protocol.channel import ChannelRules
from fhircast_hub.protocol.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_hub.fanout import Link
    from fhircast_hub.protocol.channel_state import CloseReason
    from fhircast_hub.protocol.messages import EventNotification


def _opening(number: int) -> EventNotification:
    return parsed(message("Patient-open", [item(case(number)[1])], id=f"e{number}"))


EVENTS = {f"e{number}": _opening(number) for number in range(1, 4)}

Heard = tuple[int, Published | SubscriptionMoved, str]
"""A number, what was published under it, and the name of the process that did."""


class Sink:
    """A socket; what is put there has come.

    Attributes:
        followed: Ids of the events that came, in order.
        is_open: Whether the process has not closed it.
    """

    def __init__(self) -> None:
        self.followed: list[str] = []
        self.is_open = True

    def put(self, frame: bytes) -> bool:
        """See `FrameSink.put`."""
        self.followed += [it for it in EVENTS if b'"id":"%b"' % it.encode() in frame]
        return True

    def close(self, _reason: CloseReason, _last: Iterable[bytes] = ()) -> None:
        """See `FrameSink.close`."""
        self.is_open = False


@dataclass
class Greeting:
    """What a process has done since its line broke.

    Attributes:
        before: Number of its place before the look.
        number: What the look said, -1 before it.
        is_asked: Whether the sign was asked for behind which nothing older can come.
    """

    before: int
    number: int = -1
    is_asked: bool = False


@dataclass
class Node:
    """A process of the hub, as far as one topic concerns it.

    Attributes:
        name: What it is called; the one that takes its place after a crash is called the same.
        inbox: What was published and is not heard yet; None is the sign that was asked for.
        is_up: Whether all that is published is heard.
        follows: Whether it means to hear the topic.
        is_told: Whether Redis tells it of the topic.
    """

    name: str
    fanout: Fanout = field(default_factory=lambda: Fanout(ChannelRules()))
    place: Place = field(default_factory=Place)
    inbox: list[Heard | None] = field(default_factory=list)
    is_up: bool = True
    follows: bool = False
    is_told: bool = False
    greeting: Greeting | None = None

    def deliver(self, envelope: Published | SubscriptionMoved | SyncLost) -> None:
        """Hand an envelope to the channels."""
        for consequences in self.fanout.deliver(envelope, None, 0):
            assert not consequences


@dataclass
class Join:
    """A socket that is being opened.

    Attributes:
        at: The process.
        done: What was done last.
        place: Of the process, when it began to follow the topic for this.
        number: What the look at the topic said.
        record: Number of the record that was put.
        is_known: Whether it was still that one, with the socket open.
        session: What was loaded.
        link: The channel, once there is one.
    """

    at: str
    done: str = "asked"
    place: Place = field(default_factory=Place)
    number: int = 0
    record: int = 0
    is_known: bool = False
    session: Session | None = None
    link: Link | None = None


@dataclass
class Writer:
    """A publisher's requests, one after the other.

    Attributes:
        todo: Ids of the events that are not committed yet.
        loaded: The session on which the next one is decided.
    """

    todo: list[str]
    loaded: Session | None = None


@dataclass
class World:
    """Everything there is.

    Attributes:
        session: What the store holds.
        number: Of what it published last.
        record: Number with which the subscription's record was put last.
        log: Ids of the committed events, in order.
        breaks: How often a line may still break.
        crashes: How often a process may still die.
        drops: How often a socket may still be lost.
        at: Where the subscriber connected last.
        sink: Its socket, None while it has none.
        join: Its socket while it is being opened.
        shown: Id of the event that it followed last.
        gone: Sockets that were lost and of which their process does not know yet.
        answers: Whether it acknowledges.
        is_orderly: Whether nothing may come behind what is newer. Who lost a socket before it ever
            answered gets again what was kept, and only the last of it has to be the newest (D-45).
    """

    nodes: dict[str, Node]
    writers: list[Writer]
    session: Session
    number: int = 0
    record: int = 0
    log: list[str] = field(default_factory=list)
    breaks: int = 0
    crashes: int = 0
    drops: int = 0
    at: str = ""
    sink: Sink | None = None
    join: Join | None = None
    shown: str = ""
    gone: list[tuple[str, Link, Sink]] = field(default_factory=list)
    answers: bool = True
    is_orderly: bool = True

    def publish(self, envelope: Published | SubscriptionMoved, by: str = "") -> int:
        """Tell every process that Redis tells of the topic; return the number."""
        self.number += 1
        for node in self.nodes.values():
            if node.is_told:
                node.inbox.append((self.number, envelope, by))
        return self.number


def first_world(
    *todo: list[str], breaks: int = 0, crashes: int = 0, drops: int = 0, answers: bool = True
) -> World:
    """Return the state in which everything begins: nothing is open, nobody is connected.

    Args:
        todo: For each writer, ids of its events.
        breaks: See `World`.
        crashes: See `World`.
        drops: See `World`.
        answers: See `World`.
    """
    return World(
        nodes={it: Node(it) for it in ("A", "B")},
        writers=[Writer(it) for it in todo],
        session=Session(TOPIC, "v0"),
        breaks=breaks,
        crashes=crashes,
        drops=drops,
        answers=answers,
        is_orderly=not drops,
    )
