"""Showing: what every reference application does with the context on its screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_subscribers.adapter import FOLLOWED, Answer, BaseAdapter
from fhircast_subscribers.errors import RefusedLocally

if TYPE_CHECKING:
    from fhircast_subscribers.changes import ContentChanged
    from fhircast_subscribers.client import HubSession
    from fhircast_subscribers.contexts import OpenContext
    from fhircast_subscribers.sync import SyncStatus

_NOBODY = Answer(409, "nobody is logged in")


class Showing(BaseAdapter):
    """Shows the current report and nothing else; derive from it for what an actor does with it.

    Attributes:
        session: The session.
        shown: The context on the screen, None if there is none.
        sync: Why applications are out of sync, None if they are not.
        is_logged_out: Whether the user was logged out: nothing is shown until `log_in`.
    """

    def __init__(self, session: HubSession) -> None:
        self.session = session
        self.shown: OpenContext | None = None
        self.sync: SyncStatus | None = None
        self.is_logged_out = False

    @property
    def status(self) -> str:
        """The report's newest status (IRA-ID-01)."""
        return self.shown.status if self.shown else ""

    @property
    def focused(self) -> tuple[str, ...]:
        """What is selected in the session, as "Type/id"s."""
        return self.shown.selection if self.shown else ()

    def hide(self) -> None:
        """Close it on this screen only: nobody is told, and the next open is shown (TAB-04)."""
        self._put_aside()

    def log_in(self) -> None:
        """A user is there again; what the next open brings is shown."""
        self.is_logged_out = False

    async def may_follow(self, context: OpenContext) -> Answer:
        """Show no patient to nobody."""
        return _NOBODY if self.is_logged_out else FOLLOWED

    async def opened(self, context: OpenContext) -> None:
        """Show the context."""
        self._put_aside()
        self.shown = context

    async def closed(self, context: OpenContext, *, is_confirmed: bool) -> None:
        """Stop showing it, if it is what is shown."""
        if self._shows(context):
            self._put_aside()

    async def nothing_current(self) -> Answer:
        """Show no patient; what is open stays open (INF-04)."""
        self._put_aside()
        return FOLLOWED

    async def updated(self, change: ContentChanged) -> None:
        """Show the new content and status, if it is what is shown."""
        if self._shows(change.context):
            self.shown = change.context

    async def selected(self, context: OpenContext) -> None:
        """Bring the selection into focus."""
        if self._shows(context):
            self.shown = context

    async def sync_lost(self, sync: SyncStatus) -> None:
        """Keep why (SYNC-13)."""
        self.sync = sync

    async def sync_regained(self) -> None:
        """Nothing to warn of."""
        self.sync = None

    async def logout(self, code: str) -> Answer:
        """Log the user out (INF-02)."""
        self._put_aside()
        self.is_logged_out = True
        return FOLLOWED

    def _put_aside(self) -> None:
        """Take it off the screen; a subclass keeps its state for a resume."""
        self.shown = None

    def _shows(self, context: OpenContext) -> bool:
        return self.shown is not None and self.shown.anchor == context.anchor

    def _require_shown(self, rule: str) -> OpenContext:
        if self.shown is None:
            raise RefusedLocally("no context is shown", rule=rule)
        return self.shown
