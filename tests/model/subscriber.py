"""The subscriber's steps: it connects anywhere, wait by wait, and may lose its socket."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from builders import NOON, TOPIC
from fhircast_hub.backends.base import SubscriptionMoved
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.responses import NotificationResponse
from fhircast_hub.protocol.subscription import Subscription

from model.world import Join, Node, Sink, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENDPOINT = "endpoint"
_LIFE = b"life"
_SUBSCRIPTION = Subscription(
    TOPIC, ENDPOINT, {"patient-open": "Patient-open"}, 3600, "Viewer", "", NOON
)


def steps_of_the_subscriber(world: World) -> Iterator[tuple[str, Callable[[World], None]]]:
    """Yield what may happen next to it, by name."""
    has_socket = world.sink is not None and world.sink.is_open
    if world.join is not None:
        yield f"go on, {world.join.done}", _go_on
    elif has_socket and world.drops:
        yield "drop", _drop
    elif not has_socket:
        for node in world.nodes.values():
            if node.is_up:
                yield f"connect {node.name}", partial(_connect, node.name)
    for number in range(len(world.gone)):
        yield f"notice {number}", partial(_notice, number)


def follow_what_came(world: World) -> None:
    """Show what came last, and acknowledge everything at once if that is its way."""
    sink = world.sink
    if sink is None or not sink.followed:
        return
    world.shown = sink.followed[-1]
    links = (link for node in world.nodes.values() for link in node.fanout if link.sink is sink)
    for link in links if world.answers else ():
        for id in sink.followed:
            link.channel.responded(NotificationResponse(id, 200))


def _connect(name: str, world: World) -> None:
    world.sink, world.at, world.join = None, name, Join(name)


def _drop(world: World) -> None:
    """The subscriber knows that its socket is gone; the process does not yet."""
    world.drops -= 1
    sink, world.sink = world.sink, None
    assert sink is not None
    links = (link for link in world.nodes[world.at].fanout if link.sink is sink)
    world.gone += [(world.at, link, sink) for link in links]


def _notice(number: int, world: World) -> None:
    name, link, sink = world.gone.pop(number)
    world.nodes[name].fanout.detach(link, sink, 1006, 0)


# What the hub does to open a socket: `Sockets.endpoint`, `Hub.admit`, `attach`, `bring_up_to_date`


def _go_on(world: World) -> None:
    join = world.join
    assert join is not None
    _NEXT[join.done](world, join, world.nodes[join.at])


def _follow(world: World, join: Join, node: Node) -> None:
    """Redis tells the process of the topic from now on; 503 if it does not hear now."""
    if not node.is_up:
        _turn_away(world, join, node)
        return
    node.follows = node.is_told = True
    join.place = node.place
    is_safe = node.place.is_known and node.fanout.has_channels(TOPIC)
    join.done = "following" if is_safe else "subscribed"


def _look(world: World, join: Join, _node: Node) -> None:
    join.done, join.number = "looked", world.number


def _start(_world: World, join: Join, _node: Node) -> None:
    join.place.start(_LIFE, join.number)  # nobody's any more, if the process gave up meanwhile
    join.done = "following"


def _go_on_following(world: World, join: Join, _node: Node) -> None:
    """Admit before the socket is there; see what became of the record once it is."""
    if join.link is None:
        world.record = join.record = world.publish(SubscriptionMoved(TOPIC, ENDPOINT), join.at)
        join.done = "admitted"
    else:
        join.is_known = world.record == join.record
        join.done = "seen"


def _attach(world: World, join: Join, node: Node) -> None:
    if node.follows:
        node.place.note_join(ENDPOINT, join.record)
    world.sink = Sink()
    join.link, consequence = node.fanout.attach(_SUBSCRIPTION, world.sink, 0)
    assert not consequence.ended
    join.done = "asked"


def _see(world: World, join: Join, node: Node) -> None:
    if join.is_known:
        _load_if_needed(world, join)
    else:
        _turn_away(world, join, node)


def _load(world: World, join: Join, _node: Node) -> None:
    join.session, join.done = world.session, "loaded"


def _replay(world: World, join: Join, node: Node) -> None:
    assert join.link is not None
    assert join.session is not None
    node.fanout.replay(join.link, join.session, 0)
    join.session = None
    _load_if_needed(world, join)


def _load_if_needed(world: World, join: Join) -> None:
    assert join.link is not None
    join.done = "known"
    if not join.link.channel.needs_replay:
        world.join = None


def _turn_away(world: World, join: Join, node: Node) -> None:
    """The socket is closed, to come back, or was never opened."""
    world.join = None
    if join.link is not None:
        node.fanout.let_go(TOPIC, CloseReason.RECONNECT, ENDPOINT)


_NEXT = {
    "asked": _follow,
    "subscribed": _look,
    "looked": _start,
    "following": _go_on_following,
    "admitted": _attach,
    "seen": _see,
    "known": _load,
    "loaded": _replay,
}
