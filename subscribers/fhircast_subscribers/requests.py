"""Requester: context changes as a subscriber asks for them, with the retry rules of the standard.

A request without any answer is sent again with the same id; after an error answer nothing is sent
again but an update whose version was stale, once, with a new id (IRA-SUB-08, EVT-07). An open or
close that others refuse is sent again unchanged until they follow (SYNC-12).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

from fhircast_subscribers.builders import close_items, reference_item, reopen_items
from fhircast_subscribers.catalogue import check_request
from fhircast_subscribers.content import check_update, select_items, updates_bundle
from fhircast_subscribers.errors import NoAnswer, RefusedLocally, RequestRefused, VersionStale
from fhircast_subscribers.fhir import new_id
from fhircast_subscribers.infrastructure import hibernate_items, logout_items, sync_error_items
from fhircast_subscribers.wire import Item, Resource, target_of, write_notification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhircast_hub.protocol.session import Accepted

    from fhircast_subscribers.builders import Openable
    from fhircast_subscribers.contexts import OpenContext
    from fhircast_subscribers.discovery import HubConfiguration
    from fhircast_subscribers.feed import Feed
    from fhircast_subscribers.http import HubHttp
    from fhircast_subscribers.link import HubLink
    from fhircast_subscribers.settings import ClientSettings

logger = logging.getLogger(__name__)

Puts: TypeAlias = Iterable[Resource] | Callable[["OpenContext"], Iterable[Resource]]
"""Resources to share, or what makes them from the newest state: it is called again on a retry."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """An event of ours, as it was sent; a higher number was written later."""

    id: str
    body: bytes
    number: int


class Requester:
    """Sends context change requests for one session."""

    def __init__(
        self,
        http: HubHttp,
        feed: Feed,
        link: HubLink,
        settings: ClientSettings,
        *,
        topic: str,
        name: str,
    ) -> None:
        self._http = http
        self._feed = feed
        self._link = link
        self._settings = settings
        self._topic = topic
        self._name = name
        self._updating = asyncio.Lock()
        self._moved: _Sent | None = None
        self._written = count(1)
        self._newest_move = 0

    async def open(self, context: Openable) -> Accepted:
        """Open a context, or resume it with the same resources and a new id (IRA-SUB-10).

        Raises:
            InvalidContext: It has not the parts that the event wants.
            RequestRefused: The hub refused.
            NoAnswer: It did not answer; the open may or may not be known to it.
        """
        return await self._move(f"{context.anchor_type}-open", context.open_items())

    async def reopen(self, anchor: str) -> Accepted:
        """Make an open context current again: an open, never a close (TAB-04).

        Raises:
            RefusedLocally: The context is not open.
            InvalidContext: Somebody opened it without the parts that the event wants.
            RequestRefused, NoAnswer: As for `open`.
        """
        context = self._open_context(anchor)
        return await self._move(f"{context.anchor_type}-open", reopen_items(context))

    async def close(self, anchor: str = "") -> Accepted:
        """Close an open context, the current one by default.

        Raises:
            RefusedLocally: It is not open.
            RequestRefused, NoAnswer: As for `open`.
        """
        context = self._open_context(anchor)
        return await self._move(
            f"{context.anchor_type}-close", close_items(context), not_before=context.opened_at
        )

    async def update(
        self, puts: Puts = (), deletes: Iterable[str] = (), *, anchor: str = ""
    ) -> Accepted:
        """Share content in an open context, the current one by default.

        If somebody else was faster, the context is read again and the update retried once, on the
        newest version and with a new id.

        Args:
            puts: Resources that are new or replaced, whole; or what makes them from the context.
            deletes: "Type/id"s that go.
            anchor: Of the context.

        Raises:
            RefusedLocally: The context is not open or has no version, or the content must not be
                shared in it.
            InvalidContext: A resource has no type or id, or comes twice.
            VersionStale: Somebody was faster twice.
            RequestRefused, NoAnswer: As for `open`.

        Spec: 2.10, 3.6.3; CONT-02, CONT-08 … CONT-14, CONT-18, IRA-CC-04.
        """
        removed = tuple(deletes)
        made = puts if callable(puts) else tuple(puts)
        async with self._updating:
            # What is sent is based on this one; its successor may be here before the refusal is.
            based_on = self._open_context(anchor)
            anchor = based_on.anchor
            try:
                return await self._update_once(made, removed, anchor)
            except VersionStale:
                await self._await_newer(based_on)
                return await self._update_once(made, removed, anchor)

    async def select(self, targets: Iterable[str]) -> Accepted:
        """Select these "Type/id"s of the current context and nothing else; none clears (SEL-02).

        Only for what the user selected; all of it in one call (IRA-CC-03).

        Raises:
            RefusedLocally: There is no current context (SEL-03).
            RequestRefused, NoAnswer: As for `open`.
        """
        context = self._open_context("")
        items = [self._anchor_item(context), *select_items(targets)]
        return await self.request(f"{context.anchor_type}-select", items)

    async def home(self) -> Accepted:
        """Show no clinical context anywhere; what is open stays open (INF-04)."""
        return await self._move("Home-open", [])

    async def logout(self, code: str = "user-initiated") -> Accepted:
        """Tell the others that the user logs out (INF-01)."""
        return await self.request("UserLogout", logout_items(code))

    async def hibernate(self, code: str = "user-initiated", *, hub: bool | None = None) -> Accepted:
        """Tell the others that the session pauses; nothing is closed (INF-03).

        Args:
            code: Why.
            hub: Whether the system with the hub hibernates too; None says nothing about it.
        """
        return await self.request("UserHibernate", hibernate_items(code, hub=hub))

    async def sync_error(self, event_id: str, event_name: str, reason: str) -> Accepted:
        """Say that an event is not followed after all: only after a 202 (SYNC-11, RAD-156).

        Args:
            event_id: Of the event.
            event_name: Its name.
            reason: In words for the other users; no patient data.

        Raises:
            RefusedLocally: It is about an update or a selection; nobody refuses those (D-17).
            RequestRefused, NoAnswer: As for `open`.
        """
        if event_name.lower().endswith(("-update", "-select")):
            raise RefusedLocally("updates and selections are not refused", rule="SYNC-11")
        items = sync_error_items(
            event_id=event_id, event_name=event_name, subscriber=self._name, reason=reason
        )
        return await self.request("SyncError", items)

    async def request(
        self, event_name: str, items: Sequence[Item], *, version_id: str = ""
    ) -> Accepted:
        """Request any event: infrastructure, proprietary, another anchor.

        Raises:
            InvalidContext: No event may be called that, or its context is not as the catalogue
                wants it (EVT-12 … EVT-16).
            RequestRefused, NoAnswer: As for `open`.
        """
        sent = self._write(event_name, items, version_id=version_id)
        return await self._publish(sent, event_name)

    async def read_context(self) -> OpenContext | None:
        """Read the current context from the hub now and return it (2.9, CONT-18).

        Raises:
            RequestRefused, NoAnswer, InvalidAnswer: There is no usable answer.
        """
        ticket = self._feed.follower.begin_read()
        answer = await self._http.read_context(self._topic)
        self._feed.read(answer, ticket)
        return self._feed.follower.current

    async def read_configuration(self) -> HubConfiguration:
        """Read what the hub can do: its events, whether GET works (2.7).

        Raises:
            RequestRefused, NoAnswer, InvalidAnswer: There is no usable answer.
        """
        return await self._http.read_configuration()

    async def resend(self) -> None:
        """Send our last open or close again while a SyncError about it stands, until cancelled.

        Same id, same body, ten seconds apart at least; a newer open or close ends it (SYNC-12).
        """
        while True:
            await self._feed.until(lambda: self._outstanding() is not None, None)
            sent, resends = self._outstanding(), 0
            while sent is not None and resends < self._settings.max_resends:
                await asyncio.sleep(self._settings.resend_seconds)
                if self._outstanding() != sent:
                    break
                resends += 1
                try:
                    await self._http.publish(sent.id, sent.body)
                except NoAnswer:
                    continue
                except RequestRefused as refused:
                    logger.info("a resend was refused: %s", refused)
                    break
                # The broadcast clears the error; whoever still refuses raises it again.
            if sent is not None and self._outstanding() == sent:
                self._moved = None

    def _outstanding(self) -> _Sent | None:
        moved = self._moved
        if moved is None:
            return None
        problems = self._feed.follower.sync.problems
        return moved if any(it.event_id == moved.id for it in problems) else None

    async def _move(
        self, event_name: str, items: Sequence[Item], *, not_before: datetime | None = None
    ) -> Accepted:
        sent = self._write(event_name, items, not_before=not_before)
        accepted = await self._publish(sent, event_name)
        if sent.number > self._newest_move:  # the answer to an earlier one may come later
            self._newest_move, self._moved = sent.number, sent
            self._feed.pulse()
        return accepted

    async def _update_once(
        self,
        puts: tuple[Resource, ...] | Callable[[OpenContext], Iterable[Resource]],
        deletes: tuple[str, ...],
        anchor: str,
    ) -> Accepted:
        context = self._open_context(anchor)
        if not context.version_id:
            raise RefusedLocally("the version of the context is not known", rule="CONT-02")
        bundle = updates_bundle(puts(context) if callable(puts) else puts, deletes)
        check_update(context, bundle)
        items = [self._anchor_item(context), {"key": "updates", "resource": bundle}]
        if context.association[1] and context.anchor_type != "Patient":
            items.insert(1, reference_item("patient", context.association[1]))
        return await self.request(
            f"{context.anchor_type}-update", items, version_id=context.version_id
        )

    async def _await_newer(self, stale: OpenContext) -> None:
        """Learn the newest version: by a GET if the context is current, else by its broadcast."""
        follower = self._feed.follower
        if follower.current is not None and follower.current.anchor == stale.anchor:
            await self.read_context()

        def is_newer() -> bool:
            context = follower.context(stale.anchor)
            return context is None or context.version_id != stale.version_id

        await self._feed.until(is_newer, self._settings.echo_timeout_seconds)

    async def _publish(self, sent: _Sent, event_name: str) -> Accepted:
        """Send until there is an answer, with one id and bounded; then wait for the broadcast."""
        failures = 0
        while True:
            try:
                accepted = await self._http.publish(sent.id, sent.body)
                break
            except NoAnswer:
                failures += 1
                if failures >= self._settings.request_tries or not self._link.is_wanted:
                    raise
                delay = self._settings.backoff.delay_seconds(failures, random.random)
                await asyncio.sleep(delay)
        if event_name.lower() in self._link.granted:
            # Read your own writes: the next request is based on what this one made.
            await self._feed.until(
                lambda: self._feed.has_seen(sent.id), self._settings.echo_timeout_seconds
            )
        return accepted

    def _write(
        self,
        event_name: str,
        items: Sequence[Item],
        *,
        version_id: str = "",
        not_before: datetime | None = None,
    ) -> _Sent:
        """Write a request with a new id.

        Its time is not before what it answers to: a colleague's clock that runs ahead must not make
        our open or close look older than theirs (EVT-10, D-26).
        """
        check_request(event_name, items)
        event_id = new_id()
        moments = (self._feed.follower.opened_at, not_before)
        known = [it for it in moments if it is not None]
        body = write_notification(
            id=event_id,
            happened_at=max([datetime.now(UTC), *known]),
            topic=self._topic,
            event_name=event_name,
            items=items,
            version_id=version_id,
        )
        return _Sent(event_id, body, next(self._written))

    def _open_context(self, anchor: str) -> OpenContext:
        follower = self._feed.follower
        context = follower.context(anchor) if anchor else follower.current
        if context is None:
            what = "the context is not open" if anchor else "there is no current context"
            raise RefusedLocally(what, rule="SEL-03, D-29")
        return context

    def _anchor_item(self, context: OpenContext) -> Item:
        for item in context.items:
            if target_of(item) == context.anchor:
                return reference_item(str(item.get("key")), context.anchor)
        raise RefusedLocally("the context has no anchor resource", rule="CONT-08")
