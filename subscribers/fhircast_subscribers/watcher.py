"""Watcher: the rules of IRA's Watcher: who read what, from when to when. It sends nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fhircast_subscribers.adapter import BaseAdapter

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from fhircast_subscribers.changes import ContentChanged
    from fhircast_subscribers.contexts import OpenContext
    from fhircast_subscribers.sync import SyncStatus

MAX_ENTRIES = 4096
"""Entries kept; beyond, the oldest goes."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One report from its open to its close; a resume goes on with the same entry.

    Attributes:
        report: "DiagnosticReport/id".
        patient: "Patient/id".
        studies: "ImagingStudy/id"s.
        opened_at: When it was first opened; None if the watcher came later and nobody said.
        closed_at: When it was closed; None while it is open, or if the watcher was not there.
        status: The report's newest status.
        is_open: Whether it is open as far as the watcher knows.
    """

    report: str
    patient: str
    studies: tuple[str, ...]
    opened_at: datetime | None
    closed_at: datetime | None = None
    status: str = ""
    is_open: bool = True

    @property
    def turnaround(self) -> timedelta | None:
        """From open to close, None if one of them is not known."""
        if self.opened_at is None or self.closed_at is None:
            return None
        return self.closed_at - self.opened_at


class Watcher(BaseAdapter):
    """Keeps a log of opens and closes, each with report, patient and study (IRA-W-01).

    Attributes:
        sync: Why applications are out of sync, None if they are not.
    """

    def __init__(self) -> None:
        self.sync: SyncStatus | None = None
        self._entries: list[Watched] = []

    @property
    def log(self) -> tuple[Watched, ...]:
        """The entries, in the order of the opens."""
        return tuple(self._entries)

    async def opened(self, context: OpenContext) -> None:
        """Begin an entry, unless the report is open already."""
        at = self._at(context)
        if at is None:
            self._begin(context)
        elif self._entries[at].opened_at is None:
            self._entries[at] = replace(self._entries[at], opened_at=context.opened_at)

    async def closed(self, context: OpenContext, *, is_confirmed: bool) -> None:
        """End its entry, of the current report or of another one."""
        at = self._at(context)
        if at is None:
            at = self._begin(context)
        entry = self._entries[at]
        self._entries[at] = replace(
            entry,
            opened_at=entry.opened_at or context.opened_at,
            closed_at=context.closed_at,
            status=context.status,
            is_open=False,
        )

    async def updated(self, change: ContentChanged) -> None:
        """Note the newest status."""
        at = self._at(change.context)
        if at is not None:
            self._entries[at] = replace(self._entries[at], status=change.context.status)

    async def sync_lost(self, sync: SyncStatus) -> None:
        """Keep why (SYNC-13)."""
        self.sync = sync

    async def sync_regained(self) -> None:
        """Nothing to warn of."""
        self.sync = None

    def _begin(self, context: OpenContext) -> int:
        report, patient, studies = context.association
        entry = Watched(
            report or context.anchor, patient, studies, context.opened_at, status=context.status
        )
        self._entries.append(entry)
        if len(self._entries) > MAX_ENTRIES:
            del self._entries[0]
        return len(self._entries) - 1

    def _at(self, context: OpenContext) -> int | None:
        report = context.association[0] or context.anchor
        for at in range(len(self._entries) - 1, -1, -1):
            if self._entries[at].report == report and self._entries[at].is_open:
                return at
        return None
