"""The sessions that this process loaded or committed last, so that they need not be read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhircast_hub.backends.redis.fields import Kept

_MOST = 1024
"""Sessions remembered; beyond it the one that was used longest ago is forgotten."""


class Memo:
    """Sessions by topic, each as good as its revision: the server is asked whether it still is.

    In a later epoch none is good: a server that was put back to an earlier state may have come to
    the same revision in another way.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, Kept]] = {}

    def find(self, topic: str, epoch: int) -> Kept | None:
        """Return what was last known of a session, if it was learned in this epoch."""
        of, kept = self._kept.get(topic, (epoch, None))
        return kept if of == epoch else None

    def note(self, topic: str, kept: Kept, epoch: int) -> None:
        """Remember a session, in place of what was known of it, as learned in an epoch."""
        self._kept.pop(topic, None)
        self._kept[topic] = epoch, kept
        if len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]

    def forget(self, topic: str) -> None:
        """Forget a session that is no more."""
        self._kept.pop(topic, None)
