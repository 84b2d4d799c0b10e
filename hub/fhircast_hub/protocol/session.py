"""The state of one topic as values: open contexts, the current one, versions; what a site decides.

A session holds several open anchor contexts. The current context is the one most recently opened;
closing it leaves none current, even if others are still open (TAB-01 … TAB-03, CTX-04). Each anchor
context has its own chain of versions and its own content.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fhircast_hub.protocol.content import Content, UpdateRules

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from fhircast_hub.protocol.dialects import Dialect
    from fhircast_hub.protocol.messages import EventNotification


@dataclass(frozen=True, slots=True)
class Rules:
    """What a site may decide about sessions.

    Attributes:
        ira: The rules of IHE IRA bind (`hub.profile=ira`).
        max_clock_ahead_seconds: How far a timestamp may lie ahead of the hub's clock (D-27).
        max_open_contexts: Open contexts of one session.
        max_content_resources: Resources in the content of one context.
        remembered_ids: Event ids per session that are recognised when they come again (D-28).
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


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to an accepted request (D-46).

    Attributes:
        id: The event's id.
        version_id: The version that was assigned, "" if none was.
        status: 202, or 206 if unknown resources of a selection were dropped (IRA-HUB-12).
    """

    id: str
    version_id: str = ""
    status: int = 202


@dataclass(frozen=True, slots=True)
class OpenContext:
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
    content: Content = field(default_factory=Content)
    patient: str = ""

    @property
    def anchor_type(self) -> str:
        """Resource type of the anchor."""
        return self.opened.name.anchor_type or ""

    def resources(self) -> dict[str, bytes]:
        """Return the resources of the open event by "Type/id"; b"" for one it only refers to."""
        return {it.target: it.resource for it in self.opened.context if it.target}

    def holds(self, key: str) -> bool:
        """Tell whether a resource ("Type/id") was opened or is shared in this context."""
        return key in self.content or any(it.target == key for it in self.opened.context if it.head)


@dataclass(frozen=True, slots=True)
class Remembered:
    """An accepted event, kept to recognise its id.

    Attributes:
        digest: Digest of the request's JSON value.
        answer: What was answered.
        out_of_sync: A SyncError about the event is outstanding.
    """

    digest: bytes
    answer: Accepted
    out_of_sync: bool = False


@dataclass(frozen=True, slots=True)
class Session:
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
    contexts: Mapping[str, OpenContext] = field(default_factory=dict)
    current: str = ""
    home: EventNotification | None = None
    remembered: Mapping[str, Remembered] = field(default_factory=dict)

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


@dataclass(frozen=True, slots=True)
class Decision:
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
