"""ContentCreator: what IRA's Content Creator may do, for the application that it is grouped with.

It is no application of its own (IRA-CC-01): `Viewer`, `Dictation` and `EvidenceCreator` hold one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhircast_subscribers.content import with_comparison, without_comparison
from fhircast_subscribers.errors import RefusedLocally, SubscriberError
from fhircast_subscribers.suspended import Suspended
from fhircast_subscribers.wire import resource_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fhircast_subscribers.client import HubSession
    from fhircast_subscribers.contexts import OpenContext
    from fhircast_subscribers.wire import Resource


class ContentCreator:
    """Shares content and selections in one session, and remembers what is its own.

    What it shared keeps its id: when a report is opened again after its content is gone (closed, or
    the hub restarted), or when the network failed, `share_again` brings it back (CONT-20).
    """

    def __init__(self, session: HubSession) -> None:
        self._session = session
        self._own: Suspended[dict[str, Resource]] = Suspended(dict)
        self._chosen: Suspended[tuple[str, ...]] = Suspended(tuple)

    async def share(self, anchor: str, resources: Iterable[Resource]) -> None:
        """Share resources, new or replaced whole; they are remembered even if that fails.

        Raises:
            RefusedLocally, RequestRefused, NoAnswer: It was not shared; see `HubSession.update`.
        """
        puts = tuple(resources)
        own = self._own[anchor]
        self._own[anchor] = own | {resource_key(it): it for it in puts}
        await self._session.update(puts, anchor=anchor)

    async def remove(self, anchor: str, *keys: str) -> None:
        """Take "Type/id"s back.

        Raises:
            RefusedLocally, RequestRefused, NoAnswer: They are still shared.
        """
        await self._session.update(deletes=keys, anchor=anchor)
        self._own[anchor] = {key: it for key, it in self._own[anchor].items() if key not in keys}

    async def add_comparison(self, anchor: str, study: Mapping[str, Any]) -> None:
        """Share a study to compare with; the report names it (CONT-15, IRA-CC-02).

        Raises:
            InvalidContext: The study is about somebody else, or has no identifier.
            RefusedLocally, RequestRefused, NoAnswer: It was not shared.
        """
        await self._session.update(lambda newest: with_comparison(newest, study), anchor=anchor)

    async def remove_comparison(self, anchor: str, study: str) -> None:
        """Take a comparison "ImagingStudy/id" back.

        Raises:
            RefusedLocally, RequestRefused, NoAnswer: It is still shared.
        """
        await self._session.update(
            lambda newest: [without_comparison(newest, study)], [study], anchor=anchor
        )

    def missing(self, context: OpenContext) -> tuple[Resource, ...]:
        """Return what was shared from here in this report and is not in it (any more)."""
        own = self._own[context.anchor]
        return tuple(it for key, it in own.items() if key not in context.content)

    async def share_again(self, context: OpenContext) -> tuple[str, ...]:
        """Share what is missing, under the ids that it had; return them as "Type/id"s (CONT-20).

        Raises:
            RefusedLocally, RequestRefused, NoAnswer: It was not shared.
        """
        missing = self.missing(context)
        if missing:
            await self._session.update(missing, anchor=context.anchor)
        return tuple(resource_key(it) for it in missing)

    async def select(self, anchor: str, targets: Iterable[str]) -> None:
        """Tell what the user selected in the current report, all of it; nothing clears it.

        Never call it for what the application selects by itself (IRA-CC-03).

        Raises:
            RefusedLocally: That report is not the current context (SEL-03).
            RequestRefused, NoAnswer: Nobody was told.
        """
        current = self._session.current
        if current is None or current.anchor != anchor:
            raise RefusedLocally("what is shown is not the current context", rule="SEL-03")
        chosen, before = tuple(targets), self._chosen[anchor]
        self._chosen[anchor] = chosen
        try:
            await self._session.select(chosen)
        except SubscriberError:
            self._chosen[anchor] = before
            raise

    def selected(self, context: OpenContext) -> None:
        """Somebody selected: if it was not from here, it is not ours to offer after a resume."""
        own = tuple(it for it in self._chosen[context.anchor] if context.knows(it))
        if context.selection != own:
            self._chosen.forget(context.anchor)

    def earlier_selection(self, context: OpenContext) -> tuple[str, ...]:
        """Return what the user had selected here before the report was suspended, still there.

        Ask whether it still holds, then `select` it; it is never sent by itself (IRA-CC-03).
        """
        return tuple(it for it in self._chosen[context.anchor] if context.knows(it))

    def closed(self, anchor: str) -> None:
        """The report was closed: its selection is history; what was shared keeps its ids."""
        self._chosen.forget(anchor)
