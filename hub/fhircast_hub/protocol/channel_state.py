"""The states of a channel as a table, and the reasons for which the hub closes a socket.

An illegal step is a missing key, and a missing key is one typed error.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a channel stands."""

    __hash__ = object.__hash__  # a member is one object; the usual hash runs in Python

    WAITING = "waiting for the first connection"
    REPLAYING = "confirmed; open contexts are being sent"
    LIVE = "connected"
    HELD = "connection gone; may come back"
    ENDED = "ended"


class Step(Enum):
    """What moves a channel."""

    __hash__ = object.__hash__  # a member is one object; the usual hash runs in Python

    CONNECTED = "a socket was opened at the endpoint"
    REPLAYED = "the open contexts, or the frames that were held, are sent"
    DROPPED = "the socket is gone"
    FINISHED = "the subscription is over"


_NEXT: dict[State, dict[Step, State]] = {
    State.WAITING: {Step.CONNECTED: State.REPLAYING, Step.FINISHED: State.ENDED},
    State.REPLAYING: {
        Step.CONNECTED: State.REPLAYING,
        Step.REPLAYED: State.LIVE,
        Step.DROPPED: State.HELD,
        Step.FINISHED: State.ENDED,
    },
    State.LIVE: {
        Step.CONNECTED: State.REPLAYING,
        Step.DROPPED: State.HELD,
        Step.FINISHED: State.ENDED,
    },
    State.HELD: {Step.CONNECTED: State.REPLAYING, Step.FINISHED: State.ENDED},
    State.ENDED: {},
}


class IllegalStep(Exception):
    """The wrapper asked a channel for a step that its state does not have: a bug, not bad input."""

    def __init__(self, state: State, step: Step) -> None:
        super().__init__(f"no step {step.name} from {state.name}")
        self.state = state
        self.step = step


def next_state(state: State, step: Step) -> State:
    """Return the state that a step leads to.

    Raises:
        IllegalStep: The state does not have this step.
    """
    after = _NEXT[state].get(step)
    if after is None:
        raise IllegalStep(state, step)
    return after


class CloseReason(Enum):
    """Why the hub closes a socket: close code, reason in words, and whether a denial goes first.

    Spec: CONF-05, D-22, D-24, D-43, D-44.
    """

    UNSUBSCRIBED = (1000, "unsubscribed", True)
    LEASE_ENDED = (1000, "lease ended", True)
    NOT_KNOWN = (1008, "no such subscription", True)
    TOKEN_ENDED = (1008, "the token is not valid any more", True)
    UNRESPONSIVE = (1008, "no acknowledgements", True)
    TOO_SLOW = (1008, "too slow to receive", True)
    FLOODING = (1008, "too many frames", True)
    REPLACED = (1008, "replaced", False)
    INTERNAL = (1011, "internal error", True)
    SHUTDOWN = (1001, "hub shut down", True)
    RECONNECT = (1001, "connect again", False)

    def __init__(self, code: int, text: str, is_denial: bool) -> None:
        self.code = code
        self.text = text
        self.is_denial = is_denial
