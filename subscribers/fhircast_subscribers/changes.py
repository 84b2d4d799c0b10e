"""What a follower tells the application: typed changes, each a value that stands alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from fhircast_subscribers.contexts import OpenContext
    from fhircast_subscribers.sync import SyncStatus
    from fhircast_subscribers.wire import Notification


@dataclass(frozen=True, slots=True)
class ContextOpened:
    """A context was opened, opened again, or learned from the hub (IRA-SUB-07).

    Attributes:
        context: The context, content included.
        is_current: Whether it is the current context now; an older open is not (EVT-10).
        resumed: Whether it was open before and was only not current.
    """

    context: OpenContext
    is_current: bool
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class ContextClosed:
    """A context and all its content are gone, whether it was current or not (IRA-SUB-06)."""

    context: OpenContext
    was_current: bool


@dataclass(frozen=True, slots=True)
class ContextUnconfirmed:
    """After a reconnect the hub did not show that this context is still open.

    It must not stay on a screen as if it were in sync. Unsaved work for it may be kept: nobody said
    that it was closed.
    """

    context: OpenContext
    was_current: bool


@dataclass(frozen=True, slots=True)
class NothingCurrent:
    """No clinical context is current any more, though contexts stay open (INF-04).

    Attributes:
        previous: What was current, None if nothing was.
    """

    previous: OpenContext | None


@dataclass(frozen=True, slots=True)
class ContentChanged:
    """The content of a context changed.

    Attributes:
        context: The context afterwards.
        changed: "Type/id"s that are new or replaced.
        removed: "Type/id"s that are gone.
        is_whole: The whole content set was replaced after a GET.
    """

    context: OpenContext
    changed: tuple[str, ...]
    removed: tuple[str, ...] = ()
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class SelectionChanged:
    """Something else is selected now; `context.selection` holds it whole (SEL-02)."""

    context: OpenContext


@dataclass(frozen=True, slots=True)
class SyncChanged:
    """In sync or out of it, or for another reason (SYNC-13)."""

    sync: SyncStatus


@dataclass(frozen=True, slots=True)
class LogoutRequested:
    """UserLogout: log the user out, or say why not (INF-02).

    Attributes:
        code: Why, "" if the event does not say.
    """

    code: str


@dataclass(frozen=True, slots=True)
class OtherEvent:
    """An event that moves no context: hibernate, proprietary, unknown."""

    notification: Notification


@dataclass(frozen=True, slots=True)
class FellBehind:
    """The application was too slow and changes were dropped: show the follower's state anew."""


Change: TypeAlias = (
    ContextOpened
    | ContextClosed
    | ContextUnconfirmed
    | NothingCurrent
    | ContentChanged
    | SelectionChanged
    | SyncChanged
    | LogoutRequested
    | OtherEvent
    | FellBehind
)
