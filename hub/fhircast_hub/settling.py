"""What channels concluded becomes commits: subscriptions that ended, SyncErrors about failures.

That happens behind whoever fed the channel: no reader, delivery or sweep waits for a store. A
SyncError that a store cannot take now is owed: the others must hear of it, late rather than never.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from fhircast_hub.audit.facts import Act, Fact, Outcome, caller_of
from fhircast_hub.observability.logs import topic_label
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.errors import FhircastError, Unavailable
from fhircast_hub.protocol.syncerror import FailureKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fhircast_hub.audit.recorder import Recorder
    from fhircast_hub.backends.base import Backend
    from fhircast_hub.clock import Clock
    from fhircast_hub.fanout import Consequence
    from fhircast_hub.protocol.subscription import Subscription
    from fhircast_hub.protocol.syncerror import Failure

logger = logging.getLogger(__name__)

_MOST_OWED = 1000
"""SyncErrors that wait for the store; beyond it the oldest is given up, with a line in the log."""

_AGAIN_SECONDS = 1.0
"""Between two attempts to tell what is owed."""


class Settling:
    """Settles what channels of this process concluded.

    Args:
        backend: Where subscriptions end.
        clock: Where the time comes from.
        audit: Gets an entry of each ending that nobody asked for.
        tell: Tells the subscribers of a topic of a failure, by a SyncError.
    """

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        audit: Recorder,
        tell: Callable[[str, Failure], Awaitable[object]],
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._audit = audit
        self._tell = tell
        self._concluded: deque[Consequence] = deque()
        self._has_concluded = asyncio.Event()
        self._owed: deque[tuple[str, Failure]] = deque()

    def conclude(self, consequence: Consequence) -> None:
        """Note what a channel concluded, if that is anything.

        At most one ending for each channel and one failure for each event that it has not answered
        can wait here.
        """
        if consequence.ended is not None or consequence.failures:
            self._concluded.append(consequence)
            self._has_concluded.set()

    async def run(self) -> None:
        """Settle whatever is concluded, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_SECONDS if self._owed else None):
                    await self._has_concluded.wait()
            self._has_concluded.clear()
            await self.settle()

    async def settle(self) -> None:
        """Settle what is concluded so far, and what is owed since earlier."""
        try:
            await self._tell_owed()
        except Exception as error:
            self._owed.popleft()
            logger.error("a SyncError was not told: %s", type(error).__name__)
        while self._concluded:
            try:
                await self._settle(self._concluded.popleft())
            except Exception as error:  # one subscription's fault is not the others'
                logger.error("a conclusion was not settled: %s", type(error).__name__)

    async def _settle(self, consequence: Consequence) -> None:
        if (ended := consequence.ended) is not None:
            self._record_ending(ended, consequence)
            try:
                # Whoever renewed it, or joined it elsewhere, knows better than this process.
                await self._backend.end(ended.endpoint_id, CloseReason.NOT_KNOWN, known=ended)
            except FhircastError as error:  # the record expires by itself
                logger.error("the end of a subscription was not committed: %s", error)
        for failure in consequence.failures:
            logger.info(
                "out of sync: topic %s, %s", topic_label(consequence.topic), failure.kind.name
            )
            if not await self._has_told(consequence.topic, failure):
                self._owe(consequence.topic, failure)

    async def _has_told(self, topic: str, failure: Failure) -> bool:
        """Tell of a failure; False if the store cannot take it now."""
        try:
            await self._tell(topic, failure)
        except Unavailable:
            return False
        except FhircastError as error:
            logger.error("a SyncError was not committed: %s", error)
        return True

    def _owe(self, topic: str, failure: Failure) -> None:
        logger.warning("a SyncError has to wait: topic %s", topic_label(topic))
        self._owed.append((topic, failure))
        if len(self._owed) > _MOST_OWED:
            self._owed.popleft()
            logger.error("a SyncError is given up: too many wait")

    async def _tell_owed(self) -> None:
        """Tell what is owed, oldest first, as far as the store takes it."""
        while self._owed and await self._has_told(*self._owed[0]):
            self._owed.popleft()

    def _record_ending(self, ended: Subscription, of: Consequence) -> None:
        """Make an entry of an ending that nobody asked for; an unsubscribe has its own."""
        if of.reason is None or of.reason is CloseReason.UNSUBSCRIBED:
            return
        is_lost = any(it.kind is FailureKind.CONNECTION_LOST for it in of.failures)
        why = "connection lost" if is_lost else of.reason.text
        caller = caller_of(ended.subject)
        fact = Fact(Act.ENDED, self._clock.utc(), caller, Outcome(reason=why), ended.topic)
        self._audit.record(fact)
