"""The state of one topic as values: open contexts, the current one, versions; what a site decides.

A session holds several open anchor contexts. The current context is the one most recently opened;
closing it leaves none current, even if others are still open (TAB-01 … TAB-03, CTX-04). Each anchor
context has its own chain of versions and its own content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from fhircast_hub.protocol.content import EMPTY, Content, UpdateRules
from fhircast_hub.protocol.remembered import Accepted, RecentEvents, Remembered

if TYPE_CHECKING:
    from datetime import datetime

    from fhircast_hub.protocol.dialects import Dialect
    from fhircast_hub.protocol.notification import ContextEntry, EventNotification

__all__ = ["Accepted", "Decision", "OpenContext", "Remembered", "Rules", "Session"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a site may decide about sessions.

    Attributes:
        ira: The rules of IHE IRA bind (`hub.profile=ira`).
        max_clock_ahead_seconds: How far a timestamp may lie ahead of the hub's clock (D-27).
        max_open_contexts: Open contexts of one session.
        max_content_resources: Resources in the content of one context.
        remembered_ids: Event ids per session that are recognised when they come again, and up to an
            eighth more (D-28).
        refuses_post: POST entries of an update are refused (D-05).
        refuses_profile_faults: So are opens and closes that their profiles do not allow (D-31).
        updates_current_only: An update of an open context that is not current is refused (CONT-23).
        dialects: Ways of deployed applications that are understood (D-49).
    """

    ira: bool = False
    max_clock_ahead_seconds: float = 300
    max_open_contexts: int = 64
    max_content_resources: int = 10_000
    remembered_ids: int = 128
    refuses_post: bool = False
    refuses_profile_faults: bool = False
    updates_current_only: bool = False
    dialects: frozenset[Dialect] = frozenset()

    @property
    def updates(self) -> UpdateRules:
        """What concerns updates alone."""
        return UpdateRules(ira=self.ira, refuses_post=self.refuses_post)


class OpenContext(msgspec.Struct, frozen=True, gc=False):
    """An anchor context that is open.

    Attributes:
        opened: The open as it was broadcast, with the version first distributed.
        version_id: The newest version.
        content: Resources shared since the open.
        patient: Whose context it is: the "Patient/id" that its last open named, or if that named
            none the one before (D-11); "" if none ever did.
    """

    opened: EventNotification
    version_id: str
    content: Content = EMPTY
    patient: str = ""

    @property
    def anchor_type(self) -> str:
        """Resource type of the anchor."""
        return self.opened.name.anchor_type or ""

    def resources(self) -> Mapping[str, bytes]:
        """Return the resources of the open event by "Type/id"; b"" for one it only refers to."""
        return _Opened(self.opened.context)

    def holds(self, key: str) -> bool:
        """Tell whether a resource ("Type/id") was opened or is shared in this context."""
        return key in self.content or any(
            it.target == key for it in self.opened.context if it.head is not None
        )


class _Opened(Mapping[str, bytes]):
    """Resources of an open event; each is cut out of the event when it is asked for."""

    __slots__ = ("_entries",)

    def __init__(self, context: tuple[ContextEntry, ...]) -> None:
        self._entries = {it.target: it for it in context if it.target}

    def __getitem__(self, key: str) -> bytes:
        return self._entries[key].resource

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class Session(msgspec.Struct, frozen=True, gc=False):
    """The state of one topic; a value.

    Attributes:
        topic: The session's topic.
        version_id: Version of the state without a current context (CTX-05).
        revision: Counts accepted requests; never on the wire.
        contexts: Open contexts by anchor ("Type/id"), in the order of their opens.
        current: Anchor of the current context, "" if there is none.
        home: The Home-open, while it is the latest open of the topic (D-21).
        remembered: Recent events by id.
    """

    topic: str
    version_id: str
    revision: int = 0
    contexts: Mapping[str, OpenContext] = {}
    current: str = ""
    home: EventNotification | None = None
    remembered: RecentEvents = RecentEvents()

    @property
    def current_context(self) -> OpenContext | None:
        """The current context, None if there is none."""
        return self.contexts.get(self.current)

    @property
    def latest_open(self) -> EventNotification | None:
        """The open that made the state what subscribers show; None once its context is closed."""
        current = self.current_context
        return current.opened if current is not None else self.home

    @property
    def opened_at(self) -> datetime | None:
        """When the latest open happened; None once its context is closed: no open is late then."""
        latest = self.latest_open
        return latest.happened_at if latest is not None else None


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What an accepted request does.

    Attributes:
        session: The session afterwards; the same object if nothing changes.
        broadcast: What every subscriber of the event gets; None for a recognised duplicate.
        answer: What the requester gets.
        only_for: Subject whose subscriptions alone get the broadcast, "" for all (EVT-06).
        is_resend: Whether it was broadcast before (D-28).
        remarks: What was let pass, for the log: nothing in them comes from outside.
    """

    session: Session
    broadcast: EventNotification | None
    answer: Accepted
    only_for: str = ""
    is_resend: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def sets_context(self) -> bool:
        """Whether the broadcast is the open that subscribers show from now on (D-27)."""
        return self.broadcast is not None and self.broadcast is self.session.latest_open

    def for_only(self, subject: str) -> Decision:
        """Return the decision with a broadcast for this subject's subscriptions alone (EVT-06).

        An empty subject stands for everybody.
        """
        return replace(self, only_for=subject) if subject != self.only_for else self
