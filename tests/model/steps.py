"""What may happen next: a step for what Redis does, and one more for its answer.

The two come apart because answers and what is published come by two connections.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from builders import NOON, TOPIC
from fhircast_hub.backends.base import Published, SubscriptionMoved, SyncLost, published
from fhircast_hub.backends.redis.place import Place, Verdict
from fhircast_hub.protocol.judging import decide
from fhircast_hub.protocol.session import Rules

from model.subscriber import steps_of_the_subscriber
from model.world import EVENTS, Greeting, Node, World

if TYPE_CHECKING:
    from collections.abc import Iterator

Step = tuple[str, Callable[[World], None]]

LIFE = b"life"


def steps(world: World) -> Iterator[Step]:
    """Yield what may happen next, by name."""
    for number, writer in enumerate(world.writers):
        if writer.todo:
            write = _load if writer.loaded is None else _commit
            yield f"{write.__name__[1:]} {number}", partial(write, number)
    for name, node in world.nodes.items():
        for step in _steps_of(node, world):
            yield f"{step.__name__[1:]} {name}", partial(step, name)
    yield from steps_of_the_subscriber(world)


def _steps_of(node: Node, world: World) -> Iterator[Callable[[str, World], None]]:
    if node.inbox:
        yield _hear
    if node.is_up and node.follows and world.breaks:
        yield _break
    if world.crashes:
        yield _crash
    if not node.is_up and not node.follows:
        yield _recover
    elif not node.is_up:
        yield _give_up
        if node.greeting is None:
            yield _greet
        elif node.greeting.number < 0:
            yield _look
        elif not node.greeting.is_asked:
            yield _ask


# The store and its writers


def _load(number: int, world: World) -> None:
    world.writers[number].loaded = world.session


def _commit(number: int, world: World) -> None:
    """If the session still has the revision, keep the next one and publish; else begin anew."""
    writer = world.writers[number]
    loaded, writer.loaded = writer.loaded, None
    assert loaded is not None
    if loaded.revision != world.session.revision:
        return
    event = writer.todo.pop(0)
    decision = decide(loaded, EVENTS[event], version_id=event, now=NOON, rules=Rules())
    world.session = decision.session
    world.log.append(event)
    world.publish(published(TOPIC, decision))


# What a process hears


def _hear(name: str, world: World) -> None:
    node = world.nodes[name]
    heard = node.inbox.pop(0)
    if heard is None:
        _compare(node)
    elif node.follows:
        number, envelope, by = heard
        verdict = node.place.hear(LIFE, number)
        if verdict is Verdict.LOST:
            node.deliver(SyncLost(TOPIC))
        elif verdict is Verdict.TAKE and _concerns(node, envelope, by):
            node.deliver(envelope)


def _concerns(node: Node, envelope: Published | SubscriptionMoved, by: str) -> bool:
    if not isinstance(envelope, SubscriptionMoved):
        return True
    it = envelope.endpoint_id
    return node.place.is_moved(it, node.place.number, is_own=by == node.name)


# A line that breaks


def _break(name: str, world: World) -> None:
    node = world.nodes[name]
    world.breaks -= 1
    node.is_up = node.is_told = False
    node.inbox.clear()


def _give_up(name: str, world: World) -> None:
    node = world.nodes[name]
    node.follows, node.greeting, node.place = False, None, Place()
    node.deliver(SyncLost(TOPIC))


def _recover(name: str, world: World) -> None:
    world.nodes[name].is_up = True


def _greet(name: str, world: World) -> None:
    node = world.nodes[name]
    node.is_told = True
    node.greeting = Greeting(before=node.place.number)


def _look(name: str, world: World) -> None:
    greeting = world.nodes[name].greeting
    assert greeting is not None
    greeting.number = world.number


def _ask(name: str, world: World) -> None:
    node = world.nodes[name]
    assert node.greeting is not None
    node.greeting.is_asked = True
    node.inbox.append(None)


def _compare(node: Node) -> None:
    it, node.greeting = node.greeting, None
    if it is None:
        return  # it gave up before the sign came
    node.is_up = True
    if node.place.compare(LIFE, it.number, before=it.before) is Verdict.LOST:
        node.deliver(SyncLost(TOPIC))


# A process that dies


def _crash(name: str, world: World) -> None:
    """Its sockets are gone with it, and another process takes its place."""
    world.crashes -= 1
    world.nodes[name] = Node(name)
    if world.at == name and world.sink is not None:
        world.sink.is_open = False
    if world.join is not None and world.join.at == name:
        world.join = None
    world.gone = [it for it in world.gone if it[0] != name]
