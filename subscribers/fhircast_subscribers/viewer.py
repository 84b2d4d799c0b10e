"""Viewer: the rules of IRA's Image Display with Content Creator, without a screen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fhircast_subscribers.adapter import FOLLOWED, Answer, BaseAdapter
from fhircast_subscribers.content import LENGTH, imaging_selection, measurement
from fhircast_subscribers.errors import RefusedLocally
from fhircast_subscribers.fhir import FhirVersion, study_uid_of
from fhircast_subscribers.wire import resource_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from fhircast_subscribers.changes import ContentChanged
    from fhircast_subscribers.client import HubSession
    from fhircast_subscribers.contexts import OpenContext
    from fhircast_subscribers.sync import SyncStatus
    from fhircast_subscribers.wire import Resource


class Viewer(BaseAdapter):
    """Shows the patient and study of the current report; shares measurements and selections.

    Attributes:
        shown: The context on the screen, None if there is none.
        layout: How it is shown (window, scroll position …): the application's own values, restored
            when a report is resumed (IRA-SUB-10).
        sync: Why applications are out of sync, None if they are not.
    """

    def __init__(self, session: HubSession, *, fhir: FhirVersion = FhirVersion.R4) -> None:
        self.session = session
        self.shown: OpenContext | None = None
        self.layout: dict[str, Any] = {}
        self.sync: SyncStatus | None = None
        self._fhir = fhir
        self._layouts: dict[str, dict[str, Any]] = {}
        self._selections: dict[str, tuple[str, ...]] = {}

    @property
    def status(self) -> str:
        """The report's status (IRA-ID-01)."""
        return self.shown.status if self.shown else ""

    @property
    def measurements(self) -> tuple[Resource, ...]:
        """The shared Observations of what is shown (IRA-ID-02)."""
        return self.shown.resources("Observation") if self.shown else ()

    @property
    def focused(self) -> tuple[str, ...]:
        """What is selected in the session, as "Type/id"s."""
        return self.shown.selection if self.shown else ()

    @property
    def earlier_selection(self) -> tuple[str, ...]:
        """What was selected before the report was suspended: ask the user, then `select` it.

        It is never sent by itself (IRA-CC-03).
        """
        return self._selections.get(self.shown.anchor, ()) if self.shown else ()

    async def opened(self, context: OpenContext) -> None:
        """Show the context, with the layout that it had before (IRA-ID-01, IRA-SUB-10)."""
        self._suspend()
        self.shown = context
        self.layout = self._layouts.setdefault(context.anchor, {})

    async def closed(self, context: OpenContext, *, is_confirmed: bool) -> None:
        """Stop showing it; forget its state only if it is closed for certain."""
        if self.shown is not None and self.shown.anchor == context.anchor:
            self._suspend()
        if is_confirmed:
            self._layouts.pop(context.anchor, None)
            self._selections.pop(context.anchor, None)

    async def nothing_current(self) -> Answer:
        """Show no patient; what is open stays open (INF-04)."""
        self._suspend()
        return FOLLOWED

    async def updated(self, change: ContentChanged) -> None:
        """Show the new content and status, if it is what is shown."""
        if self.shown is not None and self.shown.anchor == change.context.anchor:
            self.shown = change.context

    async def selected(self, context: OpenContext) -> None:
        """Bring the selection into focus."""
        if self.shown is not None and self.shown.anchor == context.anchor:
            self.shown = context

    async def sync_lost(self, sync: SyncStatus) -> None:
        """Keep why (SYNC-13)."""
        self.sync = sync

    async def sync_regained(self) -> None:
        """Nothing to warn of."""
        self.sync = None

    async def share_measurement(
        self,
        value: Decimal | float,
        unit: str = "mm",
        *,
        code: Mapping[str, Any] = LENGTH,
        instance: tuple[str, str] | None = None,
        id: str = "",
    ) -> str:
        """Share a measurement in the context on the screen; return its Observation.id.

        Args:
            value: What was measured.
            unit: UCUM code.
            code: Coding of what was measured.
            instance: Series and SOP Instance UID of the image; in R5 an ImagingSelection of it is
                shared too.
            id: Of an Observation shared before, to change it (CONT-20).

        Raises:
            RefusedLocally: Nothing is shown.
            RequestRefused, NoAnswer: It was not shared.
        """
        context = self._shown()
        puts: list[Resource] = []
        derived_from = ""
        if instance is not None and self._fhir is FhirVersion.R5:
            series_uid, instance_uid = instance
            chosen = imaging_selection(
                context,
                study_uid=study_uid_of(context.study or {}),
                series_uid=series_uid,
                instance_uid=instance_uid,
            )
            puts, derived_from = [chosen], resource_key(chosen)
        observation = measurement(
            context,
            value,
            unit,
            measured_at=datetime.now(UTC),
            code=code,
            derived_from=derived_from,
            id=id,
        )
        await self.session.update([*puts, observation], anchor=context.anchor)
        return str(observation["id"])

    async def remove_measurement(self, id: str) -> None:
        """Take a shared measurement back.

        Raises:
            RefusedLocally: Nothing is shown.
            RequestRefused, NoAnswer: It is still shared.
        """
        await self.session.update(deletes=[f"Observation/{id}"], anchor=self._shown().anchor)

    async def select(self, *targets: str) -> None:
        """Tell the others what the user selected, all of it; nothing clears it (IRA-CC-03).

        Raises:
            RefusedLocally: What is shown is not the current context (SEL-03).
            RequestRefused, NoAnswer: Nobody was told.
        """
        current = self.session.current
        if current is None or current.anchor != self._shown().anchor:
            raise RefusedLocally("what is shown is not the current context", rule="SEL-03")
        await self.session.select(targets)

    def _shown(self) -> OpenContext:
        if self.shown is None:
            raise RefusedLocally("no context is shown", rule="IRA-CC-04")
        return self.shown

    def _suspend(self) -> None:
        if self.shown is not None and self.shown.selection:
            self._selections[self.shown.anchor] = self.shown.selection
        self.shown = None
        self.layout = {}
