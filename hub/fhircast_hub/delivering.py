"""What is committed goes out, topic by topic, in order; a wide topic does not hold up the others.

A topic with few subscribers gets an event at once, in the step that commits it. To one with many it
goes out in parts, and between two parts everybody else has a turn: the other topics' events,
requests, answers. What is committed to such a topic meanwhile waits behind it, so that its order
stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fhircast_hub.backends.base import (
    Published,
    SubscriptionEnded,
    SubscriptionMoved,
    SubscriptionReplaced,
    SyncLost,
    topic_of,
)
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fhircast_hub.backends.base import Backend, Envelope
    from fhircast_hub.clock import Clock
    from fhircast_hub.fanout import Consequence, Fanout
    from fhircast_hub.protocol.subscription import Subscription

logger = logging.getLogger(__name__)

_MAX_BEHIND = 64
"""Events of a wide topic that may wait to go out; who requests more of that topic is put off."""

_MOST_BEHIND = 8 * _MAX_BEHIND
"""The same if other processes take the requests: beyond it, who is behind begins anew."""

_PARTS_A_TURN = 8
"""Parts that go out of a topic that is behind before others have their turn."""

Part = list["Consequence"]


@dataclass(slots=True)
class _Lane:
    """A wide topic: what goes out at the moment, its parts, and what waits behind it."""

    waiting: deque[Envelope] = field(default_factory=deque)
    going: Envelope | None = None
    parts: Iterator[Part] | None = None


class Delivering:
    """Brings what a backend publishes to the channels of this process; its `Listener`.

    Args:
        backend: Where it comes from.
        fanout: Where it goes.
        clock: Where the time comes from.
        conclude: Takes what channels concluded.
    """

    def __init__(
        self,
        backend: Backend,
        fanout: Fanout,
        clock: Clock,
        conclude: Callable[[Consequence], None],
    ) -> None:
        self._backend = backend
        self._fanout = fanout
        self._clock = clock
        self._conclude = conclude
        self._lanes: dict[str, _Lane] = {}
        self._has_lane = asyncio.Event()
        self._has_moved = asyncio.Event()

    def take(self, envelope: Envelope) -> None:
        """See `Listener.take`: what can go out at once goes out at once."""
        topic = topic_of(envelope)
        lane = self._lanes.get(topic)
        if lane is None:
            if not self._is_long(envelope, topic):
                self._deliver(envelope)
                return
            lane = self._lanes[topic] = _Lane()
            self._has_lane.set()
        if self._backend.is_shared and len(lane.waiting) >= _MOST_BEHIND:
            # Other processes took the requests and are not put off by this one.
            lane.waiting.clear()
            lane.waiting.append(SyncLost(topic))
        lane.waiting.append(envelope)

    def has_channels(self, topic: str) -> bool:
        """See `Listener.has_channels`."""
        return self._fanout.has_channels(topic)

    def joined(self) -> Iterator[Subscription]:
        """See `Listener.joined`."""
        return (link.record for link in self._fanout)

    def require_room(self, topic: str) -> None:
        """Pass if the events of a topic go out about as fast as they come.

        Asked before a request is judged. What the hub itself has to tell (SyncErrors, ends) goes
        out in any case: there is at most one for each failure.

        Raises:
            Unavailable: Too many wait; the answer to them would say nothing about who has them.
        """
        lane = self._lanes.get(topic)
        if lane is not None and len(lane.waiting) >= _MAX_BEHIND:
            raise Unavailable("the session's events cannot go out as fast as they come", rule="2.6")

    def catch_up(self, subscription: Subscription) -> None:
        """Hand a channel at once what waits for it, before a new socket changes its state.

        The session that it is brought up to date with holds these events already: of a channel that
        also kept some of before, they must not come first.
        """
        self._forget_moves(subscription)
        lane = self._lanes.get(subscription.topic)
        for envelope in () if lane is None else (lane.going, *lane.waiting):
            if isinstance(envelope, Published):
                now = self._clock.monotonic()
                self._note(self._fanout.hand_to(subscription, envelope, now))
            elif _is_about(envelope, subscription.endpoint_id):
                break  # what is behind comes under other rights

    def _forget_moves(self, subscription: Subscription) -> None:
        """A subscription comes here: that it went elsewhere before is no more to be carried out."""
        topic = subscription.topic
        lane = self._lanes.get(topic)
        if lane is None:
            return
        moved = SubscriptionMoved(topic, subscription.endpoint_id)
        lane.waiting = deque(it for it in lane.waiting if it != moved)
        if lane.going is None and not lane.waiting:
            del self._lanes[topic]
            self._has_moved.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve the wide topics until told to stop, and then what still waits."""
        serving = asyncio.create_task(self._serve_lanes())
        await stop.wait()
        while self._lanes:
            self._has_moved.clear()
            await self._has_moved.wait()
        serving.cancel()

    def _is_long(self, envelope: Envelope, topic: str) -> bool:
        """Whether an envelope does not go out at once: it takes many steps, or needs a session."""
        if isinstance(envelope, Published):
            return self._fanout.is_wide(topic)
        return isinstance(envelope, SubscriptionReplaced) and bool(envelope.newly_granted)

    async def _serve_lanes(self) -> None:
        while await self._has_lane.wait():
            for topic, lane in list(self._lanes.items()):
                for _ in range(min(_PARTS_A_TURN, 1 + len(lane.waiting))):
                    if self._lanes.get(topic) is lane:
                        await self._advance(topic, lane)
                # Not to be left out: here the sockets are written, and others have their turn.
                await asyncio.sleep(0)
            if not self._lanes:
                self._has_lane.clear()

    async def _advance(self, topic: str, lane: _Lane) -> None:
        """Send the next part of what goes out in a lane; close the lane if nothing is left."""
        try:
            if lane.parts is None:
                lane.going = lane.waiting.popleft()
                lane.parts = await self._parts(lane.going)
            part = next(lane.parts, None)
        except Exception as error:
            part = self._failed(topic, error)
            lane.parts = None
        if part is None:
            lane.parts = None
        if lane.parts is None:
            lane.going = None
        self._note(part or ())
        if lane.parts is None and not lane.waiting:
            del self._lanes[topic]
        self._has_moved.set()

    def _deliver(self, envelope: Envelope) -> None:
        try:
            for part in self._fanout.deliver(envelope, None, self._clock.monotonic()):
                self._note(part)
        except Exception as error:
            self._note(self._failed(topic_of(envelope), error))

    async def _parts(self, envelope: Envelope) -> Iterator[Part]:
        session = None
        if isinstance(envelope, SubscriptionReplaced) and envelope.newly_granted:
            session = await self._backend.load(envelope.subscription.topic)
        return self._fanout.deliver(envelope, session, self._clock.monotonic())

    def _failed(self, topic: str, error: Exception) -> Part:
        """A bug of ours must not leave subscribers with a stale patient: tell them."""
        if isinstance(error, Unavailable):  # no bug: who connects again gets what is missing here
            self._fanout.let_go(topic, CloseReason.RECONNECT)
            return []
        logger.error("a delivery failed: %s", type(error).__name__)
        return self._fanout.end_topic(topic, CloseReason.INTERNAL)

    def _note(self, part: Iterable[Consequence]) -> None:
        for it in part:
            self._conclude(it)


def _is_about(envelope: Envelope | None, endpoint_id: str) -> bool:
    if isinstance(envelope, SubscriptionReplaced):
        return envelope.subscription.endpoint_id == endpoint_id
    return isinstance(envelope, SubscriptionEnded) and envelope.endpoint_id == endpoint_id
