"""LatestOpen: when the hub's latest open happened, and whether a GET has to be asked about it.

An open that is older than the one that established the current context is passed over (EVT-10,
D-26), by the hub too (D-27). So two that differ in that moment may show different patients. The
moment kept here may be later than the hub's, never earlier: then an open that is late here may
count at the hub, and a GET tells; one that is not late here counts at the hub as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_subscribers.relations import is_older

if TYPE_CHECKING:
    from datetime import datetime

    from fhircast_subscribers.wire import Notification


class LatestOpen:
    """What is known of the latest open of a topic.

    Attributes:
        opened_at: When it happened; None if its context was closed, or nothing is known of it.
        is_unsure: Whether the hub may show another context as current; only a GET can tell.
        turns: Counts opens, closes and connections; an answer from an earlier turn is too old.
    """

    def __init__(self) -> None:
        self.opened_at: datetime | None = None
        self.is_unsure = False
        self.turns = 0
        self._types: set[str] = set()

    def connected(self) -> None:
        """Start over, but for the moment: what is resumed is told once, not from the beginning."""
        self.turns += 1
        self.is_unsure = True
        self._types = set()

    def opens(self, event: Notification, *, moves: bool) -> None:
        """Doubt the first open of its type on a connection, if it moves the current context.

        It may be the replay of a context that is open but not current (REP-01), which only a GET
        can tell from a new open.
        """
        self.turns += 1
        anchor_type = (event.name.anchor_type if event.name else None) or ""
        self.is_unsure |= moves and anchor_type not in self._types
        self._types.add(anchor_type)

    def closes(self) -> None:
        """A close came, whether it ends something or not."""
        self.turns += 1

    def is_late(self, event: Notification) -> bool:
        """Whether an open is older than the latest; then the hub has to be asked."""
        is_late = is_older(event, self.opened_at)
        self.is_unsure |= is_late
        return is_late

    def follow(self, event: Notification) -> None:
        """An open is the latest now."""
        self.opened_at = event.happened_at or self.opened_at

    def end(self, *, is_sure: bool) -> None:
        """The current context was closed: no open is late now, if the hub sees it the same way."""
        self.is_unsure |= not is_sure
        if not self.is_unsure:
            self.opened_at = None

    def doubt(self) -> None:
        """What came may have been judged differently by the hub."""
        self.is_unsure = True

    def confirm(self, opened_at: datetime | None) -> None:
        """A GET told what is current, and this is when it was opened, if that is known."""
        self.is_unsure = False
        if opened_at is not None and (self.opened_at is None or self.opened_at < opened_at):
            self.opened_at = opened_at
