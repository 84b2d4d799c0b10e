"""The notifications that one subscriber has not answered yet, oldest first, within bounds."""

from __future__ import annotations

from itertools import takewhile
from math import inf
from typing import TYPE_CHECKING

import msgspec

from fhircast_hub.protocol.events import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhircast_hub.protocol.delivery import Delivery

_OPEN = EventKind.OPEN
"""Bound here because an enumeration is slow to look into."""


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A notification that was delivered, or is kept for delivery.

    Attributes:
        delivery: The notification.
        revision: Of the session that the event made.
        deadline: When a response is missing, in monotonic seconds; never while it is not delivered.
    """

    delivery: Delivery
    revision: int
    deadline: float = inf


class Unanswered:
    """What was not answered; beyond its bounds the oldest goes.

    Attributes:
        lost_revision: Revision of the newest that is missing here, -1 if none is.
        quiet_until: No response is missing before this time, in monotonic seconds.
    """

    __slots__ = ("_bytes", "_kept", "_max_bytes", "_max_frames", "lost_revision", "quiet_until")

    def __init__(self, *, max_frames: int, max_bytes: int) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._kept: dict[str, Kept] = {}
        self._bytes = 0
        self.lost_revision = -1
        self.quiet_until = inf

    def __iter__(self) -> Iterator[Kept]:
        return iter(list(self._kept.values()))

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes of all frames."""
        return self._bytes

    def keep(self, it: Kept) -> bool:
        """Keep one more; tell whether all of them still have room."""
        kept, delivery = self._kept, it.delivery
        if delivery.id in kept:
            self._remove(delivery.id)  # an id that goes out again (D-28) counts once
        kept[delivery.id] = it
        self._bytes += len(delivery.frame)
        if it.deadline < self.quiet_until:
            self.quiet_until = it.deadline
        if self._bytes <= self._max_bytes and len(kept) <= self._max_frames:
            return True
        while len(kept) > self._max_frames or self._bytes > self._max_bytes:
            lost = self._remove(next(iter(kept)))
            self.missed(lost.revision)
        return False

    def drop(self, event_id: str) -> Kept | None:
        """Forget one and return it, None if it is not there."""
        return self._remove(event_id) if event_id in self._kept else None

    def answered(self, event_id: str) -> Kept | None:
        """Forget one that was answered and return it, None if it is not there.

        An answered open came after the opens before it: sent again behind it, they would bring back
        what it replaced. Those whose answer is awaited stay.
        """
        kept = self._kept
        it = kept.get(event_id)
        if it is None:
            return None
        if len(kept) > 1 and it.delivery.name.kind is _OPEN:
            self._drop_opens_before(it)
        del kept[event_id]
        self._bytes -= len(it.delivery.frame)
        return it

    def take_overdue(self, now: float) -> list[Delivery]:
        """Forget those whose response is missing, and return them, oldest first."""
        overdue = [it.delivery for it in self if it.deadline <= now]
        for it in overdue:
            self._remove(it.id)
        self.quiet_until = min([it.deadline for it in self], default=inf)
        return overdue

    def missed(self, revision: int) -> None:
        """Note that events up to this revision may not be here."""
        self.lost_revision = max(self.lost_revision, revision)

    def take_all(self) -> list[Kept]:
        """Forget all, with what was lost, and return them."""
        taken = list(self._kept.values())
        self._kept = {}
        self._bytes = 0
        self.lost_revision = -1
        self.quiet_until = inf
        return taken

    def _drop_opens_before(self, answered: Kept) -> None:
        for it in takewhile(lambda other: other is not answered, self):
            if it.delivery.name.kind is _OPEN and it.deadline == inf:
                self._remove(it.delivery.id)

    def _remove(self, event_id: str) -> Kept:
        removed = self._kept.pop(event_id)
        self._bytes -= len(removed.delivery.frame)
        return removed
