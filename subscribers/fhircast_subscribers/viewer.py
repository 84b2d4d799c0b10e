"""Viewer: the rules of IRA's Image Display with Content Creator, without a screen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fhircast_subscribers.content import (
    LENGTH,
    comparisons_of,
    imaging_selection,
    measurement,
    text_note,
)
from fhircast_subscribers.creator import ContentCreator
from fhircast_subscribers.fhir import FhirVersion, study_uid_of
from fhircast_subscribers.launch import OpensReports
from fhircast_subscribers.showing import Showing
from fhircast_subscribers.suspended import Suspended
from fhircast_subscribers.wire import resource_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from fhircast_subscribers.client import HubSession
    from fhircast_subscribers.contexts import OpenContext
    from fhircast_subscribers.wire import Resource


class Viewer(Showing, OpensReports):
    """Shows the patient and study of the current report; shares measurements and selections.

    Attributes:
        layout: How it is shown (window, scroll position …): the application's own values, restored
            when a report is resumed (IRA-SUB-10).
    """

    def __init__(self, session: HubSession, *, fhir: FhirVersion = FhirVersion.R4) -> None:
        super().__init__(session)
        self.layout: dict[str, Any] = {}
        self._fhir = fhir
        self._layouts: Suspended[dict[str, Any]] = Suspended(dict)
        self._creator = ContentCreator(session)

    @property
    def measurements(self) -> tuple[Resource, ...]:
        """The shared Observations of what is shown (IRA-ID-02)."""
        return self.shown.resources("Observation") if self.shown else ()

    @property
    def annotations(self) -> tuple[Resource, ...]:
        """The shared ImagingSelections of what is shown (IRA-ID-02)."""
        return self.shown.resources("ImagingSelection") if self.shown else ()

    @property
    def comparisons(self) -> tuple[Resource, ...]:
        """The studies to compare with (IRA-ID-02)."""
        return comparisons_of(self.shown) if self.shown else ()

    @property
    def earlier_selection(self) -> tuple[str, ...]:
        """What the user selected here before the report was suspended: ask, then `select` it.

        It is never sent by itself (IRA-CC-03).
        """
        return self._creator.earlier_selection(self.shown) if self.shown else ()

    @property
    def unshared(self) -> tuple[Resource, ...]:
        """What was made here for this report and is not in it (any more); see `share_again`."""
        return self._creator.missing(self.shown) if self.shown else ()

    async def opened(self, context: OpenContext) -> None:
        """Show the context, with the layout that it had before (IRA-ID-01, IRA-SUB-10)."""
        await super().opened(context)
        self.layout = self._layouts[context.anchor]

    async def closed(self, context: OpenContext, *, is_confirmed: bool) -> None:
        """Stop showing it; forget its state only if it is closed for certain."""
        await super().closed(context, is_confirmed=is_confirmed)
        if is_confirmed:
            self._layouts.forget(context.anchor)
            self._creator.closed(context.anchor)

    async def selected(self, context: OpenContext) -> None:
        """Bring the selection into focus."""
        self._creator.selected(context)
        await super().selected(context)

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
            RequestRefused, NoAnswer: It was not shared; `share_again` tries again under its id.
        """
        context = self._require_shown("IRA-CC-04")
        chosen = self._selection_of(context, instance)
        observation = measurement(
            context,
            value,
            unit,
            measured_at=datetime.now(UTC),
            code=code,
            derived_from=resource_key(chosen[0]) if chosen else "",
            id=id,
        )
        await self._creator.share(context.anchor, [*chosen, observation])
        return str(observation["id"])

    async def share_note(self, text: str, *, id: str = "") -> str:
        """Share a note; arguments, result and errors as for `share_measurement`."""
        context = self._require_shown("IRA-CC-04")
        note = text_note(context, text, written_at=datetime.now(UTC), id=id)
        await self._creator.share(context.anchor, [note])
        return str(note["id"])

    async def share_again(self) -> tuple[str, ...]:
        """Share what is missing in this report, under the ids that it had; return the "Type/id"s.

        After a report is opened again whose content is gone, or a network that failed (CONT-20).

        Raises:
            RefusedLocally: Nothing is shown.
            RequestRefused, NoAnswer: It was not shared.
        """
        return await self._creator.share_again(self._require_shown("IRA-CC-04"))

    async def remove_measurement(self, id: str) -> None:
        """Take a shared measurement back.

        Raises:
            RefusedLocally: Nothing is shown.
            RequestRefused, NoAnswer: It is still shared.
        """
        shown = self._require_shown("IRA-CC-04")
        await self._creator.remove(shown.anchor, f"Observation/{id}")

    async def add_comparison(self, study: Mapping[str, Any]) -> None:
        """Share an earlier study of the same patient to compare with (CONT-15, IRA-CC-02).

        Raises:
            RefusedLocally: Nothing is shown.
            InvalidContext: The study is about somebody else, or has no identifier.
            RequestRefused, NoAnswer: It was not shared.
        """
        await self._creator.add_comparison(self._require_shown("IRA-CC-04").anchor, study)

    async def remove_comparison(self, id: str) -> None:
        """Take a comparison study back.

        Raises:
            RefusedLocally: Nothing is shown.
            RequestRefused, NoAnswer: It is still shared.
        """
        shown = self._require_shown("IRA-CC-04")
        await self._creator.remove_comparison(shown.anchor, f"ImagingStudy/{id}")

    async def select(self, *targets: str) -> None:
        """Tell the others what the user selected, all of it; nothing clears it (IRA-CC-03).

        Raises:
            RefusedLocally: What is shown is not the current context (SEL-03).
            RequestRefused, NoAnswer: Nobody was told.
        """
        await self._creator.select(self._require_shown("SEL-03").anchor, targets)

    def _selection_of(
        self, context: OpenContext, instance: tuple[str, str] | None
    ) -> list[Resource]:
        """R4 has no ImagingSelection; there an Observation refers to the study."""
        if instance is None or self._fhir is FhirVersion.R4:
            return []
        series_uid, instance_uid = instance
        study_uid = study_uid_of(context.study or {})
        return [
            imaging_selection(
                context, study_uid=study_uid, series_uid=series_uid, instance_uid=instance_uid
            )
        ]

    def _put_aside(self) -> None:
        if self.shown is not None:
            self._layouts[self.shown.anchor] = self.layout
        super()._put_aside()
        self.layout = {}
