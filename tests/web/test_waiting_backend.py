"""A backend that waits, and at times is away: what happens meanwhile to who joins and who asks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC, open_case, sync_error
from fhircast_hub.backends.base import SubscriptionMoved, SyncLost
from fhircast_hub.clock import SystemClock
from fhircast_hub.fanout import Fanout
from fhircast_hub.hub import Hub, HubRules
from fhircast_hub.protocol.channel import ChannelRules
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.subscription import SubscriptionRequest
from fhircast_hub.security.grant import ANYBODY
from hub_server import BY_MESSAGES, DIRECT, running_hub
from inboxes import EVENTS, Inbox
from waiting_backend import WaitingBackend, backend
from websockets.exceptions import InvalidStatus
from wire_messages import ALL_EVENTS, codings, open_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fhircast_hub.backends.base import Envelope
    from fhircast_hub.protocol.subscription import Subscription
    from hub_server import RunningHub

__all__ = ["backend"]


@pytest.fixture(params=[DIRECT, BY_MESSAGES])
async def waiting_hub(
    request: pytest.FixtureRequest, backend: WaitingBackend
) -> AsyncIterator[RunningHub]:
    async with running_hub(request.param, reconnect_grace_seconds="0") as hub:
        yield hub


async def endpoint_of(hub: RunningHub, name: str) -> str:
    answer = await hub.wire.subscribe(TOPIC, ALL_EVENTS, name=name)
    endpoint: str = answer.json()["hub.channel.endpoint"]
    return endpoint


@pytest.mark.parametrize("waiting_hub", [DIRECT], indirect=True)  # by messages it is told later
async def test_a_connection_that_is_lost_before_the_replay_is_told(
    waiting_hub: RunningHub, backend: WaitingBackend
) -> None:
    """SYNC-06: the socket knows its channel from the beginning."""
    viewer = await waiting_hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    endpoint = await endpoint_of(waiting_hub, "Dictation")
    backend.holds_load = True
    dictation = await waiting_hub.wire.connect(endpoint)
    await backend.holds.wait()
    await dictation.abort()
    assert codings(await viewer.followed())["subscribername"] == "Dictation"
    assert not backend.gate.is_set(), "it was told while the replay was still waited for"
    backend.gate.set()


async def test_who_joins_gets_what_happened_while_the_replay_was_waited_for(
    waiting_hub: RunningHub, backend: WaitingBackend
) -> None:
    """REP-01, EVT-01: once, and not before the confirmation."""
    endpoint = await endpoint_of(waiting_hub, "Viewer")
    backend.holds_load = True
    viewer = await waiting_hub.wire.connect(endpoint)
    await backend.holds.wait()
    sent = open_request()
    await waiting_hub.wire.post(sent)
    backend.gate.set()
    await viewer.confirmed()
    assert (await viewer.next())["id"] == sent["id"]
    again = open_request(2)
    await waiting_hub.wire.post(again)
    assert (await viewer.next())["id"] == again["id"]


async def test_an_upgrade_is_put_off_while_the_backend_is_away(
    waiting_hub: RunningHub, backend: WaitingBackend
) -> None:
    """D-43: no denial, which would end the subscription for good."""
    endpoint = await endpoint_of(waiting_hub, "Viewer")
    backend.is_away = True
    with pytest.raises(InvalidStatus) as refused:
        await waiting_hub.wire.connect(endpoint)
    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["retry-after"] == "2"
    backend.is_away = False
    await (await waiting_hub.wire.connect(endpoint)).confirmed()


async def test_who_cannot_be_brought_up_to_date_is_sent_away_to_come_back(
    waiting_hub: RunningHub, backend: WaitingBackend
) -> None:
    """Guarantee 1: told that sync is lost, and not left with what it shows."""
    endpoint = await endpoint_of(waiting_hub, "Viewer")
    backend.holds_load = True
    viewer = await waiting_hub.wire.connect(endpoint)
    await backend.holds.wait()
    backend.is_away = True
    backend.gate.set()
    assert await viewer.close_code() == 1001
    backend.is_away = False
    await (await waiting_hub.wire.connect(endpoint)).confirmed()


async def test_requests_get_503_while_the_backend_is_away(
    waiting_hub: RunningHub, backend: WaitingBackend
) -> None:
    """SUB-13, EVT-03: with the time after which to come back; never a 202 that was not kept."""
    await waiting_hub.wire.join(TOPIC, ALL_EVENTS)
    backend.is_away = True
    for answer in (await waiting_hub.wire.post(open_request()), await waiting_hub.wire.get(TOPIC)):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    ready = await waiting_hub.wire.http.get(f"{waiting_hub.origin}/readyz")
    alive = await waiting_hub.wire.http.get(f"{waiting_hub.origin}/livez")
    assert (ready.status_code, alive.status_code) == (503, 200)
    backend.is_away = False
    ready = await waiting_hub.wire.http.get(f"{waiting_hub.origin}/readyz")
    assert ready.status_code == 200


# The hub without a socket between


@pytest.fixture
def memory() -> WaitingBackend:
    return WaitingBackend()


@pytest.fixture
def hub(memory: WaitingBackend) -> Hub:
    return Hub(memory, Fanout(ChannelRules()), rules=HubRules(), clock=SystemClock())


async def admitted(hub: Hub) -> Subscription:
    """A subscription whose socket is about to be opened."""
    asked = SubscriptionRequest(
        is_unsubscribe=False,
        topic=TOPIC,
        events=EVENTS,
        lease_seconds=None,
        endpoint_id="",
        subscriber_name="Viewer",
    )
    found = await hub.find(await hub.subscribe(asked, ANYBODY))
    assert found is not None
    record = await hub.admit(found)
    assert record is not None
    return record


async def test_who_is_confirmed_gets_all_that_comes_from_then_on(
    hub: Hub, memory: WaitingBackend
) -> None:
    """EVT-01: an event that opens nothing is in no replay, so it must not fall to one."""
    record = await admitted(hub)
    inbox = Inbox()
    memory.holds_load = True
    joining = asyncio.create_task(hub.bring_up_to_date(hub.attach(record, inbox), record))
    await memory.holds.wait()
    assert inbox.told == []
    memory.gate.set()
    await joining
    told = sync_error("e-1")
    await hub.request_change(told, ANYBODY)
    assert inbox.told == ["subscribe", told.id]


async def test_an_end_between_admission_and_socket_is_told(
    hub: Hub, memory: WaitingBackend
) -> None:
    """UNS-03, guarantee 5: it was announced when there was no channel yet."""
    record = await admitted(hub)
    await memory.end(record.endpoint_id, CloseReason.UNSUBSCRIBED)
    inbox = Inbox()
    await hub.bring_up_to_date(hub.attach(record, inbox), record)
    assert inbox.told == ["denied"]
    assert inbox.reason is CloseReason.NOT_KNOWN


async def test_who_was_renewed_or_joined_elsewhere_meanwhile_connects_again(
    hub: Hub, memory: WaitingBackend
) -> None:
    """SUB-11, D-44: rights may be gone, or the endpoint be another process's."""
    record = await admitted(hub)
    await memory.replace(replace(record, events={"syncerror": "SyncError"}))
    inbox = Inbox()
    await hub.bring_up_to_date(hub.attach(record, inbox), record)
    await hub.request_change(open_case(), ANYBODY)
    assert inbox.told == []
    assert inbox.reason is CloseReason.RECONNECT
    assert await memory.find(record.endpoint_id) is not None


async def test_a_renewal_is_not_undone_by_an_admission(hub: Hub, memory: WaitingBackend) -> None:
    """SUB-11: the record that was found is replaced, and no newer one."""
    record = await admitted(hub)
    assert await memory.replace(replace(record, subscriber_name="renewed"))
    assert not await memory.replace(record, announce=False, known=record)
    newest = await hub.admit(record)
    assert newest is not None
    assert newest.subscriber_name == "renewed"


async def test_who_comes_back_within_the_grace_gets_what_it_did_not_answer(hub: Hub) -> None:
    """D-45: the channel is the same, though its record was renewed by the second join."""
    record = await admitted(hub)
    first, second = Inbox(), Inbox()
    link = await hub.join(record, first)
    assert link is not None
    opened = open_case()
    await hub.request_change(opened, ANYBODY)
    hub.left(link, first, 1006)
    assert await hub.join(record, second) is link
    assert second.told == ["subscribe", opened.id]
    assert second.reason is None


async def test_a_second_socket_is_not_closed_for_the_first(
    hub: Hub, memory: WaitingBackend
) -> None:
    """D-44: whoever came last stays, though the first was still being brought up to date."""
    record = await admitted(hub)
    first, second = Inbox(), Inbox()
    link = hub.attach(record, first)
    again = await hub.admit(record)
    assert again is not None
    assert hub.attach(again, second) is link
    await asyncio.gather(hub.bring_up_to_date(link, record), hub.bring_up_to_date(link, again))
    assert (first.told, first.reason) == ([], CloseReason.REPLACED)
    assert (second.told, second.reason) == (["subscribe"], None)


async def test_who_went_elsewhere_is_not_ended_by_where_it_was(
    hub: Hub, memory: WaitingBackend
) -> None:
    """D-45, guarantee 3: a process that has not heard of the move may think it is lost."""
    record = await admitted(hub)
    inbox = Inbox()
    link = await hub.join(record, inbox)
    assert link is not None
    kept = await memory.find(record.endpoint_id)
    assert kept is not None
    elsewhere = replace(kept, lease_seconds=kept.lease_seconds - 1)
    assert await memory.replace(elsewhere, announce=False, known=kept)
    hub.flooded(link)  # it ends for whatever reason
    await hub.settle()
    assert inbox.reason is not None
    assert await memory.find(record.endpoint_id) == elsewhere


@pytest.mark.parametrize(
    ("told", "frames", "reason"),
    [
        (SubscriptionMoved, [], CloseReason.REPLACED),
        (SyncLost, [], CloseReason.RECONNECT),
        (partial(SyncLost, is_gone=True), ["denied"], CloseReason.NOT_KNOWN),
    ],
)
async def test_what_other_processes_cause(
    hub: Hub, memory: WaitingBackend, told: type[Envelope], frames: list[str], reason: CloseReason
) -> None:
    """D-44, guarantee 3: a joined endpoint is one process's; what was missed needs a new start."""
    record = await admitted(hub)
    inbox = Inbox()
    await hub.bring_up_to_date(hub.attach(record, inbox), record)
    where = (TOPIC, record.endpoint_id) if told is SubscriptionMoved else (TOPIC,)
    hub._delivering.take(told(*where))
    assert inbox.told == ["subscribe", *frames]
    assert inbox.reason is reason
    await hub.settle()
    is_over = await memory.find(record.endpoint_id) is None
    assert is_over == (reason is CloseReason.NOT_KNOWN)
    assert not hub._delivering.has_channels(TOPIC)
