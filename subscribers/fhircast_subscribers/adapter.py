"""Adapter: what an application implements; `follow` runs it on a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fhircast_hub.protocol.events import EventKind

from fhircast_subscribers.changes import (
    Change,
    ContentChanged,
    ContextClosed,
    ContextOpened,
    ContextUnconfirmed,
    FellBehind,
    LogoutRequested,
    NothingCurrent,
    SelectionChanged,
    SyncChanged,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_subscribers.client import HubSession
    from fhircast_subscribers.contexts import OpenContext
    from fhircast_subscribers.feed import Received
    from fhircast_subscribers.sync import SyncStatus


@dataclass(frozen=True, slots=True)
class Answer:
    """An application's answer to an event.

    Attributes:
        status: 200 followed; 202 received, may still refuse; 409 refused.
        reason: For the other users, if it is a refusal; no patient data.
    """

    status: int
    reason: str = ""

    @property
    def is_refusal(self) -> bool:
        """Whether the event is not followed."""
        return self.status >= 400


FOLLOWED = Answer(200)
RECEIVED = Answer(202)


class Adapter(Protocol):
    """An application that follows a session. Derive from `BaseAdapter` to write only what matters.

    The calls come one after the other, in the order of the session.
    """

    async def may_follow(self, context: OpenContext) -> Answer:
        """Say whether to follow this context; `opened` comes next unless refused (ACK-02)."""
        ...

    async def opened(self, context: OpenContext) -> None:
        """Show this context; it may be the one that is shown already, opened again."""
        ...

    async def closed(self, context: OpenContext, *, is_confirmed: bool) -> None:
        """Stop showing this context, current or not (IRA-SUB-06).

        Args:
            context: What was closed.
            is_confirmed: False if nobody closed it for certain: after a reconnect the hub did not
                show it. Unsaved work for it must be kept.
        """
        ...

    async def nothing_current(self) -> Answer:
        """Nothing is current: show no context, or refuse; what is open stays open (INF-04)."""
        ...

    async def updated(self, change: ContentChanged) -> None:
        """The content of an open context changed."""
        ...

    async def selected(self, context: OpenContext) -> None:
        """Unselect everything, select `context.selection` (IRA-SUB-05)."""
        ...

    async def sync_lost(self, sync: SyncStatus) -> None:
        """Show clearly that and why applications are out of sync (SYNC-13)."""
        ...

    async def sync_regained(self) -> None:
        """Everybody shows the same again."""
        ...

    async def logout(self, code: str) -> Answer:
        """Log the user out, or refuse (INF-02)."""
        ...


class BaseAdapter:
    """Follows everything and shows nothing: the start for an application's own adapter."""

    async def may_follow(self, context: OpenContext) -> Answer:
        """See `Adapter.may_follow`."""
        return FOLLOWED

    async def opened(self, context: OpenContext) -> None:
        """See `Adapter.opened`."""

    async def closed(self, context: OpenContext, *, is_confirmed: bool) -> None:
        """See `Adapter.closed`."""

    async def nothing_current(self) -> Answer:
        """See `Adapter.nothing_current`."""
        return FOLLOWED

    async def updated(self, change: ContentChanged) -> None:
        """See `Adapter.updated`."""

    async def selected(self, context: OpenContext) -> None:
        """See `Adapter.selected`."""

    async def sync_lost(self, sync: SyncStatus) -> None:
        """See `Adapter.sync_lost`."""

    async def sync_regained(self) -> None:
        """See `Adapter.sync_regained`."""

    async def logout(self, code: str) -> Answer:
        """See `Adapter.logout`."""
        return FOLLOWED


async def follow(
    session: HubSession, adapter: Adapter, *, after: Callable[[Received], None] | None = None
) -> None:
    """Run an adapter until the session is left or its subscription has ended.

    Args:
        session: A joined session; nobody else iterates over it.
        adapter: The application.
        after: Called when something was handled, e.g. to paint.
    """
    driver = _Driver(session, adapter)
    async for received in session:
        await driver.handle(received)
        if after is not None:
            after(received)


class _Driver:
    """Turns what a session brings into calls of one adapter."""

    def __init__(self, session: HubSession, adapter: Adapter) -> None:
        self._session = session
        self._adapter = adapter
        self._refused = ""

    async def handle(self, received: Received) -> None:
        answer = FOLLOWED
        for change in received.changes:
            answer = max(answer, await self._handle(change), key=lambda it: it.status)
        current = self._session.current
        event = received.notification
        is_again = event is not None and event.kind is EventKind.OPEN and not received.changes
        if is_again and current is not None and current.anchor == self._refused:
            answer = await self._offer(current)  # sent again, as long as we refuse (SYNC-12)
        if event is not None and event.event_name.lower() == "userlogout" and answer.is_refusal:
            await received.answer(202)
            await self._session.sync_error(event.id, event.event_name, answer.reason)
        else:
            await received.answer(answer.status, answer.reason)

    async def _handle(self, change: Change) -> Answer:
        adapter = self._adapter
        match change:
            case ContextOpened(context=context, is_current=True):
                return await self._offer(context)
            case ContextClosed(context=context):
                await adapter.closed(context, is_confirmed=True)
            case ContextUnconfirmed(context=context):
                await adapter.closed(context, is_confirmed=False)
            case NothingCurrent():
                return await adapter.nothing_current()
            case ContentChanged():
                await adapter.updated(change)
            case SelectionChanged(context=context):
                await adapter.selected(context)
            case SyncChanged(sync=sync):
                await (adapter.sync_regained() if sync.in_sync else adapter.sync_lost(sync))
            case LogoutRequested(code=code):
                return await adapter.logout(code)
            case FellBehind():
                return await self._show_anew()
            case _:
                pass
        return FOLLOWED

    async def _offer(self, context: OpenContext) -> Answer:
        answer = await self._adapter.may_follow(context)
        self._refused = context.anchor if answer.is_refusal else ""
        if not answer.is_refusal:
            await self._adapter.opened(context)
        return answer

    async def _show_anew(self) -> Answer:
        sync = self._session.sync
        await (self._adapter.sync_regained() if sync.in_sync else self._adapter.sync_lost(sync))
        if self._session.current is not None:
            return await self._offer(self._session.current)
        return await self._adapter.nothing_current()
