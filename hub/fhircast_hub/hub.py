"""The hub's verbs: subscribe, unsubscribe, request a change, read the context, join a socket.

Each verb loads, asks the core, and commits; what it commits comes back to every process through
`Backend.listen` and goes out through `Fanout`. Nothing calls back upwards: what a channel concludes
is returned as a `Consequence`, and `Settling` turns it into commits.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import shuffle
from typing import TYPE_CHECKING

from fhircast_hub.audit.recorder import Recorder
from fhircast_hub.backends.base import SubscriptionEnded
from fhircast_hub.clock import Clock, new_endpoint_id, new_id
from fhircast_hub.delivering import Delivering
from fhircast_hub.ended import LastKnown
from fhircast_hub.fanout import Consequence
from fhircast_hub.holders import TokenHolders
from fhircast_hub.observability.logs import topic_label
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.derive import Derive
from fhircast_hub.protocol.dialects import Dialect, with_post_ids
from fhircast_hub.protocol.errors import (
    Conflict,
    DuplicateId,
    FhircastError,
    Forbidden,
    InvalidRequest,
    Unavailable,
    UnknownTopic,
)
from fhircast_hub.protocol.events import SYNC_ERROR
from fhircast_hub.protocol.judging import decide
from fhircast_hub.protocol.session import Accepted, Decision, Rules, Session
from fhircast_hub.protocol.subscription import (
    LeasePolicy,
    Subscription,
    SubscriptionRequest,
    narrow_events,
)
from fhircast_hub.protocol.syncerror import Failure, FailureKind, make_sync_error
from fhircast_hub.protocol.views import encode_current_context
from fhircast_hub.remarks import Remarks
from fhircast_hub.settling import Settling

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from fhircast_hub.backends.base import Backend
    from fhircast_hub.fanout import Fanout, FrameSink, Link
    from fhircast_hub.protocol.messages import EventNotification, NotificationResponse
    from fhircast_hub.security.grant import Grant

logger = logging.getLogger(__name__)

_COMMIT_ATTEMPTS = 50
"""Lost races after which a request is refused as unavailable; each loss means another one won."""

_REPLAY_ATTEMPTS = 5
"""Sessions loaded for one replay, should more come meanwhile than a channel may hold."""

_TICK_SECONDS = 0.1
"""How often time passes for leases, missing responses and the grace."""

_SENT_AWAY_PER_SECOND = 500
"""Subscribers that a hub which stops lets come to the others: each is a connect and a replay."""

_TURN_SECONDS = 0.02
"""How often some of them are sent away."""

_EXPIRE_SECONDS = 0.5
"""How often the backend looks for records and topics whose time is over."""


@dataclass(frozen=True, slots=True)
class HubRules:
    """What a site decides about the hub's verbs.

    Attributes:
        session: About sessions.
        leases: About leases.
        unused_seconds: Life of an endpoint to which nobody connects (SEC-02).
        derive: Who gets derived opens; OFF demands common events (DER-03).
        common_events: All subscribers of a topic must be granted the same events (SUB-16).
        rejects_late: A request that does not fit the state is answered 202 and rejected by a
            SyncError to the requester (EVT-06).
        max_ended: Endpoints of which the last known topic and events are remembered (D-43).
        ended_seconds: For how long after their lease.
    """

    session: Rules = field(default_factory=Rules)
    leases: LeasePolicy = field(default_factory=LeasePolicy)
    unused_seconds: float = 60
    derive: Derive = Derive.MISSING
    common_events: bool = False
    rejects_late: bool = False
    max_ended: int = 10_000
    ended_seconds: float = 3600

    @property
    def demands_common_events(self) -> bool:
        """Whether a subscribe with other events than the topic's subscribers have is refused."""
        return self.common_events or self.derive is Derive.OFF


class Hub:
    """One process of the hub.

    Attributes:
        holders: The subscriptions that were made here with a token.
    """

    def __init__(
        self,
        backend: Backend,
        fanout: Fanout,
        *,
        rules: HubRules,
        clock: Clock,
        audit: Recorder | None = None,
    ) -> None:
        self._backend = backend
        self._fanout = fanout
        self._rules = rules
        self._clock = clock
        self._last_known = LastKnown(
            max_endpoints=rules.max_ended, keep_seconds=rules.ended_seconds
        )
        self.holders = TokenHolders(backend)
        self._settling = Settling(backend, clock, audit or Recorder(), self._tell)
        self._delivering = Delivering(backend, fanout, clock, self._settling.conclude)
        self._backend.listen(self._delivering)
        self._remarks = Remarks()

    @property
    def is_immediate(self) -> bool:
        """Whether a request for a change is judged and committed without waiting for anything."""
        return self._backend.is_immediate

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver what is committed and let time pass, until told to stop."""
        async with asyncio.TaskGroup() as tasks:
            delivering = tasks.create_task(self._delivering.run(stop))
            settling = tasks.create_task(self._settling.run())
            ticking = tasks.create_task(self._tick_on())
            expiring = tasks.create_task(self._expire_on())
            await stop.wait()
            ticking.cancel()
            expiring.cancel()
            await delivering
            await self._backend.close()
            settling.cancel()

    async def subscribe(self, request: SubscriptionRequest, grant: Grant) -> str:
        """Make a subscription, or replace the record of one; return its endpoint id.

        The first permitted subscribe makes the topic.

        Raises:
            Forbidden: Another topic's token, no readable event, or events that differ from those of
                the topic's subscribers where they must not.
            InvalidRequest: The endpoint named is not one of this topic.
            LimitReached: Too many topics or subscribers.

        Spec: 2.4; SUB-*, IRA-HUB-02, D-12, D-40.
        """
        grant.require("subscribe", request.topic)
        now = self._clock.utc()
        events = narrow_events(request.events, lambda key: grant.may_read(key, request.topic))
        lease = self._rules.leases.grant(
            request.lease_seconds, now=now, token_expires_at=grant.expires_at
        )
        if self._rules.demands_common_events:
            await self._require_common_events(request, events)
        if request.endpoint_id:
            old = await self._own_subscription(request, grant)
            renewed = replace(
                old,
                events=events,
                lease_seconds=lease,
                subscriber_name=request.subscriber_name or old.subscriber_name,
                expires_at=self._expiry(lease),
                token_expires_at=grant.expires_at,
                token_id=grant.token_id,
            )
            if not await self._backend.replace(renewed):
                raise _no_such_endpoint()
            self._note(renewed)
            return old.endpoint_id
        await self._backend.make_topic(request.topic, new_id(), now=now, holder=grant.subject)
        endpoint_id = new_endpoint_id()
        subscription = Subscription(
            topic=request.topic,
            endpoint_id=endpoint_id,
            events=events,
            lease_seconds=lease,
            subscriber_name=request.subscriber_name or f"{grant.client_name}-{endpoint_id[:4]}",
            subject=grant.subject,
            expires_at=now + timedelta(seconds=self._rules.unused_seconds),
            token_expires_at=grant.expires_at,
            token_id=grant.token_id,
        )
        await self._backend.add(subscription)
        self._note(subscription)
        logger.info("subscribed: topic %s, %d events", topic_label(request.topic), len(events))
        return endpoint_id

    async def unsubscribe(self, request: SubscriptionRequest, grant: Grant) -> str:
        """End a subscription for good; return its endpoint id.

        Raises:
            InvalidRequest: No subscription of this caller, or not exactly one, is meant.

        Spec: 2.4; UNS-02 … UNS-05, D-48.
        """
        grant.require("unsubscribe", request.topic)
        subscription = await self._own_subscription(request, grant)
        if not await self._backend.end(subscription.endpoint_id, CloseReason.UNSUBSCRIBED):
            raise _no_such_endpoint()
        logger.info("unsubscribed: topic %s", topic_label(request.topic))
        return subscription.endpoint_id

    async def request_change(self, notification: EventNotification, grant: Grant) -> Accepted:
        """Judge a context change request and commit what it does.

        Raises:
            Forbidden: The token does not cover the event or the topic.
            InvalidRequest: Nobody made the topic, or the request itself is wrong.
            Conflict: It does not fit the state of the session.
            Unavailable: The topic's events come faster than they can go out.

        Spec: 2.6; EVT-03, SCO-03, IRA-HUB-07.
        """
        grant.require_publish(notification.name, notification.topic)
        self._delivering.require_room(notification.topic)
        completed = self._with_post_ids(notification)
        try:
            accepted = await self._commit(completed)
        except DuplicateId:  # a SyncError naming the id would speak of the event that was accepted
            raise
        except Conflict as refusal:
            if not self._rules.rejects_late:
                raise
            return await self._reject_late(notification, grant, refusal)
        if completed is not notification:
            self._remark(notification.topic, f"dialect {Dialect.POST_WITHOUT_ID.value}")
        return accepted

    async def current_context(self, topic: str, grant: Grant) -> bytes:
        """Return the JSON of the current context.

        Raises:
            Forbidden: The token is bound to another topic, or the site's policy refuses.
            UnknownTopic: Nobody made the topic.

        Spec: 2.9; CTX-*, D-33.
        """
        grant.require("read", topic)
        session = await self._backend.load(topic)
        if session is None:
            raise UnknownTopic
        return encode_current_context(
            session, lambda it: grant.may_read(it.key, topic), self._rules.derive
        )

    async def find(self, endpoint_id: str) -> Subscription | None:
        """Return the subscription of an endpoint, None if it ended or never was."""
        return await self._backend.find(endpoint_id)

    def last_known(self, endpoint_id: str) -> tuple[str, Iterable[str]]:
        """Return topic and events of an endpoint that has ended, empty ones if not known (D-43)."""
        return self._last_known.of(endpoint_id, self._clock.monotonic())

    async def join(self, subscription: Subscription, sink: FrameSink) -> Link | None:
        """Admit, attach and bring up to date, for a sink that nothing comes back from meanwhile.

        Returns:
            The link; None if the subscription has ended.
        """
        record = await self.admit(subscription)
        if record is None:
            return None
        link = self.attach(record, sink)
        await self.bring_up_to_date(link, record)
        return link

    async def admit(self, subscription: Subscription) -> Subscription | None:
        """A socket is about to be opened at the endpoint: let its record live as long as the lease.

        Returns:
            The record; None if the subscription has ended.

        Raises:
            Unavailable: Nobody can tell now.

        Spec: 2.4; CONF-03, D-44.
        """
        await self._backend.follow(subscription.topic)
        for _ in range(_COMMIT_ATTEMPTS):
            # Read anew: it may have been renewed, or have ended, since it was found.
            newest = await self._backend.find(subscription.endpoint_id)
            if newest is None:
                return None
            lease = newest.lease_left(self._clock.utc())
            record = replace(newest, lease_seconds=lease, expires_at=self._expiry(lease))
            if await self._backend.replace(record, announce=False, known=newest):
                self._last_known.note(record, self._clock.monotonic())
                return record
        raise Unavailable("the subscription changes too often; connect again", rule="2.4")

    def attach(self, record: Subscription, sink: FrameSink) -> Link:
        """A socket was opened for a record that was admitted: confirm, and hold what comes.

        Nothing waits here, so that the socket knows its link before anything can come from it. If
        the token has expired since the subscribe, a denial comes instead (CONF-06).

        Spec: 2.4; CONF-01, D-44, D-45.
        """
        self._delivering.catch_up(record)
        link, consequence = self._fanout.attach(record, sink, self._clock.monotonic())
        self._settling.conclude(consequence)
        return link

    async def bring_up_to_date(self, link: Link, record: Subscription) -> None:
        """Send the open contexts to a socket that was attached, and what came meanwhile.

        If the sessions cannot be reached it is closed, to come back.

        Args:
            link: Of the socket.
            record: With which it was attached.

        Spec: 2.4; REP-01.
        """
        try:
            if not self._backend.is_immediate:
                await self._see_changes(link, record)
            await self._replay(link)
        except Unavailable:
            it = link.channel.subscription
            self._fanout.let_go(it.topic, CloseReason.RECONNECT, it.endpoint_id)

    def responded(self, link: Link, response: NotificationResponse) -> None:
        """A subscriber answered a notification."""
        if (consequence := self._fanout.responded(link, response)) is not None:
            self._settling.conclude(consequence)

    def flooded(self, link: Link) -> None:
        """A subscriber sent more frames than anything asks of it."""
        self._settling.conclude(self._fanout.flooded(link))

    def left(self, link: Link, sink: FrameSink, code: int) -> None:
        """A socket is gone, with this close code."""
        self._settling.conclude(self._fanout.detach(link, sink, code, self._clock.monotonic()))

    def tick(self) -> None:
        """Let time pass for every channel."""
        for it in self._fanout.tick(self._clock.monotonic()):
            self._settling.conclude(it)

    async def expire(self) -> None:
        """Let go of what is over, and tell of subscribers that were lost with another process.

        Spec: 3.2.1; SYNC-06, guarantee 4.
        """
        for it in await self._backend.expire(self._clock.utc()):
            failure = Failure(FailureKind.CONNECTION_LOST, it.subscriber_name)
            lost = Consequence(it.topic, (failure,), it, CloseReason.NOT_KNOWN)
            self._settling.conclude(lost)

    async def settle(self) -> None:
        """Settle what channels concluded so far; while the hub runs, it does so by itself."""
        await self._settling.settle()

    async def send_away(self, within_seconds: float) -> None:
        """Send the subscribers elsewhere one after the other, so that not all come back at once.

        Only where sessions outlive this process. Without them all have to end in the same moment.

        Args:
            within_seconds: The longest that it may take; 500 a second if they are fewer.
        """
        links = list(self._fanout) if self._backend.is_shared else []
        seconds = min(within_seconds, len(links) / _SENT_AWAY_PER_SECOND)
        shuffle(links)
        turns = max(1, round(seconds / _TURN_SECONDS))
        for turn in range(turns):
            for link in links[turn::turns]:
                it = link.channel.subscription
                self._fanout.let_go(it.topic, CloseReason.RECONNECT, it.endpoint_id)
            await asyncio.sleep(seconds / turns)

    async def shut_down(self) -> None:
        """Tell every subscriber that the session is gone, or else to go elsewhere (guarantee 5)."""
        for link in self._fanout:
            it = link.channel.subscription
            if self._backend.is_shared:
                self._fanout.let_go(it.topic, CloseReason.RECONNECT, it.endpoint_id)
            else:
                self._fanout.end(it.topic, it.endpoint_id, CloseReason.SHUTDOWN)

    async def _see_changes(self, link: Link, record: Subscription) -> None:
        """See what became of a subscription after it was admitted and before it was attached.

        An end, a renewal or a join elsewhere was told when there was no channel yet, and nobody
        tells it again. Nor does anybody if the topic was no longer followed.
        """
        topic, endpoint_id = record.topic, record.endpoint_id
        await self._backend.follow(topic)
        newest = await self._backend.find(endpoint_id)
        if newest is None:
            over = SubscriptionEnded(topic, endpoint_id, CloseReason.NOT_KNOWN)
            self._delivering.take(over)
        elif newest not in (record, link.record):
            self._fanout.let_go(topic, CloseReason.RECONNECT, endpoint_id)

    async def _replay(self, link: Link) -> None:
        """Bring a channel up to date, or end it: never leave it behind in silence."""
        for _ in range(_REPLAY_ATTEMPTS):
            if not link.channel.needs_replay:
                return
            session = await self._backend.load(link.channel.subscription.topic)
            if session is None:
                break
            self._settling.conclude(self._fanout.replay(link, session, self._clock.monotonic()))
        if link.channel.needs_replay:
            self._settling.conclude(self._fanout.give_up(link))

    async def _reject_late(
        self, notification: EventNotification, grant: Grant, refusal: Conflict
    ) -> Accepted:
        """Answer 202 and tell the requester's own subscriptions by a SyncError (EVT-06).

        The requester is known by its token alone: whatever the same user has subscribed with the
        same application gets the SyncError. If that is nothing, the refusal is the answer.
        """
        own = [
            it
            for it in await self._backend.of_topic(notification.topic)
            if it.subject == grant.subject and SYNC_ERROR.key in it.events
        ]
        if not own:
            raise refusal
        failure = Failure(
            kind=FailureKind.REJECTED,
            subscriber_name=own[0].subscriber_name,
            detail=refusal.reason,
            event_id=notification.id,
            event_name=notification.name.spelling,
        )
        await self._tell(notification.topic, failure, only_for=grant.subject)
        return Accepted(notification.id)

    async def _require_common_events(
        self, request: SubscriptionRequest, events: Mapping[str, str]
    ) -> None:
        """Pass if the topic's other subscribers were granted the same events.

        Raises:
            Forbidden: They were not.

        Spec: 2.4, 2.5; SUB-16, DER-03.
        """
        for it in await self._backend.of_topic(request.topic):
            if it.endpoint_id != request.endpoint_id and it.events.keys() != events.keys():
                raise Forbidden(
                    "hub.events: differs from what the topic's other subscribers get, and this hub "
                    "wants the same events for all of them",
                    rule="SUB-16, DER-03",
                )

    async def _tell(self, topic: str, failure: Failure, *, only_for: str = "") -> None:
        """Tell of a failure by a SyncError."""
        error = make_sync_error(
            topic, failure, id=new_id(), event_id=new_id(), now=self._clock.utc()
        )
        await self._commit(error, only_for=only_for)

    async def _commit(self, notification: EventNotification, *, only_for: str = "") -> Accepted:
        """Judge and keep, on the session that is at hand if that does, else on the newest."""
        topic, is_newest = notification.topic, self._backend.is_immediate
        for _ in range(_COMMIT_ATTEMPTS):
            session = await self._backend.load(topic, is_newest=is_newest)
            if session is None:
                raise InvalidRequest(
                    "hub.topic", "no session with this topic; subscribe first", rule="IRA-HUB-02"
                )
            decision = self._decide(session, notification, may_refuse=is_newest)
            if decision is not None:
                is_news = decision.broadcast is not None
                if not is_news or await self._backend.commit(
                    topic, session.revision, decision.for_only(only_for)
                ):
                    self._remark(topic, *decision.remarks)
                    return decision.answer
            is_newest = True
        raise Unavailable("the topic is too busy; retry with the same id", rule="CONT-06")

    def _decide(
        self, session: Session, notification: EventNotification, *, may_refuse: bool
    ) -> Decision | None:
        """Judge a request; None for what only the newest session can tell: that nothing is new."""
        try:
            decision = decide(
                session,
                notification,
                version_id=new_id(),
                now=self._clock.utc(),
                rules=self._rules.session,
            )
        except FhircastError:
            if may_refuse:
                raise
            return None
        return decision if may_refuse or decision.broadcast is not None else None

    def _remark(self, topic: str, *remarks: str) -> None:
        self._remarks.tell(topic, remarks, self._clock.monotonic())

    def _with_post_ids(self, notification: EventNotification) -> EventNotification:
        """Return the request with ids for its POST entries, if that dialect is on (D-49)."""
        if Dialect.POST_WITHOUT_ID not in self._rules.session.dialects:
            return notification
        return with_post_ids(notification, iter(new_id, ""))

    async def _own_subscription(self, request: SubscriptionRequest, grant: Grant) -> Subscription:
        """Return the caller's subscription that a request means, by endpoint or by name (D-48)."""
        if request.endpoint_id:
            found = await self._backend.find(request.endpoint_id)
            candidates = [found] if found is not None and found.topic == request.topic else []
        elif request.subscriber_name:
            candidates = [
                it
                for it in await self._backend.of_topic(request.topic)
                if it.subscriber_name == request.subscriber_name
            ]
        else:
            raise InvalidRequest("hub.channel.endpoint", "missing", rule="UNS-01, D-48")
        own = [it for it in candidates if it.subject == grant.subject]
        if len(own) != 1:
            raise _no_such_endpoint()
        return own[0]

    def _note(self, subscription: Subscription) -> None:
        """Remember what a subscribe made or renewed."""
        self._last_known.note(subscription, self._clock.monotonic())
        self.holders.note(subscription)

    def _expiry(self, lease_seconds: int) -> datetime:
        """When a record may be forgotten: a little after its channel has ended the lease."""
        return self._clock.utc() + timedelta(seconds=lease_seconds + self._rules.unused_seconds)

    async def _tick_on(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                self.tick()
            except Exception as error:
                logger.error("a sweep failed: %s", type(error).__name__)

    async def _expire_on(self) -> None:
        """Apart from the ticks: a store that is slow must not hold them up."""
        while True:
            await asyncio.sleep(_EXPIRE_SECONDS)
            try:
                await self.expire()
            except Exception as error:
                logger.error("a sweep failed: %s", type(error).__name__)


def _no_such_endpoint() -> InvalidRequest:
    return InvalidRequest(
        "hub.channel.endpoint", "no such subscription of yours in this topic", rule="UNS-05, SUB-11"
    )
