"""The backend over Redis; see `Backend` for the contract."""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from fhircast_hub.backends.base import SubscriptionMoved, SyncLost, published
from fhircast_hub.backends.redis import keys, scripts
from fhircast_hub.backends.redis.cluster import Cluster
from fhircast_hub.backends.redis.commands import Commands
from fhircast_hub.backends.redis.encoding import (
    FORMAT,
    UnknownFormat,
    decode_envelope,
    encode_envelope,
)
from fhircast_hub.backends.redis.fields import Kept, changes_to, kept_after, read_session
from fhircast_hub.backends.redis.hearing import Hearing
from fhircast_hub.backends.redis.memo import Memo
from fhircast_hub.backends.redis.own import OwnEvents
from fhircast_hub.backends.redis.quotas import Quotas
from fhircast_hub.backends.redis.records import Records
from fhircast_hub.backends.redis.sentinels import Sentinels
from fhircast_hub.backends.redis.times import Times
from fhircast_hub.protocol.errors import LimitReached, Unavailable
from fhircast_hub.protocol.session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from fhircast_hub.backends.base import BackendLimits, Envelope, Listener
    from fhircast_hub.backends.redis.asking import Asking, Listening
    from fhircast_hub.backends.redis.hearing import Ear
    from fhircast_hub.backends.redis.place import Place
    from fhircast_hub.backends.redis.server import Server
    from fhircast_hub.protocol.channel_state import CloseReason
    from fhircast_hub.protocol.session import Decision
    from fhircast_hub.protocol.subscription import Subscription

logger = logging.getLogger(__name__)

_SWEPT_AT_ONCE = 20
"""Sessions, and records, of a bucket that one look takes away; there is another look soon."""

_HELD_TIMES = 4
"""How often what is held is said in the time for which that is believed."""

_MAKE_ATTEMPTS = 5
"""For a session that expires while it is looked at."""

_REFUSALS = {
    "topics": ("hub.topic: the hub holds as many topics as it may", "D-40, FHIRCAST_MAX_TOPICS"),
    "topics of holder": (
        "hub.topic: this token's holder has made as many topics as it may",
        "FHIRCAST_MAX_TOPICS_PER_TOKEN",
    ),
    "records of holder": (
        "hub.topic: this token's holder has as many subscriptions as it may",
        "FHIRCAST_MAX_SUBSCRIPTIONS_PER_TOKEN",
    ),
}


class RedisBackend:
    """Sessions and subscriptions in Redis, shared by all processes that are given the same server.

    Args:
        server: Where it is, and how patient to be with it.
        limits: Bounds; the same at all processes.
    """

    is_immediate = False
    is_shared = True

    def __init__(self, server: Server, limits: BackendLimits) -> None:
        self._limits = limits
        self._node = secrets.token_hex(8)
        self._times = Times(limits.topic_idle_seconds)
        self._commands, self._hearing = _reach(server, self)
        self._quotas = Quotas(self._commands)
        self._records = Records(self._commands, self._quotas, self._times, limits)
        self._memo = Memo()
        self._own = OwnEvents()
        self._listener: Listener | None = None
        self._is_closed = asyncio.Event()
        self._reached_in = -1
        """Epoch in which `_reached_at` was noted."""
        self._reached_at = self._hold_at = 0.0

    @property
    def is_available(self) -> bool:
        """See `Backend.is_available`."""
        return self._commands.is_up and self._hearing.is_up

    async def run(self) -> None:
        """See `Backend.run`."""
        async with asyncio.TaskGroup() as tasks:
            # A cluster is both in one.
            parts: set[Asking | Listening] = {self._commands, self._hearing}
            serving = [tasks.create_task(it.run()) for it in parts]
            await self._is_closed.wait()
            for it in serving:
                it.cancel()

    async def make_topic(
        self, topic: str, version_id: str, *, now: datetime, holder: str = ""
    ) -> Session:
        """See `Backend.make_topic`."""
        self._times.told(now)
        for _ in range(_MAKE_ATTEMPTS):
            known = await self.load(topic)
            if known is not None:
                return known
            made = await self._make(topic, version_id, holder)
            if made is not None:
                return made
        raise Unavailable("hub.topic: the session has just expired", rule="D-40")

    async def _make(self, topic: str, version_id: str, holder: str) -> Session | None:
        """Make a session and return it, None if there is one."""
        it, life, epoch = keys.of_topic(topic), secrets.token_hex(8), self._commands.epoch
        await self._reserve(it.tag, holder)
        maker: bytes | None = await self._commands.run_script(
            scripts.MAKE_TOPIC,
            it.session,
            it.topics,
            it.tag,
            life,
            FORMAT,
            version_id,
            holder,
            self._times.session_life(),
        )
        if maker is not None:
            if maker != holder.encode():
                await self._quotas.release(keys.topics_of_holder(holder), it.tag)
            return None
        made = Session(topic, version_id)
        self._memo.note(topic, Kept(life.encode(), made, {}), epoch)
        return made

    async def _reserve(self, tag: str, holder: str) -> None:
        """Count a topic that is about to be made."""
        limits, of_holder = self._limits, keys.topics_of_holder(holder)
        if holder:
            records = keys.records_of_holder(holder)
            if not await self._quotas.has_room(records, limits.max_subscriptions_per_holder):
                raise _refused("records of holder")
            if not await self._quotas.reserve(of_holder, tag, limits.max_topics_per_holder):
                raise _refused("topics of holder")
        if not await self._quotas.reserve(keys.TOPICS, tag, limits.max_topics):
            await self._quotas.release(of_holder, tag)
            raise _refused("topics")

    async def load(self, topic: str, *, is_newest: bool = True) -> Session | None:
        """See `Backend.load`."""
        kept = None if is_newest else self._memo.find(topic, self._commands.epoch)
        if kept is None:
            kept = await self._load(topic)
        return kept.session if kept is not None else None

    async def _load(self, topic: str) -> Kept | None:
        epoch = self._commands.epoch
        known = self._memo.find(topic, epoch)
        life, revision = (known.life, known.session.revision) if known else (b"", -1)
        key = keys.of_topic(topic).session
        answer = await self._commands.run_script(scripts.LOAD, key, life, revision)
        if epoch != self._commands.epoch:
            # It was asked, or answered, over another connection than the one that this belongs to.
            return await self._load(topic)
        if answer is None:
            self._memo.forget(topic)
            return None
        if answer == 1:
            return known
        fields = dict(zip(answer[::2], answer[1::2], strict=True))
        kept = read_session(topic, fields)
        self._memo.note(topic, kept, epoch)
        return kept

    async def commit(self, topic: str, revision: int, decision: Decision) -> bool:
        """See `Backend.commit`."""
        kept = self._memo.find(topic, self._commands.epoch)
        if kept is None or kept.session.revision != revision:
            kept = await self._load(topic)
        epoch = self._commands.epoch
        after = decision.session
        if kept is None or kept.session.revision != revision or decision.broadcast is None:
            return False
        if not after.remembered.follows(kept.session.remembered):
            return False  # decided on another session, that had the same topic and revision
        it, changes = keys.of_topic(topic), changes_to(kept, after, decision.broadcast)
        put = [part for pair in changes.fields.items() for part in pair]
        envelope = published(topic, decision)
        payload = encode_envelope(envelope, event=changes.encoded)
        if self._hearing.place_of(topic) is not None:
            self._own.note(payload, envelope)
        number = await self._commands.run_script(
            scripts.COMMIT,
            it.session,
            it.channel,
            kept.life,
            revision,
            self._times.session_life(),
            payload,
            len(put),
            *put,
            *changes.gone,
            epoch=epoch,
        )
        if not number:
            self._own.take(payload)
            return False
        self._memo.note(topic, kept_after(kept, changes, after), epoch)
        return True

    def listen(self, listener: Listener) -> None:
        """See `Backend.listen`."""
        self._listener = listener

    async def follow(self, topic: str) -> None:
        """See `Backend.follow`."""
        await self._hearing.follow(topic)

    async def add(self, subscription: Subscription) -> None:
        """See `Backend.add`."""
        await self._records.add(subscription)

    async def replace(
        self,
        subscription: Subscription,
        *,
        announce: bool = True,
        known: Subscription | None = None,
    ) -> bool:
        """See `Backend.replace`."""
        it = subscription
        moved = None if announce else SubscriptionMoved(it.topic, it.endpoint_id)
        number = await self._records.replace(it, known=known, moved=moved, node=self._node)
        place = self._hearing.place_of(it.topic)
        if number and not announce and place is not None:
            place.note_join(it.endpoint_id, number)
        return number > 0

    async def find(self, endpoint_id: str) -> Subscription | None:
        """See `Backend.find`."""
        return await self._records.find(endpoint_id)

    async def of_topic(self, topic: str) -> tuple[Subscription, ...]:
        """See `Backend.of_topic`."""
        return await self._records.of_topic(topic)

    async def end(
        self, endpoint_id: str, reason: CloseReason, *, known: Subscription | None = None
    ) -> bool:
        """See `Backend.end`."""
        return await self._records.end(endpoint_id, reason, known)

    async def expire(self, now: datetime) -> list[Subscription]:
        """See `Backend.expire`; while Redis is away nothing expires, and the next look is soon."""
        self._times.told(now)
        if not self._commands.is_up:
            return []
        self._hearing.leave_unused()
        may_lose = await self._hold()
        if self._commands.reaches(keys.TOPICS):
            await self._quotas.keep(keys.TOPICS)
        reached = [it for it in keys.ALL_BUCKETS if self._commands.reaches(it.topics)]
        lost = await asyncio.gather(*[self._sweep(it, may_lose=may_lose) for it in reached])
        return [it for of_bucket in lost for it in of_bucket]

    async def _hold(self) -> bool:
        """Say what is held here, from time to time; tell whether who says nothing holds nothing.

        After a break nobody could say it, and subscribers need time to come back.
        """
        now, hold_seconds = asyncio.get_running_loop().time(), self._limits.hold_seconds
        if self._reached_in != self._commands.epoch:
            self._reached_in, self._reached_at, self._hold_at = self._commands.epoch, now, now
        if now >= self._hold_at and self._listener is not None:
            self._hold_at = now + hold_seconds / _HELD_TIMES
            await self._records.hold(self._listener.joined())
        return now - self._reached_at >= hold_seconds

    async def _sweep(self, bucket: keys.BucketKeys, *, may_lose: bool) -> list[Subscription]:
        """Forget what is over in one bucket; return the subscriptions that nobody holds."""
        records, topics, unheld = await self._commands.run_script(
            scripts.DUE, *bucket, self._times.idle, _SWEPT_AT_ONCE
        )
        parts = [it.decode().split(" ", 1) for it in records]
        await asyncio.gather(*[self._records.expire(*it) for it in parts])
        await asyncio.gather(*[self._drop(it.decode()) for it in topics])
        parts = [it.decode().split(" ", 1) for it in unheld] if may_lose else []
        lost = await asyncio.gather(*[self._records.lose(*it) for it in parts])
        return [it for it in lost if it is not None]

    async def _drop(self, tag: str) -> None:
        it = keys.of_tag(tag)
        holder = await self._commands.ask("HGET", it.session, "holder") or b""
        is_gone = await self._commands.run_script(
            scripts.DROP_TOPIC, it.session, it.records, it.topics, tag, self._times.idle
        )
        if is_gone:
            await self._quotas.release(keys.TOPICS, tag)
            await self._quotas.release(keys.topics_of_holder(holder.decode()), tag)

    async def close(self) -> None:
        """See `Backend.close`."""
        if self._hearing.is_up:
            with suppress(Unavailable):  # then nothing more can be heard
                await self._hearing.catch_up()
        self._listener = None
        self._is_closed.set()

    # See `hearing.Ear`.

    def needs(self, topic: str) -> bool:
        """See `Ear.needs`."""
        return self._listener is not None and self._listener.has_channels(topic)

    def take(self, topic: str, place: Place, payload: bytes) -> None:
        """See `Ear.take`."""
        own = self._own.take(payload)
        if own is not None:
            self._hand_on(own)
            return
        try:
            envelope, node = decode_envelope(topic, payload)
        except UnknownFormat:
            logger.error("what another process published is not understood: is it another version?")
            self.missed(topic, is_gone=False)
            return
        if isinstance(envelope, SubscriptionMoved):
            is_own, number = node == self._node, place.number
            if not place.is_moved(envelope.endpoint_id, number, is_own=is_own):
                return
        self._hand_on(envelope)

    def missed(self, topic: str, *, is_gone: bool) -> None:
        """See `Ear.missed`."""
        self._hand_on(SyncLost(topic, is_gone))

    def _hand_on(self, envelope: Envelope) -> None:
        if self._listener is not None:
            self._listener.take(envelope)


def _reach(server: Server, ear: Ear) -> tuple[Asking, Listening]:
    """Return who asks, and who hears, where the sessions are."""
    kind = server.store.kind
    if kind == "cluster":
        cluster = Cluster(server, ear)
        return cluster, cluster
    if kind == "sentinel":
        server = Sentinels(server.url, server.timeout_seconds, server.away_seconds)
    commands = Commands(server)
    return commands, Hearing(server, commands, ear)


def _refused(limit: str) -> LimitReached:
    reason, rule = _REFUSALS[limit]
    return LimitReached(reason, rule=rule)
