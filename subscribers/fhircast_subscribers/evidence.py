"""EvidenceCreator: the rules of IRA's Evidence Creator, stateless or not, with Content Creator."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from fhircast_subscribers.creator import ContentCreator
from fhircast_subscribers.errors import RefusedLocally, SubscriberError
from fhircast_subscribers.showing import Showing
from fhircast_subscribers.suspended import Suspended
from fhircast_subscribers.wire import Resource

if TYPE_CHECKING:
    from fhircast_subscribers.client import HubSession
    from fhircast_subscribers.contexts import OpenContext

logger = logging.getLogger(__name__)

Analyse: TypeAlias = Callable[["OpenContext"], Awaitable[Iterable[Resource]]]
"""Makes results from patient and study: Observations, ImagingSelections, about this patient."""


class EvidenceCreator(Showing):
    """Analyses each report that is opened, and shares the results while it is open (IRA-EC-01).

    It neither opens nor closes reports, and selects nothing (IRA-EC-02). Run `work` beside
    `follow`.

    Attributes:
        progress: Where the user is with the report on the screen: the application's own values,
            restored when it is resumed (IRA-SUB-10); always empty at first if it is stateless.
    """

    def __init__(self, session: HubSession, *, is_stateless: bool = False) -> None:
        super().__init__(session)
        self.progress: dict[str, Any] = {}
        self._is_stateless = is_stateless
        self._progress: Suspended[dict[str, Any]] = Suspended(dict)
        self._creator = ContentCreator(session)
        self._waiting: dict[str, OpenContext] = {}
        self._taken: set[str] = set()
        self._something_waits = asyncio.Event()

    @property
    def results(self) -> tuple[Resource, ...]:
        """What is shared for the report on the screen: Observations and ImagingSelections."""
        if self.shown is None:
            return ()
        return self.shown.resources("Observation") + self.shown.resources("ImagingSelection")

    async def opened(self, context: OpenContext) -> None:
        """Show it, and let it be analysed, once for as long as it is open."""
        await super().opened(context)
        self.progress = {} if self._is_stateless else self._progress[context.anchor]
        if context.anchor not in self._taken:
            self._waiting[context.anchor] = context
            self._something_waits.set()

    async def closed(self, context: OpenContext, *, is_confirmed: bool) -> None:
        """Stop showing it; nothing is analysed for it any more, nothing shared (IRA-EC-01)."""
        await super().closed(context, is_confirmed=is_confirmed)
        self._waiting.pop(context.anchor, None)
        if is_confirmed:
            self._taken.discard(context.anchor)
            self._progress.forget(context.anchor)

    async def share(self, anchor: str, results: Iterable[Resource]) -> None:
        """Share results for a report that is open, on the screen or suspended.

        Raises:
            RefusedLocally: It was closed meanwhile; nothing is sent (IRA-EC-01).
            RequestRefused, NoAnswer: They were not shared.
        """
        if anchor not in self.session.contexts:
            raise RefusedLocally("the report was closed", rule="IRA-EC-01")
        await self._creator.share(anchor, results)

    async def work(self, analyse: Analyse) -> None:
        """Analyse what is opened, one report after the other, until cancelled.

        A failed analysis, a report closed meanwhile and a refused result are logged, and the next
        report has its turn.
        """
        while True:
            context = await self._next()
            try:
                results = tuple(await analyse(context))
                if results:
                    await self.share(context.anchor, results)
            except SubscriberError as error:
                logger.info("a result was not shared: %s", error)
            except Exception as error:  # the application's code: its failure is a missing result
                logger.warning("an analysis failed: %s", type(error).__name__)

    async def _next(self) -> OpenContext:
        while not self._waiting:
            self._something_waits.clear()
            await self._something_waits.wait()
        anchor = next(iter(self._waiting))
        self._taken.add(anchor)
        return self._waiting.pop(anchor)

    def _put_aside(self) -> None:
        if self.shown is not None:
            self._progress[self.shown.anchor] = self.progress
        super()._put_aside()
        self.progress = {}
