"""The last events of a session by id, to recognise an id that comes again (D-28).

A value like the session it belongs to. To add one, only the newest few are copied: what is older
is shared by all versions and taken over in one go now and then, so that an event costs the same
however many are remembered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice

import msgspec

_SHARE = 8
"""One in so many of the events may be newer than what is shared, and that many more are kept."""


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The answer to an accepted request (D-46).

    Attributes:
        id: The event's id.
        version_id: The version that was assigned, "" if none was.
        status: 202, or 206 if unknown resources of a selection were dropped (IRA-HUB-12).
    """

    id: str
    version_id: str = ""
    status: int = 202


class Remembered(msgspec.Struct, frozen=True, gc=False):
    """An accepted event, kept to recognise its id.

    Attributes:
        digest: Digest of the request's JSON value.
        answer: What was answered.
        out_of_sync: A SyncError about the event is outstanding.
    """

    digest: bytes
    answer: Accepted
    out_of_sync: bool = False


_NOTHING: dict[str, Remembered] = {}


class RecentEvents(Mapping[str, Remembered]):
    """Remembered events by id, oldest first; a value: its methods return the next one."""

    __slots__ = ("_newer", "_older")

    def __init__(
        self,
        older: dict[str, Remembered] = _NOTHING,
        newer: dict[str, Remembered] = _NOTHING,
    ) -> None:
        self._older = older
        self._newer = newer

    def __getitem__(self, id: str) -> Remembered:
        return self._newer[id] if id in self._newer else self._older[id]

    def __iter__(self) -> Iterator[str]:
        return chain(self._older, self._newer)

    def __len__(self) -> int:
        return len(self._older) + len(self._newer)

    def find(self, id: str) -> Remembered | None:
        """Return an event, None if it is not remembered."""
        return self._newer.get(id) or self._older.get(id)

    def added(self, id: str, event: Remembered, limit: int) -> RecentEvents:
        """Return these and a new one; of more than `limit` the oldest are forgotten, soon."""
        newer = {**self._newer, id: event}
        if len(newer) <= limit // _SHARE:
            return RecentEvents(self._older, newer)
        everything = {**self._older, **newer}
        return RecentEvents(dict(islice(everything.items(), max(0, len(everything) - limit), None)))

    def changed(self, id: str, event: Remembered) -> RecentEvents:
        """Return these with another event in the place of one of them."""
        if id in self._newer:
            return RecentEvents(self._older, {**self._newer, id: event})
        return RecentEvents({**self._older, id: event}, self._newer)

    def changed_since(self, before: RecentEvents) -> tuple[dict[str, Remembered], list[str]]:
        """Return what is here anew or otherwise than in earlier ones, and the ids that are not."""
        new: Mapping[str, Remembered] = self
        old: Mapping[str, Remembered] = before
        if self._older is before._older:  # as it mostly is, and then few are to be looked at
            new, old = self._newer, before._newer
        put = {id: it for id, it in new.items() if old.get(id) is not it}
        return put, [id for id in old if id not in new]

    def follows(self, before: RecentEvents) -> bool:
        """Tell whether these can be the next after those: the last of them is remembered here.

        True of the next ones wherever two or more are remembered.
        """
        last = next(reversed(before._newer or before._older), None)
        return last is None or last in self
