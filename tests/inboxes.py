"""A hub without a socket between: subscribers that are inboxes, many of them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
from builders import open_case
from fhircast_hub.backends.base import BackendLimits
from fhircast_hub.backends.memory import MemoryBackend
from fhircast_hub.clock import SystemClock
from fhircast_hub.fanout import Fanout
from fhircast_hub.hub import Hub, HubRules
from fhircast_hub.protocol.channel import ChannelRules
from fhircast_hub.protocol.subscription import SubscriptionRequest
from fhircast_hub.security.grant import ANYBODY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from fhircast_hub.fanout import Link
    from fhircast_hub.protocol.channel_state import CloseReason

EVENTS = {"diagnosticreport-open": "DiagnosticReport-open", "syncerror": "SyncError"}


class Inbox:
    """A socket that keeps what it is sent."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.reason: CloseReason | None = None

    def put(self, frame: bytes) -> bool:
        self.frames.append(frame)
        return True

    def close(self, reason: CloseReason, last: Iterable[bytes] = ()) -> None:
        self.frames.extend(last)
        self.reason = reason

    @property
    def told(self) -> list[str]:
        """What came, in order: the modes of confirmations and denials, the ids of events."""
        messages = map(msgspec.json.decode, self.frames)
        return [it.get("hub.mode") or it["id"] for it in messages]


@asynccontextmanager
async def hub_with_inboxes() -> AsyncIterator[Hub]:
    """Run a hub; at the end it is stopped, and what waits goes out."""
    backend = MemoryBackend(BackendLimits(max_subscribers_per_topic=1000))
    hub = Hub(backend, Fanout(ChannelRules()), rules=HubRules(), clock=SystemClock())
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.run(stop))
        yield hub
        stop.set()


async def joined(hub: Hub, topic: str, count: int) -> list[tuple[Link, Inbox]]:
    return [await join(hub, topic, f"{topic} {number}") for number in range(count)]


async def join(hub: Hub, topic: str, name: str, inbox: Inbox | None = None) -> tuple[Link, Inbox]:
    record = await hub.find(await hub.subscribe(asked(topic, name), ANYBODY))
    assert record is not None
    inbox = inbox or Inbox()
    link = await hub.join(record, inbox)
    assert link is not None
    return link, inbox


def asked(
    topic: str,
    name: str = "",
    *,
    endpoint_id: str = "",
    events: dict[str, str] = EVENTS,
    leaves: bool = False,
) -> SubscriptionRequest:
    return SubscriptionRequest(leaves, topic, events, None, endpoint_id, name)


async def post(hub: Hub, topic: str, number: int) -> None:
    event = open_case(1, topic=topic, id=f"{topic} {number}")
    await hub.request_change(event, ANYBODY)


async def until_all_have(inboxes: Iterable[tuple[Link, Inbox]], frames: int) -> None:
    async with asyncio.timeout(20):
        while any(len(it.frames) < frames for _, it in inboxes):  # noqa: ASYNC110 - turns, no time
            await asyncio.sleep(0)
