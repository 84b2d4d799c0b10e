"""A topic that gets its events in parts: what waits there is bounded, told, and in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fhircast_hub.fanout
import msgspec
import pytest
from builders import TOPIC, after, case, item, message
from e2e.memory_room import EVENTS, EVERYBODY, GRACE_SECONDS, Room
from fhircast_hub.protocol.errors import Unavailable
from fhircast_hub.protocol.messages import parse_notification
from fhircast_hub.protocol.subscription import SubscriptionRequest
from fhircast_subscribers.wire import decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from builders import Json
    from e2e.memory_room import App

PATIENTS = [case(number)[1] for number in (1, 2, 3)]


@pytest.fixture
async def room(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    """Two applications, which are one too many to be served in one part."""
    monkeypatch.setattr(fhircast_hub.fanout, "PART", 1)
    made = Room(["one", "other"], ira=False)
    await made.start()
    for app in made.apps:
        await app.join()
    yield made
    await made.stop()


def opened(number: int, topic: str = TOPIC) -> Json:
    patient = PATIENTS[number % len(PATIENTS)]
    return message("Patient-open", [item(patient)], id=f"e{number}", at=after(number), topic=topic)


async def commit(room: Room, request: Json) -> None:
    """Request a change and give the hub no turn to bring it to anybody."""
    notification = parse_notification(msgspec.json.encode(request))
    await room.hub.request_change(notification, EVERYBODY)


async def commit_until_refused(room: Room, first: int = 0) -> int:
    """Return the number of the event that found no room."""
    for number in range(first, 10_000):
        try:
            await commit(room, opened(number))
        except Unavailable:
            return number
    raise AssertionError("never refused")


def events_of(app: App) -> list[Json]:
    assert app.inbox is not None
    return [it for it in map(decode, app.inbox.frames) if "event" in it]


async def test_what_waits_in_a_topic_is_bounded_and_stops_no_other_topic(room: Room) -> None:
    """2.6, guarantee 4: publishers who are too fast for the subscribers wait, no others."""
    elsewhere = SubscriptionRequest(False, "elsewhere", EVENTS, None, "", "neighbour")
    await room.hub.subscribe(elsewhere, EVERYBODY)
    accepted = await commit_until_refused(room)
    assert accepted < 1000
    await commit(room, opened(0, topic="elsewhere"))
    while len(events_of(room.apps[1])) < accepted:
        await room.delivered()
    assert [it["id"] for it in events_of(room.apps[0])] == [f"e{it}" for it in range(accepted)]
    await commit(room, opened(accepted))


async def test_a_failure_is_told_though_its_topic_has_no_room(room: Room) -> None:
    """SYNC-01, guarantee 1: the SyncError waits for room and is not dropped."""
    lost, other = room.apps
    await lost.drop(1006)
    accepted = await commit_until_refused(room)
    room.clock.seconds += 2 * GRACE_SECONDS
    room.hub.tick()
    await room.hub.settle()
    while len(events_of(other)) <= accepted:
        await room.delivered()
    assert events_of(other)[-1]["event"]["hub.event"] == "SyncError"


async def test_who_comes_back_gets_what_waits_once_and_in_order(room: Room) -> None:
    """D-41, D-45: the session that is replayed holds events that are still under way."""
    mute = room.apps[0]
    await mute.drop(1006)
    await room.post(opened(0))
    await commit(room, opened(1))
    await commit(room, opened(2))
    await mute.join()
    await room.delivered()
    assert [it["id"] for it in events_of(mute)] == ["e0", "e1", "e2"]


async def test_a_topic_without_room_can_be_joined(room: Room) -> None:
    """CONF-01: a join publishes nothing; refused after the handshake, it would hang for ever."""
    back = room.apps[0]
    await back.drop(1001)
    accepted = await commit_until_refused(room)
    await back.join()
    assert [it["id"] for it in events_of(back)][-1] == f"e{accepted - 1}"
