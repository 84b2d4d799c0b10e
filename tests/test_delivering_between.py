"""What happens between two parts of a wide topic: who joins, ends or asks anew meanwhile."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

import pytest
from fhircast_hub.fanout import PART
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.security.grant import ANYBODY
from inboxes import (
    EVENTS,
    Inbox,
    asked,
    hub_with_inboxes,
    join,
    joined,
    post,
    until_all_have,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from fhircast_hub.fanout import Link
    from fhircast_hub.hub import Hub

WIDE = 3 * PART


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    async with hub_with_inboxes() as it:
        yield it


@pytest.fixture
async def wide(hub: Hub) -> list[tuple[Link, Inbox]]:
    return await joined(hub, "wide", WIDE)


async def post_one_part(hub: Hub, wide: list[tuple[Link, Inbox]], number: int = 1) -> None:
    """Post an event; when this returns it went out to some, and not to the last."""
    await post(hub, "wide", number)
    while len(wide[0][1].frames) < 2:  # noqa: ASYNC110 - turns, no time
        await asyncio.sleep(0)
    assert len(wide[-1][1].frames) == 1


def endpoint_of(link: Link) -> str:
    return link.channel.subscription.endpoint_id


async def test_who_unsubscribes_gets_what_was_committed_before(
    hub: Hub, wide: list[tuple[Link, Inbox]]
) -> None:
    """CONF-05, guarantee 2: the event, then the denial; the first of them and the last."""
    await post_one_part(hub, wide)
    for link, _ in (wide[0], wide[-1]):
        request = asked("wide", endpoint_id=endpoint_of(link), leaves=True)
        await hub.unsubscribe(request, ANYBODY)
    await post(hub, "wide", 2)
    await until_all_have(wide, 3)
    for _, inbox in (wide[0], wide[-1]):
        assert inbox.told == ["subscribe", "wide 1", "denied"]
    assert wide[1][1].told == ["subscribe", "wide 1", "wide 2"]


async def test_who_is_ended_at_once_gets_nothing_more(
    hub: Hub, wide: list[tuple[Link, Inbox]]
) -> None:
    """CONF-05: nothing comes behind a denial, and nobody looks after it any more."""
    link, inbox = wide[-1]
    await post_one_part(hub, wide)
    hub.flooded(link)
    await post(hub, "wide", 2)
    await until_all_have(wide[:-1], 3)
    assert inbox.told == ["subscribe", "denied"]
    assert (link.sink, link.due_at) == (None, inf)


async def test_who_is_cut_off_gets_it_with_its_next_connection(
    hub: Hub, wide: list[tuple[Link, Inbox]]
) -> None:
    """REP-01: once, from before the event went out to it or from after."""
    await post_one_part(hub, wide)
    for link, inbox in (wide[0], wide[-1]):
        hub.left(link, inbox, 1006)
    again = [Inbox(), Inbox()]
    for inbox, (link, _) in zip(again, (wide[0], wide[-1]), strict=True):
        record = await hub.find(endpoint_of(link))
        assert record is not None
        assert await hub.join(record, inbox) is link
    await post(hub, "wide", 2)
    await until_all_have(wide[1:-1], 3)
    for inbox in again:
        assert inbox.told == ["subscribe", "wide 1", "wide 2"]


async def test_who_joins_is_brought_up_to_date_once(
    hub: Hub, wide: list[tuple[Link, Inbox]]
) -> None:
    """REP-01: by the replay, and not by the event that is under way."""
    await post_one_part(hub, wide)
    await post(hub, "wide", 2)
    link, late = await join(hub, "wide", "late")
    await post(hub, "wide", 3)
    await until_all_have([(link, late)], 3)
    await until_all_have(wide, 4)
    assert late.told == ["subscribe", "wide 2", "wide 3"]


async def test_who_asks_anew_gets_what_was_committed_before_under_its_old_rights(
    hub: Hub, wide: list[tuple[Link, Inbox]]
) -> None:
    """SUB-12, guarantee 2: event, confirmation, and nothing that is not asked for any more."""
    link, inbox = wide[-1]
    await post_one_part(hub, wide)
    only_errors = {"syncerror": EVENTS["syncerror"]}
    request = asked("wide", endpoint_id=endpoint_of(link), events=only_errors)
    await hub.subscribe(request, ANYBODY)
    await post(hub, "wide", 2)
    await until_all_have(wide, 3)
    assert inbox.told == ["subscribe", "wide 1", "subscribe"]


@pytest.mark.parametrize("others", [0, WIDE], ids=["narrow", "wide"])
async def test_who_asks_for_more_gets_what_is_open_before_what_comes(hub: Hub, others: int) -> None:
    """D-12, SUB-12: confirmation, the open it may see now, and the next event behind it."""
    crowd = await joined(hub, "topic", others)
    record = await hub.find(
        await hub.subscribe(asked("topic", "one", events={"syncerror": "SyncError"}), ANYBODY)
    )
    assert record is not None
    inbox = Inbox()
    await hub.join(record, inbox)
    await post(hub, "topic", 1)
    await hub.subscribe(asked("topic", endpoint_id=record.endpoint_id), ANYBODY)
    await post(hub, "topic", 2)
    await until_all_have([*crowd], 3)
    async with asyncio.timeout(20):
        while "topic 2" not in inbox.told:  # noqa: ASYNC110 - turns, no time
            await asyncio.sleep(0)
    assert inbox.told[:2] == ["subscribe", "subscribe"]
    assert inbox.told[-1] == "topic 2"
    assert sorted(set(inbox.told[2:])) == sorted(inbox.told[2:]), "each once"


async def test_a_topic_that_is_narrow_again_keeps_its_order(
    hub: Hub, wide: list[tuple[Link, Inbox]]
) -> None:
    """Guarantee 2: what is committed after all but one have left waits behind what goes out."""
    await post_one_part(hub, wide)
    for link, _ in wide[1:]:
        hub.flooded(link)
    await post(hub, "wide", 2)
    await post(hub, "wide", 3)
    _, stayed = wide[0]
    await until_all_have(wide[:1], 4)
    assert stayed.told[:4] == ["subscribe", "wide 1", "wide 2", "wide 3"]


async def test_topics_do_not_wait_for_each_other(hub: Hub) -> None:
    """EVT-01: of two wide ones neither is through before the other has begun."""
    one, two = await joined(hub, "one", WIDE), await joined(hub, "two", WIDE)
    for number in range(10):
        await post(hub, "one", number)
    await post(hub, "two", 0)
    while len(two[-1][1].frames) < 2:  # noqa: ASYNC110 - turns, no time
        await asyncio.sleep(0)
    assert len(one[-1][1].frames) < 11
    await until_all_have(one, 11)


# Faults of ours


class Broken(Inbox):
    """A socket with a bug in it."""

    def put(self, frame: bytes) -> bool:
        if b'"id"' in frame:
            raise ZeroDivisionError
        return super().put(frame)


class BeyondHelp(Broken):
    """And another one where it is ended."""

    def close(self, reason: CloseReason, last: Iterable[bytes] = ()) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize("fault", [Broken, BeyondHelp])
@pytest.mark.parametrize("others", [1, WIDE], ids=["narrow", "wide"])
async def test_a_fault_in_a_delivery_ends_the_channels_of_its_topic(
    hub: Hub, others: int, fault: type[Inbox]
) -> None:
    """Guarantee 5: a denial and a close, never a stale patient; other topics go on."""
    await join(hub, "topic", "broken", fault())
    crowd = await joined(hub, "topic", others)
    [(_, elsewhere)] = await joined(hub, "elsewhere", 1)
    await post(hub, "topic", 1)
    async with asyncio.timeout(20):
        while any(it.reason is None for _, it in crowd):  # noqa: ASYNC110 - turns, no time
            await asyncio.sleep(0)
    assert {it.reason for _, it in crowd} == {CloseReason.INTERNAL}
    assert {it.told[-1] for _, it in crowd} == {"denied"}
    await post(hub, "elsewhere", 1)
    assert elsewhere.told == ["subscribe", "elsewhere 1"]
    fresh = await joined(hub, "topic", others + 1)
    await post(hub, "topic", 2)
    await until_all_have(fresh, 3)


async def test_a_fault_at_the_end_keeps_nobody_else_from_the_good_bye(hub: Hub) -> None:
    """CONF-05, guarantee 5: all but the one are told that the hub ends."""
    await join(hub, "topic", "broken", BeyondHelp())
    (_, inbox), *_ = await joined(hub, "topic", 2)
    await hub.shut_down()
    assert (inbox.told[-1], inbox.reason) == ("denied", CloseReason.SHUTDOWN)


# The end


async def test_what_waits_goes_out_before_the_hub_ends() -> None:
    """2.6: what was accepted is not lost by a stop at once."""
    async with hub_with_inboxes() as hub:
        wide = await joined(hub, "wide", WIDE)
        for number in range(5):
            await post(hub, "wide", number)
    assert {len(it.frames) for _, it in wide} == {6}
