"""Follower: a subscriber's replica of what the hub has open. Frames in, changes out; no I/O.

It follows the hub even where the application on top refuses, so that the application can say what
the others show. Feed it everything in the order in which it happens:

* `connected`, then every frame of that socket by `receive`, then `lost` or `ended`;
* while `needs_read`, a GET: `begin_read` before it is sent, `take_read` with its answer;
* `answered` with every status that goes back to the hub.

The answer to a GET may be older or newer than the frames around it. An answer that a frame overtook
is passed over; a broadcast that an answer already contained is recognised by its version.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from fhircast_hub.protocol.events import HOME_OPEN, SYNC_ERROR, EventKind

from fhircast_subscribers import steps
from fhircast_subscribers.changes import (
    Change,
    ContentChanged,
    ContextClosed,
    ContextOpened,
    ContextUnconfirmed,
    LogoutRequested,
    NothingCurrent,
    OtherEvent,
    SelectionChanged,
    SyncChanged,
)
from fhircast_subscribers.relations import (
    content_difference,
    is_contained,
    is_known_open,
    is_older,
    logout_code,
)
from fhircast_subscribers.standing import Standing
from fhircast_subscribers.sync import Connection, SyncStatus, read_sync_error
from fhircast_subscribers.wire import (
    Confirmation,
    CurrentContext,
    Denial,
    Message,
    Notification,
    read_frame,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from fhircast_subscribers.contexts import OpenContext
    from fhircast_subscribers.wire import Resource

Ticket: TypeAlias = tuple[int, int]
"""How far the follower was when a GET was sent."""

MAX_CONTEXTS = 256
"""Open contexts kept; beyond, those go first that the hub did not confirm, then the oldest."""


class Follower:
    """The replica of one topic.

    Attributes:
        topic: The session's topic; notifications of another topic are passed over.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._contexts: dict[str, OpenContext] = {}
        self._current = ""
        self._opened_at: datetime | None = None
        self._standing = Standing()
        self._moves = 0
        self._steps = 0
        self._is_unsure = False
        self._is_newest_known = False
        self._opened_types: set[str] = set()
        self._shown_sync = self.sync

    @property
    def contexts(self) -> Mapping[str, OpenContext]:
        """What is open, by anchor, in the order of the opens; what is not confirmed is left out."""
        return {key: it for key, it in self._contexts.items() if it.confirmed}

    @property
    def current(self) -> OpenContext | None:
        """The current context, None if there is none."""
        return self._contexts.get(self._current)

    @property
    def sync(self) -> SyncStatus:
        """Whether everybody shows the same, and why not."""
        current = self.current
        return self._standing.status(needs_context=current is not None and current.needs_context)

    @property
    def opened_at(self) -> datetime | None:
        """When the newest open or Home-open happened, None if that is not known."""
        return self._opened_at

    @property
    def in_sync(self) -> bool:
        """Whether nothing is wrong that is known here."""
        return self.sync.in_sync

    @property
    def needs_read(self) -> bool:
        """Whether a GET of the current context is due: after joining, or after a gap (CONT-18)."""
        current = self.current
        gap = current is not None and current.needs_context
        connection = self._standing.connection
        joined = connection is Connection.JOINED
        return connection is Connection.JOINING or (joined and (gap or self._is_unsure))

    def context(self, anchor: str) -> OpenContext | None:
        """Return the context of an anchor, confirmed or not; None if it is not known."""
        return self._contexts.get(anchor)

    # Facts about the connection

    def connected(self) -> tuple[Change, ...]:
        """A socket was opened: what was known before has to be shown again by the hub."""
        self._standing.move(Connection.JOINING)
        self._opened_at = None  # the replay tells it anew, in order (REP-05)
        self._moves += 1
        self._is_unsure, self._is_newest_known, self._opened_types = False, False, set()
        self._contexts = {key: replace(it, confirmed=False) for key, it in self._contexts.items()}
        return self._with_sync([])

    def lost(self, detail: str = "") -> tuple[Change, ...]:
        """The socket is gone, or the hub cannot be reached; the client tries again."""
        self._standing.move(Connection.LOST, detail)
        return self._with_sync([])

    def ended(self, detail: str) -> tuple[Change, ...]:
        """The subscription is over and nobody tries again (CONF-07)."""
        self._standing.move(Connection.ENDED, detail)
        return self._with_sync([])

    def answered(self, event_id: str, event_name: str, status: int) -> tuple[Change, ...]:
        """An answer went to the hub: an error status is a refusal to follow (ACK-04)."""
        self._standing.answered(event_id, event_name, status)
        return self._with_sync([])

    def caught_up(self) -> tuple[Change, ...]:
        """The application follows what it had refused."""
        self._standing.caught_up()
        return self._with_sync([])

    # Frames

    def receive(self, frame: bytes | str) -> tuple[Message | None, tuple[Change, ...]]:
        """Take a frame in; return what it is and what it changes here.

        The message is None for what asks for nothing (GEN-02, D-38). Every `Notification` wants an
        answer, whether it changed something or not (ACK-01).
        """
        message = read_frame(frame)
        match message:
            case Notification():
                return message, self.apply(message)
            case Denial():
                return message, self.ended(message.reason or "denied by the hub")
            case Confirmation() | None:
                return message, ()

    def pass_over(self, event: Notification) -> tuple[Change, ...]:
        """Take no more of an event than its version: it is too large here, and answered 413.

        Without the version no update of ours would be accepted any more (CONT-17, CONT-19).
        """
        known = self._contexts.get(event.anchor)
        if event.kind is EventKind.UPDATE and known is not None and event.topic == self.topic:
            self._put(steps.passed_over(event, known))
        return self.answered(event.id, event.event_name, 413)

    def apply(self, event: Notification) -> tuple[Change, ...]:
        """Take a notification in; return what it changes here."""
        if event.topic and event.topic != self.topic:
            return ()
        name = event.name
        if name == SYNC_ERROR:
            self._standing.note(read_sync_error(event))
            return self._with_sync([])
        if event.kind is EventKind.OPEN:
            self._note_replay(event)
        if name == HOME_OPEN:
            return self._with_sync(self._home(event))
        handlers = {
            EventKind.OPEN: self._open,
            EventKind.CLOSE: self._close,
            EventKind.UPDATE: self._update,
            EventKind.SELECT: self._select,
        }
        handler = handlers.get(event.kind)
        self._steps += 1
        if handler is not None:
            return self._with_sync(handler(event) if event.anchor else [])
        if name is not None and name.key == "userlogout":
            return (LogoutRequested(logout_code(event)),)
        return (OtherEvent(event),)

    # GET of the current context

    def begin_read(self) -> Ticket:
        """Return the ticket for a GET that is about to be sent."""
        return self._moves, self._steps

    def take_read(self, answer: CurrentContext | None, ticket: Ticket) -> tuple[Change, ...]:
        """Take the answer to a GET in, as if the open had arrived (IRA-SUB-07).

        Args:
            answer: What the hub said; None if it does not know the topic: then nothing is open but
                what it replayed.
            ticket: From `begin_read`. If the current context moved since then, or the answer has an
                earlier version than an event since then, it is the older truth: it is passed over
                and `needs_read` stays.
        """
        moves, taken_steps = ticket
        if moves != self._moves:
            return ()
        if answer is None:
            changes = self._forget_unconfirmed()
        elif answer.anchor:
            is_ours = answer.anchor == self._current and self._opened_at is not None
            self._is_newest_known = self._is_newest_known or is_ours
            changes = self._take_current(answer, was_overtaken=taken_steps != self._steps)
        else:
            changes = self._no_current()
        self._standing.content_was_read()
        self._is_unsure = False
        return self._joined(changes)

    def joined_without_read(self) -> tuple[Change, ...]:
        """The hub offers no GET (CTX-01): what it replayed has to do."""
        self._is_unsure = False
        return self._joined([])

    def fetched(self, anchor: str, key: str, resource: Resource | None) -> tuple[Change, ...]:
        """Take a resource in that an update only referred to; None if it cannot be had."""
        context = self._contexts.get(anchor)
        if context is None or key not in context.references:
            return ()
        references = {it: url for it, url in context.references.items() if it != key}
        if resource is None:
            self._put(replace(context, references=references))
            return ()
        content = {**context.content, key: resource}
        return (self._changed(replace(context, references=references, content=content), (key,)),)

    def _joined(self, changes: list[Change]) -> tuple[Change, ...]:
        if self._standing.connection is Connection.JOINING:
            self._standing.move(Connection.JOINED)
            unconfirmed = [it for it in self._contexts.values() if not it.confirmed]
            changes += [ContextUnconfirmed(it, it.anchor == self._current) for it in unconfirmed]
            if self.current is not None and not self.current.confirmed:
                self._current = ""
        return self._with_sync(changes)

    def _take_current(self, answer: CurrentContext, *, was_overtaken: bool) -> list[Change]:
        known = self._contexts.get(answer.anchor)
        was_current = self._current == answer.anchor
        self._current = answer.anchor
        if known is None:
            taken = steps.read(answer, None)
            self._put(taken, newest=True)
            return [ContextOpened(taken, is_current=True)]
        is_older_truth = was_overtaken and answer.version_id in known.past_versions
        taken = replace(known, confirmed=True) if is_older_truth else steps.read(answer, known)
        self._put(taken)
        if was_current:
            return content_difference(known, taken)
        return [ContextOpened(taken, is_current=True, resumed=True)]

    def _no_current(self) -> list[Change]:
        previous, self._current = self.current, ""
        return [NothingCurrent(previous)] if previous is not None else []

    def _forget_unconfirmed(self) -> list[Change]:
        """The hub knows nothing of the topic; only what it replayed is open."""
        gone = [it for it in self._contexts.values() if not it.confirmed]
        changes: list[Change] = [ContextClosed(it, it.anchor == self._current) for it in gone]
        self._contexts = {key: it for key, it in self._contexts.items() if it.confirmed}
        return changes

    # Events

    def _open(self, event: Notification) -> list[Change]:
        known = self._contexts.get(event.anchor)
        is_newest = self._is_newest(event)
        if known is not None and is_known_open(event, known):
            return self._open_again(event, known, is_newest)
        if known is not None and is_older(event, known.opened_at):
            return []  # passed over by everybody, the hub included (EVT-10)
        opened = steps.opened(event) if known is None else steps.reopened(event, known)
        was_current = self._current == event.anchor
        self._put(opened, newest=True)
        if is_newest:
            self._make_current(event)
        resumed = known is not None and not was_current
        return [ContextOpened(opened, is_current=is_newest, resumed=resumed)]

    def _open_again(self, event: Notification, known: OpenContext, is_newest: bool) -> list[Change]:
        """A replay or a resend of what is here, or a broadcast that a GET was ahead of: no change.

        Spec: SYNC-12, SYNC-13, IRA-SUB-07.
        """
        again = steps.opened_again(event, known)
        was_current = self._current == event.anchor
        self._put(again, newest=is_newest)
        if is_newest:
            self._make_current(event)
        if was_current or not is_newest:
            return []
        return [ContextOpened(again, is_current=True, resumed=True)]

    def _home(self, event: Notification) -> list[Change]:
        if not self._is_newest(event):
            return []
        previous = self.current
        self._make_current(event)
        return [NothingCurrent(previous)] if previous is not None else []

    def _close(self, event: Notification) -> list[Change]:
        known = self._contexts.get(event.anchor)
        if known is None or is_older(event, known.opened_at):
            return []  # D-26: it meant an earlier opening of the same anchor
        del self._contexts[event.anchor]
        was_current = self._current == event.anchor
        if was_current:
            self._current = ""  # no fall back to another one (CTX-04)
            self._moves += 1
        self._standing.followed(event)
        return [ContextClosed(replace(known, closed_at=event.happened_at), was_current)]

    def _update(self, event: Notification) -> list[Change]:
        known = self._contexts.get(event.anchor)
        if known is None:
            return []
        if is_contained(event, known):
            if event.version_id != known.version_id:
                self._put(known.having_passed(event.version_id))
            return []
        updated, applied = steps.updated(event, known)
        self._standing.followed(event)
        return [self._changed(updated, applied.changed, applied.removed)]

    def _select(self, event: Notification) -> list[Change]:
        known = self._contexts.get(event.anchor)
        if known is None:
            return []
        chosen = steps.selected(event, known)
        self._put(chosen)
        self._standing.followed(event)
        return [SelectionChanged(chosen)]

    # Parts

    def _is_newest(self, event: Notification) -> bool:
        """D-27: an open counts if it is not older than the last one that counted."""
        return not is_older(event, self._opened_at)

    def _note_replay(self, event: Notification) -> None:
        """Doubt the first open of its type on a connection that was read already: read once more.

        It may be the replay of a context that is open but not current (REP-01), which only a GET
        can tell from a new open.
        """
        anchor_type = (event.name.anchor_type if event.name else None) or ""
        is_joined = self._standing.connection is Connection.JOINED
        if is_joined and anchor_type not in self._opened_types:
            self._is_unsure = True
        self._opened_types.add(anchor_type)

    def _make_current(self, event: Notification) -> None:
        if self._current != event.anchor:
            self._moves += 1
        if self._standing.connection is Connection.JOINED and not self._is_newest_known:
            self._is_unsure = True  # the hub may know a later open than we saw (D-27): ask
        self._current = event.anchor if event.name != HOME_OPEN else ""
        self._opened_at = event.happened_at or self._opened_at
        self._standing.opened(event)

    def _put(self, context: OpenContext, *, newest: bool = False) -> None:
        if newest:
            self._contexts.pop(context.anchor, None)
        self._contexts[context.anchor] = context
        while len(self._contexts) > MAX_CONTEXTS:
            others = [it for it in self._contexts.values() if it.anchor != self._current]
            gone = next((it for it in others if not it.confirmed), others[0])
            del self._contexts[gone.anchor]

    def _changed(
        self, context: OpenContext, changed: tuple[str, ...], removed: tuple[str, ...] = ()
    ) -> ContentChanged:
        self._put(context)
        return ContentChanged(context, changed, removed)

    def _with_sync(self, changes: list[Change]) -> tuple[Change, ...]:
        sync = self.sync
        if sync != self._shown_sync:
            self._shown_sync = sync
            changes.append(SyncChanged(sync))
        return tuple(changes)
