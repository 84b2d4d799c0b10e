"""Worklist: the rules of IRA's Worklist Client, without a screen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fhircast_subscribers.errors import RefusedLocally
from fhircast_subscribers.launch import OpensReports
from fhircast_subscribers.showing import Showing
from fhircast_subscribers.suspended import Suspended

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_subscribers.builders import ReportContext
    from fhircast_subscribers.changes import ContentChanged
    from fhircast_subscribers.client import HubSession
    from fhircast_subscribers.contexts import OpenContext

DONE = frozenset({"final", "amended", "corrected", "appended", "cancelled", "entered-in-error"})
"""Report statuses that leave nothing to read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One case of the list.

    Attributes:
        case: What opening it opens.
        status: The report's status as last shared in the session, "" before it was opened.
        is_open: Whether its context is open.
        is_current: Whether it is the current context.
    """

    case: ReportContext
    status: str = ""
    is_open: bool = False
    is_current: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the report is dictated; the row leaves the list with the close (IRA-WL-02)."""
        return self.status in DONE


class Worklist(Showing, OpensReports):
    """A list of cases to read; opens them for everybody and follows their status.

    Attributes:
        view: How the report on the screen is shown: the application's own values, restored when it
            is resumed (IRA-SUB-10).
    """

    def __init__(self, session: HubSession, cases: Iterable[ReportContext] = ()) -> None:
        super().__init__(session)
        self.view: dict[str, Any] = {}
        self._views: Suspended[dict[str, Any]] = Suspended(dict)
        self._rows = {case.anchor: Row(case) for case in cases}

    @property
    def rows(self) -> tuple[Row, ...]:
        """The list, in its order."""
        return tuple(self._rows.values())

    def row(self, anchor: str) -> Row | None:
        """Return the row of a report, None if it is not (any more) on the list."""
        return self._rows.get(anchor)

    def add(self, case: ReportContext) -> None:
        """Put a case on the list."""
        self._rows.setdefault(case.anchor, Row(case))

    async def open_case(self, anchor: str) -> None:
        """Open a case for everybody, or resume it: the same resources, a new id (IRA-WL-01).

        Raises:
            RefusedLocally: It is not on the list.
            RequestRefused, NoAnswer: Nothing was opened.
        """
        row = self._rows.get(anchor)
        if row is None:
            raise RefusedLocally("the case is not on the list", rule="IRA-WL-01")
        await self.open_report(row.case)

    async def close_case(self, anchor: str) -> None:
        """Close a case for everybody.

        Raises:
            RefusedLocally: It is not open.
            RequestRefused, NoAnswer: It is still open.
        """
        await self.close_report(anchor)

    async def opened(self, context: OpenContext) -> None:
        """Show patient and study; mark the row (IRA-WL-01)."""
        await super().opened(context)
        self.view = self._views[context.anchor]
        self._mark(context.anchor, status=_shared_status(context), is_open=True, is_current=True)

    async def closed(self, context: OpenContext, *, is_confirmed: bool) -> None:
        """Stop processing it; a finished report leaves the list (IRA-WL-02)."""
        await super().closed(context, is_confirmed=is_confirmed)
        self._mark(context.anchor, status="", is_open=False, is_current=False)
        row = self._rows.get(context.anchor)
        if is_confirmed:
            self._views.forget(context.anchor)
            if row is not None and row.is_done:
                del self._rows[context.anchor]

    async def updated(self, change: ContentChanged) -> None:
        """Follow the report's status (IRA-WL-02)."""
        await super().updated(change)
        context = change.context
        row = self._rows.get(context.anchor)
        if row is not None:
            self._rows[context.anchor] = replace(
                row, status=_shared_status(context) or row.status, is_open=True
            )

    def _mark(self, anchor: str, *, status: str, is_open: bool, is_current: bool) -> None:
        row = self._rows.get(anchor)
        if row is not None:
            self._rows[anchor] = replace(
                row, status=status or row.status, is_open=is_open, is_current=is_current
            )

    def _put_aside(self) -> None:
        if self.shown is not None:
            self._views[self.shown.anchor] = self.view
        super()._put_aside()
        self.view = {}
        self._rows = {key: replace(it, is_current=False) for key, it in self._rows.items()}


def _shared_status(context: OpenContext) -> str:
    """Return the status that somebody shared; the open itself always says unknown (IRA-PR-01)."""
    return context.status if context.status != "unknown" else ""
