"""Standing: what a follower keeps to tell whether everybody shows the same (SYNC-13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_hub.protocol.events import EventKind

from fhircast_subscribers.sync import Connection, SyncStatus

if TYPE_CHECKING:
    from fhircast_subscribers.sync import SyncProblem
    from fhircast_subscribers.wire import Notification

MAX_PROBLEMS = 64
"""SyncErrors shown at once."""
_NONE = ("", "")


class Standing:
    """The connection, what was refused here, and who else is out of step.

    Attributes:
        connection: How this subscriber stands to the hub.
        detail: Why the connection is lost or has ended.
    """

    def __init__(self) -> None:
        self.connection = Connection.CONNECTING
        self.detail = ""
        self._refused = _NONE
        self._problems: dict[tuple[str, str], SyncProblem] = {}

    def status(self, *, needs_context: bool) -> SyncStatus:
        """Return what to tell; `needs_context` as in `SyncStatus`."""
        return SyncStatus(
            connection=self.connection,
            detail=self.detail,
            refused=self._refused[1],
            needs_context=needs_context,
            problems=tuple(self._problems.values()),
        )

    def move(self, connection: Connection, detail: str = "") -> None:
        """The connection changed."""
        self.connection, self.detail = connection, detail

    def answered(self, event_id: str, event_name: str, status: int) -> None:
        """An answer went out: an error status is a refusal to follow (ACK-04)."""
        if status >= 400:
            self._refused = (event_id, event_name)
        elif self._refused[0] == event_id:
            self._refused = _NONE

    def caught_up(self) -> None:
        """The application follows what it had refused."""
        self._refused = _NONE

    def content_was_read(self) -> None:
        """A GET brought the content whole; an update that was too large is missing no more."""
        if self._refused[1].lower().endswith("-update"):
            self._refused = _NONE

    def opened(self, event: Notification) -> None:
        """Something newer is current; whoever refuses this one too says so again."""
        if self._refused[0] != event.id:
            self._refused = _NONE
        self.followed(event)

    def followed(self, event: Notification) -> None:
        """An event was followed here; whoever is still out of step with it says so again."""
        moves_context = event.kind in {EventKind.OPEN, EventKind.CLOSE}
        self._problems = {
            key: it
            for key, it in self._problems.items()
            if not (moves_context or it.is_about_content)
        }

    def note(self, problem: SyncProblem) -> None:
        """A SyncError came."""
        self._problems[problem.event_id, problem.subscriber] = problem
        while len(self._problems) > MAX_PROBLEMS:
            del self._problems[next(iter(self._problems))]
