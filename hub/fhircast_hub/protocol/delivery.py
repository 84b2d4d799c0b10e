"""One event as its subscribers get it: frames in their spelling, and what is shown afterwards.

The hub remembers for each channel which contexts its subscriber was last told to show. A derived
open that would tell it nothing new is left out (DER-02). What a later open does not hold counts as
no longer shown, and so does everything after a refusal or a close: when in doubt the derived open
goes out again, since a duplicate does less harm than another patient on the screen.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from fhircast_hub.protocol.derive import DERIVED_EVENTS, Derive, contexts_of, derived_opens
from fhircast_hub.protocol.events import EventKind, EventName
from fhircast_hub.protocol.messages import encode_notification

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from fhircast_hub.protocol.messages import EventNotification
    from fhircast_hub.protocol.subscription import Subscription

NOTHING_SHOWN: Mapping[str, str] = {}
"""Nothing, or nothing that the hub could be sure of."""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """An event in one subscriber's spelling.

    Attributes:
        id: Id of the event.
        name: The event.
        frame: The frame.
        shows: Resource type -> "Type/id" of what a subscriber shows that follows it; None if the
            event does not change that.
        closes: "Type/id" of the context that it closes, "" if it is no close.
        is_implied: Whether it is left out where it tells nothing new.
        opened_at: When it happened, if it is an open.
    """

    id: str
    name: EventName
    frame: bytes
    shows: Mapping[str, str] | None = None
    closes: str = ""
    is_implied: bool = False
    opened_at: datetime | None = None

    def __repr__(self) -> str:
        return f"<Delivery {self.name.spelling} {self.id}>"  # nothing of the frame

    def is_news(self, shown: Mapping[str, str]) -> bool:
        """Tell whether it has to go out to a subscriber that was last told to show this."""
        if not self.is_implied or self.shows is None:
            return True
        anchor_type = self.name.anchor_type or ""
        return shown.get(anchor_type) != self.shows.get(anchor_type)

    def shown_after(self, shown: Mapping[str, str]) -> Mapping[str, str]:
        """Return what a subscriber shows after it, that showed this before."""
        if self.shows is not None:
            return self.shows
        return NOTHING_SHOWN if self.closes and self.closes in shown.values() else shown


def news(group: Sequence[Delivery], shown: Mapping[str, str]) -> Sequence[Delivery]:
    """Return what of the deliveries of one event has to go out to a subscriber that shows this.

    From the first that tells something new to the end, so that the most specific comes last.
    """
    for place, it in enumerate(group):
        if it.is_news(shown):
            return group[place:]
    return ()


class Deliveries:
    """What the subscribers of a topic get of one event.

    Each frame is encoded only once, and who gets the same shares one group of deliveries.

    Args:
        event: The event as it is broadcast.
        sets_context: Whether it is the topic's latest open. An open that came too late is passed
            over by the subscribers that know better (EVT-10), so nothing is derived from it, and
            what others show after it is not known.
        derive: Who gets derived opens.
        is_resend: Whether the event was broadcast before: then somebody was out of step with it,
            and what is derived from it goes out again as well (D-28).

    Attributes:
        raises_doubt: Whether the event says that somebody may show something else than it was told
            to: a SyncError after a 202 (ACK-04), a logout, a hibernation. What was left out before
            as no news may be news then.
    """

    def __init__(
        self,
        event: EventNotification,
        *,
        sets_context: bool,
        derive: Derive,
        is_resend: bool = False,
    ) -> None:
        self.raises_doubt = event.name.kind is EventKind.INFRASTRUCTURE
        self._event = event
        self._sets_context = sets_context
        self._is_resend = is_resend
        self._derives_to_all = derive is Derive.ALL
        self._derives = sets_context and derive is not Derive.OFF
        self._key = event.name.key
        self._made: dict[tuple[str, str], Delivery] = {}
        self._plain: dict[str, tuple[Delivery, ...]] = {"": ()}
        self._mixed: dict[tuple[str, ...], tuple[Delivery, ...]] = {}
        self._last_events: Mapping[str, str] | None = None
        self._last_group: Sequence[Delivery] = ()

    def to(self, subscription: Subscription) -> Sequence[Delivery]:
        """Return what one subscriber gets if it shows something else; derived opens come first.

        Subscribers with equal events share them, and mostly come one after the other.
        """
        events = subscription.events
        if events is not self._last_events:
            self._last_group = self._group_of(events)
            self._last_events = events
        return self._last_group

    def _group_of(self, events: Mapping[str, str]) -> Sequence[Delivery]:
        spelling = events.get(self._key, "")
        if self._derives and (self._derives_to_all or not spelling):
            return self._with_derived(events, spelling)
        group = self._plain.get(spelling)
        if group is None:
            group = self._plain[spelling] = (self._delivery(self._event, spelling),)
        return group

    def _with_derived(self, events: Mapping[str, str], spelling: str) -> Sequence[Delivery]:
        spellings = (spelling, *[events.get(it, "") for it in DERIVED_EVENTS])
        group = self._mixed.get(spellings)
        if group is None:
            wanted = self._derived if any(spellings[1:]) else ()
            sent = [(it, events[it.name.key]) for it in wanted if it.name.key in events]
            if spelling:
                sent.append((self._event, spelling))
            group = self._mixed[spellings] = tuple([self._delivery(*it) for it in sent])
        return group

    @cached_property
    def _derived(self) -> tuple[EventNotification, ...]:
        return derived_opens(self._event)

    def _delivery(self, event: EventNotification, spelling: str) -> Delivery:
        key = (event.id, spelling)
        if key not in self._made:
            self._made[key] = Delivery(
                id=event.id,
                name=event.name,
                frame=encode_notification(event, spelling),
                shows=self._shows(event),
                closes=_closes(event),
                is_implied=event is not self._event and not self._is_resend,
                opened_at=event.happened_at if event.name.kind is EventKind.OPEN else None,
            )
        return self._made[key]

    def _shows(self, event: EventNotification) -> Mapping[str, str] | None:
        if event.name.kind is not EventKind.OPEN:
            return None
        return contexts_of(event) if self._sets_context else NOTHING_SHOWN


def _closes(event: EventNotification) -> str:
    if event.name.kind is not EventKind.CLOSE:
        return ""
    return contexts_of(event).get(event.name.anchor_type or "", "")
