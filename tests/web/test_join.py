"""A socket that is opened while its subscription changes; the hub without a socket between."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from builders import REPORT, TOPIC, after, close_event, open_case, value
from fhircast_conformance.wire import REPORT_EVENTS
from fhircast_hub.backends.base import BackendLimits, Published
from fhircast_hub.backends.memory import MemoryBackend
from fhircast_hub.clock import SystemClock
from fhircast_hub.fanout import Fanout
from fhircast_hub.hub import Hub, HubRules
from fhircast_hub.protocol.channel import ChannelRules
from fhircast_hub.protocol.session import Session
from fhircast_hub.protocol.subscription import Subscription, SubscriptionRequest
from fhircast_hub.security.grant import ANYBODY
from fhircast_hub.web.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from fhircast_hub.clock import Clock
    from fhircast_hub.security.grant import Grant

GRANT: Grant = ANYBODY


@pytest.fixture
def hub() -> Hub:
    return hub_with(SystemClock())


def hub_with(clock: Clock) -> Hub:
    backend = MemoryBackend(BackendLimits())
    return Hub(backend, Fanout(ChannelRules()), rules=HubRules(), clock=clock)


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def utc(self) -> datetime:
        return after(self.seconds)

    def monotonic(self) -> float:
        return self.seconds


def asked(event: str, endpoint_id: str = "", *, leaves: bool = False) -> SubscriptionRequest:
    return SubscriptionRequest(
        is_unsubscribe=leaves,
        topic=TOPIC,
        events={event.lower(): event},
        lease_seconds=None,
        endpoint_id=endpoint_id,
        subscriber_name="Viewer",
    )


async def subscribed(hub: Hub, event: str) -> Subscription:
    found = await hub.find(await hub.subscribe(asked(event), GRANT))
    assert found is not None
    return found


def outbox() -> Outbox:
    return Outbox(max_frames=10, max_bytes=100_000)


async def test_a_renewal_meanwhile_is_what_counts(hub: Hub) -> None:
    """SUB-11: the record read before the socket was open must not come back over the new one."""
    before = await subscribed(hub, "Patient-open")
    await hub.subscribe(asked("Home-open", before.endpoint_id), GRANT)
    frames = outbox()
    assert await hub.join(before, frames) is not None
    assert value(await frames.take() or b"")["hub.events"] == "Home-open"
    after = await hub.find(before.endpoint_id)
    assert after is not None
    assert list(after.events) == ["home-open"]


async def test_an_unsubscribe_meanwhile_leaves_nothing_to_join(hub: Hub) -> None:
    """UNS-04: the socket is not served."""
    before = await subscribed(hub, "Patient-open")
    await hub.unsubscribe(asked("Patient-open", before.endpoint_id, leaves=True), GRANT)
    assert await hub.join(before, outbox()) is None


async def test_an_open_before_the_join_is_replayed(hub: Hub) -> None:
    """REP-01: accepted before anybody listens, so it comes from the session."""
    before = await subscribed(hub, "DiagnosticReport-open")
    opened = open_case()
    await hub.request_change(opened, GRANT)
    frames = outbox()
    await hub.join(before, frames)
    await frames.take()
    assert value(await frames.take() or b"")["id"] == opened.id


async def test_a_token_that_expired_before_the_connection_gets_a_denial() -> None:
    """CONF-06, SUB-09: no confirmation; the denial names topic and events, the record is gone."""
    clock = HandClock()
    hub = hub_with(clock)
    grant = replace(GRANT, expires_at=after(30))
    endpoint_id = await hub.subscribe(asked("Patient-open"), grant)
    record = await hub.find(endpoint_id)
    assert record is not None
    assert record.lease_seconds == 30
    clock.seconds = 29.5
    frames = outbox()
    assert await hub.join(record, frames) is not None
    denial = value(await frames.take() or b"")
    assert (denial["hub.mode"], denial["hub.topic"]) == ("denied", TOPIC)
    assert denial["hub.events"] == "Patient-open"
    assert await frames.take() is None
    await hub.settle()
    assert await hub.find(endpoint_id) is None


async def test_the_lease_of_a_late_connection_is_what_the_token_leaves() -> None:
    """SUB-09, CONF-03: counted from the confirmation, and still over with the token."""
    clock = HandClock()
    hub = hub_with(clock)
    endpoint_id = await hub.subscribe(asked("Patient-open"), replace(GRANT, expires_at=after(30)))
    record = await hub.find(endpoint_id)
    assert record is not None
    clock.seconds = 20
    frames = outbox()
    await hub.join(record, frames)
    assert value(await frames.take() or b"")["hub.lease_seconds"] == 10


@pytest.fixture
async def running(hub: Hub) -> AsyncIterator[Hub]:
    """A hub that delivers."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.run(stop))
        yield hub
        stop.set()


async def test_a_close_during_a_break_reaches_who_never_acknowledges(running: Hub) -> None:
    """D-45, D-41: back within the grace, it hears what happened meanwhile, in order."""
    events = {it.lower(): it for it in REPORT_EVENTS}
    silent, other = [
        await running.find(await running.subscribe(replace(asked("x"), events=events), GRANT))
        for _ in range(2)
    ]
    assert silent is not None
    assert other is not None
    frames, witness = outbox(), outbox()
    await running.join(other, witness)
    link = await running.join(silent, frames)
    assert link is not None
    await running.request_change(open_case(1, at=after(0)), GRANT)
    await witness.take()
    await witness.take()
    running.left(link, frames, 1006)
    closed = close_event(REPORT, at=after(1))
    await running.request_change(closed, GRANT)
    await witness.take()
    again = outbox()
    await running.join(silent, again)
    assert value(await again.take() or b"")["hub.mode"] == "subscribe"
    assert value(await again.take() or b"")["id"] == closed.id


class LaggingBackend(MemoryBackend):
    """Shows the empty session a few times, while all that happened since arrives as events."""

    def __init__(self, fanout: Fanout) -> None:
        super().__init__(BackendLimits())
        self.lag = 0
        self._fanout = fanout

    async def load(self, topic: str, *, is_newest: bool = True) -> Session | None:
        newest = await super().load(topic)
        if newest is None or not self.lag:
            return newest
        self.lag -= 1
        for revision in range(1, newest.revision + 1):
            list(self._fanout.deliver(Published(topic, revision, open_case(revision)), None, 0))
        return Session(topic, "v0")


async def joined_behind(lag: int) -> tuple[LaggingBackend, Subscription, Outbox]:
    """Join a topic with three opens, of which the session loaded shows none at first."""
    fanout = Fanout(ChannelRules(max_held_frames=1))
    backend = LaggingBackend(fanout)
    hub = Hub(backend, fanout, rules=HubRules(), clock=HandClock())
    record = await subscribed(hub, "DiagnosticReport-open")
    for number in (1, 2, 3):
        await hub.request_change(open_case(number), GRANT)
    backend.lag = lag
    frames = outbox()
    assert await hub.join(record, frames) is not None
    await hub.settle()
    assert value(await frames.take() or b"")["hub.mode"] == "subscribe"
    return backend, record, frames


async def test_a_session_that_lags_behind_the_events_is_loaded_again() -> None:
    """REP-01: what could not be held must be in the session that is replayed."""
    _, _, frames = await joined_behind(lag=2)
    frame = value(await frames.take() or b"")
    assert frame["event"]["context"][0]["resource"]["id"] == "dr-3"


async def test_who_cannot_be_brought_up_to_date_is_ended() -> None:
    """REP-01, CONF-05: never left behind in silence: a denial, and a SyncError for the others."""
    backend, record, frames = await joined_behind(lag=5)
    denial = value(await frames.take() or b"")
    assert (denial["hub.mode"], denial["hub.reason"]) == ("denied", "too slow to receive")
    assert await backend.find(record.endpoint_id) is None
    session = await backend.load(TOPIC)
    assert session is not None
    assert session.revision == 4, "three opens and the SyncError"
