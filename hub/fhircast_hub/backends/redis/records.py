"""The records of subscriptions: by topic and by endpoint, and when they expire."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from fhircast_hub.backends.base import SubscriptionEnded, SubscriptionReplaced
from fhircast_hub.backends.redis import keys, scripts
from fhircast_hub.backends.redis.encoding import (
    UnknownFormat,
    decode_record,
    encode_envelope,
    encode_record,
)
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.errors import LimitReached, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fhircast_hub.backends.base import BackendLimits, SubscriptionMoved
    from fhircast_hub.backends.redis.asking import Asking
    from fhircast_hub.backends.redis.quotas import Quotas
    from fhircast_hub.backends.redis.times import Times
    from fhircast_hub.protocol.subscription import Subscription

_EXPIRED, _LOST = b"expired", b"lost"
"""Conditions for an end: no record is kept as these."""

_HELD_AT_ONCE = 500
"""Subscriptions that one command says to be held."""

_REPLACE_ATTEMPTS = 50
"""For a record that others replace at the same time; each attempt lost means another one won."""


class Records:
    """The subscriptions of all topics.

    A record is kept behind its place among those of its topic: "12 …". Which topic an endpoint has
    lies in another slot: it is written before the record and removed after it. An endpoint that
    leads to no record is none, and goes with its expiry.
    """

    def __init__(
        self, commands: Asking, quotas: Quotas, times: Times, limits: BackendLimits
    ) -> None:
        self._commands = commands
        self._quotas = quotas
        self._times = times
        self._limits = limits
        self._hold = int(limits.hold_seconds * 1000)

    async def add(self, it: Subscription) -> None:
        """See `Backend.add`."""
        topic, counted = keys.of_topic(it.topic), _counted(it)
        if it.subject and not await self._quotas.reserve(
            *counted, self._limits.max_subscriptions_per_holder
        ):
            raise LimitReached(
                "hub.topic: this token's holder has as many subscriptions as it may",
                rule="FHIRCAST_MAX_SUBSCRIPTIONS_PER_TOKEN",
            )
        await self._lead(it)
        answer = await self._commands.run_script(
            scripts.ADD,
            topic.session,
            topic.records,
            topic.topics,
            topic.all_records,
            topic.tag,
            it.endpoint_id,
            encode_record(it),
            self._times.until(it.expires_at),
            self._limits.max_subscribers_per_topic,
            self._times.session_life(it.expires_at),
        )
        if answer == b"added":
            return
        await self._forget(it.endpoint_id, counted)
        if answer == b"gone":
            raise Unavailable("hub.topic: the session has just expired", rule="D-40")
        raise LimitReached(
            "hub.topic: the session has as many subscribers as it may",
            rule="2.4, FHIRCAST_MAX_SUBSCRIBERS_PER_TOPIC",
        )

    async def find(self, endpoint_id: str) -> Subscription | None:
        """See `Backend.find`."""
        kept = await self._kept(endpoint_id)
        return _read(kept) if kept is not None else None

    async def of_topic(self, topic: str) -> tuple[Subscription, ...]:
        """See `Backend.of_topic`."""
        kept = await self._commands.ask("HVALS", keys.of_topic(topic).records)
        return tuple(map(_read, sorted(kept, key=_place)))

    async def replace(
        self,
        it: Subscription,
        *,
        known: Subscription | None,
        moved: SubscriptionMoved | None,
        node: str,
    ) -> int:
        """Replace a record, and publish that it was replaced, or moved to a process.

        Returns:
            The number of what was published, 0 if there is no such record, or not the known one.
        """
        led = False
        for _ in range(_REPLACE_ATTEMPTS):
            kept = await self._kept(it.endpoint_id)
            if kept is None:
                if led:  # it ended just before
                    await self._forget(it.endpoint_id, _counted(it))
                return 0
            old = _read(kept)
            if known not in (None, old):
                return 0
            if not led:
                await self._lead(it)
                await self._quotas.keep(_counted(it)[0])
                led = True
            newly = frozenset(it.events) - frozenset(old.events)
            envelope = moved or SubscriptionReplaced(it, newly)
            payload = encode_envelope(envelope, node=node)
            number = await self._replace(kept, it, payload, joins=moved is not None)
            if number:
                return number
        raise Unavailable("the subscription changes too often; retry", rule="2.4")

    async def end(self, endpoint_id: str, reason: CloseReason, known: Subscription | None) -> bool:
        """See `Backend.end`."""
        kept = await self._kept(endpoint_id)
        if kept is None:
            return False
        it = _read(kept)
        if known not in (None, it):
            return False
        tag = keys.of_topic(it.topic).tag
        condition = kept if known is not None else b""
        return await self._end(tag, it.subject, endpoint_id, reason, condition)

    async def expire(self, tag: str, endpoint_id: str) -> None:
        """Forget a record whose time is over, also if no more than its place in a list is left."""
        await self._end_unasked(tag, endpoint_id, CloseReason.LEASE_ENDED, _EXPIRED)

    async def lose(self, tag: str, endpoint_id: str) -> Subscription | None:
        """Forget a record that nobody holds; return it if it was there."""
        return await self._end_unasked(tag, endpoint_id, CloseReason.NOT_KNOWN, _LOST)

    async def _end_unasked(
        self, tag: str, endpoint_id: str, reason: CloseReason, condition: bytes
    ) -> Subscription | None:
        kept = await self._commands.ask("HGET", keys.of_tag(tag).records, endpoint_id)
        try:
            it = _read(kept) if kept is not None else None
        except UnknownFormat:  # whoever wrote it: its time is over, and others wait behind it
            it = None
        subject = it.subject if it is not None else ""
        return it if await self._end(tag, subject, endpoint_id, reason, condition) else None

    async def _end(
        self, tag: str, subject: str, endpoint_id: str, reason: CloseReason, condition: bytes
    ) -> bool:
        """End a record.

        Args:
            tag: Of its topic.
            subject: Who holds it.
            endpoint_id: Of the subscription.
            reason: Why it ends.
            condition: The record as it is kept, if only that is to end; or `_EXPIRED`, or `_LOST`;
                b"" for none.
        """
        topic = keys.of_tag(tag)
        number = await self._commands.run_script(
            scripts.END,
            topic.session,
            topic.records,
            topic.channel,
            topic.topics,
            topic.all_records,
            topic.held,
            tag,
            endpoint_id,
            encode_envelope(SubscriptionEnded("", endpoint_id, reason)),  # who hears knows where
            condition,
        )
        if number is not None:
            counted = keys.records_of_holder(subject), f"{tag} {endpoint_id}"
            await self._forget(endpoint_id, counted)
        return bool(number)

    async def _lead(self, it: Subscription) -> None:
        """Let an endpoint lead to its topic."""
        key, tag = keys.of_endpoint(it.endpoint_id), keys.of_topic(it.topic).tag
        await self._commands.ask("SET", key, tag, "PX", self._times.record_life(it.expires_at))

    async def _forget(self, endpoint_id: str, counted: tuple[str, str]) -> None:
        """Remove what is kept of a record elsewhere; if that fails, it expires or is found out."""
        await self._quotas.release(*counted)
        with suppress(Unavailable):
            await self._commands.ask("DEL", keys.of_endpoint(endpoint_id))

    async def _replace(self, kept: bytes, it: Subscription, payload: bytes, *, joins: bool) -> int:
        topic = keys.of_topic(it.topic)
        number: int = await self._commands.run_script(
            scripts.REPLACE,
            topic.session,
            topic.records,
            topic.channel,
            topic.topics,
            topic.all_records,
            topic.held,
            topic.tag,
            it.endpoint_id,
            kept,
            encode_record(it),
            self._times.until(it.expires_at),
            payload,
            self._times.session_life(it.expires_at),
            self._hold if joins else 0,
        )
        return number

    async def hold(self, subscriptions: Iterable[Subscription]) -> None:
        """Note that these are held here."""
        members: dict[str, list[str]] = {}
        for it in subscriptions:
            topic = keys.of_topic(it.topic)
            members.setdefault(topic.held, []).append(f"{topic.tag} {it.endpoint_id}")
        asked = [
            self._commands.run_script(scripts.HOLD, key, self._hold, *part)
            for key, of in members.items()
            for part in _batched(of, _HELD_AT_ONCE)
        ]
        await asyncio.gather(*asked)

    async def _kept(self, endpoint_id: str) -> bytes | None:
        tag = await self._commands.ask("GET", keys.of_endpoint(endpoint_id))
        if tag is None:
            return None
        records = keys.of_tag(tag.decode()).records
        kept: bytes | None = await self._commands.ask("HGET", records, endpoint_id)
        return kept


def _batched(members: list[str], size: int) -> Iterator[list[str]]:
    """Return parts of a list, each of this size at most."""
    for start in range(0, len(members), size):
        yield members[start : start + size]


def _counted(it: Subscription) -> tuple[str, str]:
    """Return where a subscription is counted, and as what."""
    return keys.records_of_holder(it.subject), f"{keys.of_topic(it.topic).tag} {it.endpoint_id}"


def _place(kept: bytes) -> int:
    return int(kept.partition(b" ")[0])


def _read(kept: bytes) -> Subscription:
    return decode_record(kept.partition(b" ")[2])
