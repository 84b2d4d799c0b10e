"""What holds for derived opens, whatever is opened or closed and whoever comes and goes."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from builders import (
    NOON,
    TOPIC,
    Json,
    after,
    case,
    close_event,
    event,
    judge,
    new_session,
    open_event,
)
from fhircast_hub.protocol.channel import Channel, ChannelRules
from fhircast_hub.protocol.delivery import Deliveries
from fhircast_hub.protocol.derive import Derive, contexts_of, derived_opens
from fhircast_hub.protocol.errors import Conflict
from fhircast_hub.protocol.events import EventKind
from fhircast_hub.protocol.messages import (
    EventNotification,
    NotificationResponse,
    encode_notification,
    parse_notification,
)
from fhircast_hub.protocol.subscription import Subscription
from fhircast_hub.protocol.views import replay, shown_after
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from fhircast_hub.protocol.events import EventName

EVENT_SETS = (
    ("Patient-open",),
    ("Patient-open", "Patient-close", "Home-open"),
    ("Patient-open", "ImagingStudy-open", "ImagingStudy-close"),
    ("Patient-open", "DiagnosticReport-open", "DiagnosticReport-close", "Home-open"),
    ("ImagingStudy-open", "Encounter-open"),
)


class Follower:
    """A subscriber that does what the standard says, on a channel of its own.

    Attributes:
        shown: Resource type -> "Type/id" of what it shows.
        in_flight: Frames written to its socket that it has not read.
    """

    def __init__(self, number: int, *, answers: bool) -> None:
        events = {it.lower(): it for it in EVENT_SETS[number % len(EVENT_SETS)]}
        rules = ChannelRules(grace_seconds=5, max_held_frames=8)
        self.subscription = Subscription(TOPIC, "e", events, 7200, f"f{number}", "", NOON)
        self.channel = Channel(self.subscription, rules)
        self.answers = answers
        self.shown: Mapping[str, str] = {}
        self.opened_at: datetime | None = None
        self.in_flight: list[bytes] = []

    def gets(self, name: EventName) -> bool:
        return name.key in self.subscription.events

    def read(self) -> list[EventNotification]:
        """Read and answer everything that came."""
        frames, self.in_flight = self.in_flight, []
        events = [parse_notification(it) for it in frames]
        for it in events:
            self.follow(it)
            if self.answers:
                self.channel.responded(NotificationResponse(it.id, 200))
        return events

    def follow(self, it: EventNotification) -> None:
        if it.name.kind is EventKind.CLOSE:
            if set(contexts_of(it).values()) & set(self.shown.values()):
                self.shown = {}
        elif self.opened_at is None or it.happened_at >= self.opened_at:
            self.shown, self.opened_at = contexts_of(it), it.happened_at


class DeriveMachine(RuleBasedStateMachine):
    """A topic and its subscribers.

    Attributes:
        is_told: Nothing happened since the latest open that subscribers may read in two ways.
    """

    def __init__(self) -> None:
        super().__init__()
        self.session = self.checked = new_session()
        self.followers: list[Follower] = []
        self.turn = 0
        self.is_told = True
        self.versions = count(1)
        self.ids: dict[str, EventNotification] = {}

    def commit(self, request: EventNotification) -> None:
        before = self.session
        try:
            decision = judge(self.session, request, f"v{next(self.versions)}")
        except Conflict:
            return
        self.session = decision.session
        if decision.broadcast is None:
            return
        is_ordinary = decision.sets_context or self.session.current != before.current
        self.is_told = decision.sets_context or (self.is_told and is_ordinary)
        deliveries = Deliveries(
            decision.broadcast, sets_context=decision.sets_context, derive=Derive.MISSING
        )
        for it in self.followers:
            group = deliveries.to(it.subscription)
            it.in_flight += it.channel.deliver(group, revision=self.session.revision, now=0)

    @precondition(lambda self: len(self.followers) < 6)
    @rule(number=st.integers(0, 4), answers=st.booleans())
    def join(self, number: int, answers: bool) -> None:
        follower = Follower(number, answers=answers)
        self.followers.append(follower)
        self.connect(follower)

    def connect(self, follower: Follower) -> None:
        follower.in_flight = list(follower.channel.connected(0).frames[1:])
        if follower.channel.needs_replay:
            opens = replay(self.session, follower.gets)
            frames = [(it.id, it.name, encode_notification(it)) for it in opens]
            shows = shown_after(self.session, opens)
            outcome = follower.channel.replay(frames, self.session.revision, 0, shows=shows)
            follower.in_flight += outcome.frames

    @precondition(lambda self: self.followers)
    @rule(place=st.integers(0, 5), reads=st.booleans(), code=st.sampled_from([1001, 1006]))
    def leave(self, place: int, reads: bool, code: int) -> None:
        """A socket closes; unread frames are lost with it."""
        follower = self.followers[place % len(self.followers)]
        if reads:
            follower.read()
        follower.in_flight = []
        follower.channel.closed(code, 0)

    @precondition(lambda self: self.followers)
    @rule(place=st.integers(0, 5))
    def come_back(self, place: int) -> None:
        follower = self.followers[place % len(self.followers)]
        if not follower.channel.is_connected:
            self.connect(follower)

    @rule(
        anchor=st.sampled_from(["report", "patient", "study", "bare study", "home"]),
        number=st.integers(1, 3),
        late=st.sampled_from([0, 0, 0, 0, 5]),
    )
    def open(self, anchor: str, number: int, late: int) -> None:
        self.turn += 1
        report, patient, study = case(number)
        at = after(self.turn - late - 1000)
        requests: dict[str, list[Json]] = {
            "report": [report, patient, study],
            "patient": [patient],
            "study": [study, patient],
            "bare study": [study],
        }
        if anchor == "home":
            self.commit(event("Home-open", at=at))
        else:
            self.commit(open_event(*requests[anchor], at=at))

    @rule(which=st.integers(0, 2), number=st.integers(1, 3))
    def close(self, which: int, number: int) -> None:
        self.turn += 1
        self.commit(close_event(case(number)[which], at=after(self.turn - 1000)))

    @precondition(lambda self: self.session.current_context is not None)
    @rule(place=st.integers(0, 5))
    def read(self, place: int) -> None:
        """An event comes in any case, so whoever reads knows everything up to now."""
        for it in self.followers[place:]:
            self.check_unique(it.read())

    def check_unique(self, events: Iterable[EventNotification]) -> None:
        for it in events:
            known = self.ids.setdefault(it.id, it)
            assert known.event == it.event, "an id stands for one event (EVT-08)"

    @invariant()
    def nobody_is_left_with_another_patient(self) -> None:
        """Who is connected and has read everything shows what the current context holds."""
        current = self.session.current_context
        if current is None or not self.is_told:
            return
        source = current.opened
        for it in self.followers:
            if not it.channel.is_connected:
                continue
            self.check_unique(it.read())
            derived = [other for other in derived_opens(source) if it.gets(other.name)]
            expected = [source] if it.gets(source.name) else derived
            for opened in expected:
                anchor_type = opened.name.anchor_type or ""
                target = contexts_of(opened)[anchor_type]
                assert it.shown.get(anchor_type) == target, (it.subscription.events, target)
            known = it.channel.shown
            assert not known or dict(known) == dict(it.shown), "what the hub believes is so"

    @invariant()
    def what_is_closed_is_not_replayed(self) -> None:
        """REP-04, DER-04: every open replayed is open, or follows from one that is."""
        if self.session is self.checked:
            return
        self.checked = self.session
        sources = {it.opened.id for it in self.session.contexts.values()}
        derived = {
            other.id for it in self.session.contexts.values() for other in derived_opens(it.opened)
        }
        home = {self.session.home.id} if self.session.home else set()
        for events in EVENT_SETS:
            follower = Follower(EVENT_SETS.index(events), answers=True)
            opens = replay(self.session, follower.gets)
            assert {it.id for it in opens} <= sources | derived | home
            types = [it.name.anchor_type for it in opens]
            assert len(set(types)) == len(types), "one of each type (REP-01)"
            moments = [it.happened_at for it in opens]
            assert moments == sorted(moments), "in the order of time (REP-05)"


TestDerive = DeriveMachine.TestCase
TestDerive.settings = settings(stateful_step_count=40)
