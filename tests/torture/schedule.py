"""Which fault hits whom and when: made up from a seed before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random


class Kind(Enum):
    """What can happen to a hub, to Redis or to a subscriber."""

    KILL_NODE = "a hub is killed and started again"
    KILL_REDIS = "Redis is killed and started again"
    STOP_NODE = "a hub is stopped (SIGSTOP) for a while"
    CUT_NODE = "a hub's connections to Redis break, and no new one is made"
    BLINK_NODE = "a hub's connections to Redis break, and are made again soon"
    HANG_NODE = "a hub's connections to Redis stand and carry nothing"
    HANG_HALF = "one of a hub's connections to Redis stands and carries nothing"
    SLOW_NODE = "a hub's way to Redis takes longer"
    DROP_SOCKETS = "subscribers' connections break"
    RESTART_NODE = "a hub is told to stop, and started again"


_WEIGHTS = {
    Kind.KILL_NODE: 6,
    Kind.KILL_REDIS: 6,
    Kind.STOP_NODE: 3,
    Kind.CUT_NODE: 3,
    Kind.BLINK_NODE: 5,
    Kind.HANG_NODE: 3,
    Kind.HANG_HALF: 2,
    Kind.SLOW_NODE: 2,
    Kind.DROP_SOCKETS: 6,
}

_LASTS = {
    Kind.KILL_NODE: (0.1, 1.0),
    Kind.KILL_REDIS: (0.0, 2.0),
    Kind.STOP_NODE: (0.2, 2.5),
    Kind.CUT_NODE: (0.1, 2.5),
    Kind.BLINK_NODE: (0.05, 0.4),
    Kind.HANG_NODE: (0.1, 2.5),
    Kind.HANG_HALF: (0.1, 2.5),
    Kind.SLOW_NODE: (0.5, 3.0),
    Kind.DROP_SOCKETS: (0.0, 0.0),
}
"""Seconds, so chosen that some faults are over before anybody may notice, and others are not."""

_REST_SECONDS = {Kind.KILL_NODE: 2.0, Kind.KILL_REDIS: 1.5}
"""For which the same one is left alone afterwards: it has to come up."""

_PAUSE_SECONDS = 0.2, 1.6

REDIS = -1


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        at: Seconds after the beginning.
        kind: What.
        node: Number of the hub, REDIS for Redis and for what hits no hub.
        seconds: How long it lasts.
        salt: Chance for whoever carries it out.
    """

    at: float
    kind: Kind
    node: int
    seconds: float
    salt: int


def schedule(seed: int, seconds: float, nodes: int) -> list[Fault]:
    """Return the faults of a run: the same for the same arguments, and none twice at one place."""
    chance = Random(seed)
    is_free_at = dict.fromkeys([REDIS, *range(nodes)], 0.0)
    faults = []
    at = chance.uniform(*_PAUSE_SECONDS)
    while at < seconds:
        kind = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        lasts = round(chance.uniform(*_LASTS[kind]), 3)
        hits_node = kind not in {Kind.KILL_REDIS, Kind.DROP_SOCKETS}
        node = chance.randrange(nodes) if hits_node else REDIS
        salt = chance.getrandbits(32)
        if kind is Kind.DROP_SOCKETS or is_free_at[node] <= at:
            faults.append(Fault(round(at, 3), kind, node, lasts, salt))
            if kind is not Kind.DROP_SOCKETS:
                is_free_at[node] = at + lasts + _REST_SECONDS.get(kind, 0.3)
        at += chance.uniform(*_PAUSE_SECONDS)
    return faults
