"""What is committed goes out: wide topics in parts, and nobody else waits for them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from builders import open_case
from fhircast_hub.backends.base import Published, SubscriptionMoved
from fhircast_hub.delivering import _MAX_BEHIND, _MOST_BEHIND
from fhircast_hub.fanout import PART
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.errors import Unavailable
from fhircast_hub.protocol.messages import NotificationResponse
from inboxes import Inbox, hub_with_inboxes, joined, post, until_all_have

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fhircast_hub.hub import Hub


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    async with hub_with_inboxes() as it:
        yield it


async def test_a_narrow_topic_has_its_event_when_the_request_is_answered(hub: Hub) -> None:
    """EVT-01: with the confirmation before it."""
    [(_, inbox)] = await joined(hub, "narrow", 1)
    await post(hub, "narrow", 1)
    assert len(inbox.frames) == 2


async def test_others_have_their_turn_while_a_wide_topic_gets_its_event(hub: Hub) -> None:
    """EVT-01: an event to many holds up nobody."""
    wide = await joined(hub, "wide", 5 * PART)
    [(_, narrow)] = await joined(hub, "narrow", 1)
    await post(hub, "wide", 1)
    await asyncio.sleep(0)
    await post(hub, "narrow", 1)
    assert len(narrow.frames) == 2
    assert sum(len(it.frames) == 1 for _, it in wide) >= 3 * PART
    await until_all_have(wide, 2)


async def test_each_subscriber_of_a_wide_topic_gets_all_in_order(hub: Hub) -> None:
    """EVT-01, guarantee 2: what is committed meanwhile waits behind what goes out."""
    wide = await joined(hub, "wide", 2 * PART + 1)
    for number in range(20):
        await post(hub, "wide", number)
    await until_all_have(wide, 21)
    for _, inbox in wide:
        ids = [frame.split(b'"id":"wide ')[1].split(b'"')[0] for frame in inbox.frames[1:]]
        assert ids == [str(number).encode() for number in range(20)]


async def test_who_asks_for_more_than_can_go_out_is_put_off_in_that_topic_alone(hub: Hub) -> None:
    """EVT-03, guarantee 1: 503, never a 202 that nobody hears of for long."""
    wide = await joined(hub, "wide", PART + 1)
    await joined(hub, "narrow", 1)
    for number in range(_MAX_BEHIND):
        await post(hub, "wide", number)
    with pytest.raises(Unavailable):
        await post(hub, "wide", _MAX_BEHIND)
    await post(hub, "narrow", 1)
    await until_all_have(wide, 1 + _MAX_BEHIND)
    await post(hub, "wide", _MAX_BEHIND)


async def test_who_came_back_is_not_sent_away_for_having_been_elsewhere(hub: Hub) -> None:
    """D-44: that it moved was told before, and still waits behind the events of a wide topic."""
    wide = await joined(hub, "wide", PART + 1)
    await post(hub, "wide", 0)
    link, _ = wide[0]
    hub._delivering.take(SubscriptionMoved("wide", link.record.endpoint_id))
    again = Inbox()
    assert await hub.join(link.record, again) is link
    await until_all_have([*wide[1:], (link, again)], 2)
    await post(hub, "wide", 1)
    await until_all_have([*wide[1:], (link, again)], 3)
    assert again.reason is None


async def test_the_hub_tells_who_is_out_of_sync_even_then(hub: Hub) -> None:
    """SYNC-06, EVT-03: a topic that is behind still hears of a refusal."""
    wide = await joined(hub, "wide", PART + 1)
    await post(hub, "wide", 0)
    await until_all_have(wide, 2)
    for number in range(1, _MAX_BEHIND + 1):
        await post(hub, "wide", number)
    link, _ = wide[0]
    hub.responded(link, NotificationResponse("wide 0", 500))
    await until_all_have(wide, 2 + _MAX_BEHIND + 1)
    assert b'"SyncError"' in wide[-1][1].frames[-1]


async def test_who_is_far_behind_other_hubs_begins_anew(hub: Hub) -> None:
    """Guarantee 4: requests at other hubs are not put off by this one, and nothing may pile up."""
    wide = await joined(hub, "wide", PART + 1)
    hub._backend.is_shared = True
    for number in range(1, 2 * _MOST_BEHIND):
        event = open_case(1, topic="wide", id=f"wide {number}")
        hub._delivering.take(Published("wide", number, event))
    assert len(hub._delivering._lanes["wide"].waiting) <= _MOST_BEHIND + 1
    async with asyncio.timeout(20):
        while any(it.reason is None for _, it in wide):  # noqa: ASYNC110 - turns, no time
            await asyncio.sleep(0)
    assert {it.reason for _, it in wide} == {CloseReason.RECONNECT}
    assert max(len(it.frames) for _, it in wide) < _MOST_BEHIND
