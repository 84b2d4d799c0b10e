"""A session of the PowerCast test client beside a conforming subscriber."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING

from builders import TOPIC, bundle, case, item, observation, put, ref
from clients.neighbour import acknowledgements_fall_due
from clients.powercast import PowerCast
from wire_messages import close_request, open_request, update_request

if TYPE_CHECKING:
    from builders import Json
    from clients.conftest import ComeIn, MeetNeighbour
    from clients.neighbour import Neighbour
    from hub_server import RunningHub, StartHub


def items(number: int) -> list[Json]:
    return [item(it) for it in case(number)]


async def test_a_reading_session(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-46, D-47, OLD-01: after each event the array shows the state that the event made."""
    neighbour = await meet_neighbour(hub.origin)
    powercast = await come_in(PowerCast(hub.origin, TOPIC))
    await powercast.join()
    assert powercast.frames[0]["hub.lease_seconds"] == 86_400
    assert await powercast.get_context() == []
    opened = await neighbour.shares(open_request(1))
    (view,) = await powercast.next_view()
    assert (view["contextType"], view["context.versionId"]) == ("DiagnosticReport", opened)
    assert view["context"][:-1] == items(1)
    assert view["context"][-1]["key"] == "content"
    shared = await neighbour.shares(update_request(opened, put(observation("ob-1"))))
    (view,) = await powercast.next_view()
    assert view["context.versionId"] == shared
    assert [it["resource"]["id"] for it in view["context"][-1]["resource"]["entry"]] == ["ob-1"]
    await neighbour.shares(close_request(1))
    assert await powercast.next_view() == []


async def test_it_publishes(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-50, EVT-09: its id and its local time pass unchanged; hub.url of the old mount works."""
    neighbour = await meet_neighbour(hub.origin)
    powercast = await come_in(PowerCast(hub.origin, TOPIC))
    await powercast.join()
    answer = await powercast.publish("DiagnosticReport-open", *items(1))
    assert answer.status_code == 202
    event = await neighbour.next_event()
    assert event["id"] == answer.json()["id"]
    assert event["id"].startswith("TestPowerCast-")
    assert event["timestamp"].endswith("-05:00")
    (view,) = await powercast.next_view()
    assert view["context.versionId"] == answer.json()["context.versionId"]


async def test_a_stale_version_is_a_conflict(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-42: 409; then it reads the version again and succeeds."""
    neighbour = await meet_neighbour(hub.origin)
    powercast = await come_in(PowerCast(hub.origin, TOPIC))
    await powercast.join()
    stale = await neighbour.shares(open_request(1))
    await neighbour.shares(update_request(stale, put(observation("ob-1"))))
    report = ref("DiagnosticReport/dr-1", "report")
    updates = {"key": "updates", "resource": bundle(put(observation("ob-2")))}
    refused = await powercast.publish("DiagnosticReport-update", report, updates, version_id=stale)
    assert (refused.status_code, refused.headers["content-type"][:10]) == (409, "text/plain")
    (view,) = await powercast.get_context()
    again = await powercast.publish(
        "DiagnosticReport-update", report, updates, version_id=view["context.versionId"]
    )
    assert again.status_code == 202
    assert (await neighbour.next_event())["id"] == again.json()["id"]
    await neighbour.nothing_but_a_marker_comes()


async def test_the_confirmation_comes_before_any_event(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """CONF-01: also while others publish without a pause; else it would give up."""
    neighbour = await meet_neighbour(hub.origin)
    pressing = asyncio.create_task(_publish_without_end(neighbour))
    for _ in range(10):
        powercast = await come_in(PowerCast(hub.origin, TOPIC))
        await powercast.join()
        await powercast.next_event()
        assert not powercast.gave_up
        assert powercast.frames[0]["hub.mode"] == "subscribe"
    pressing.cancel()


async def _publish_without_end(neighbour: Neighbour) -> None:
    for number in count(1):
        await neighbour.publish(open_request(number))
        await neighbour.publish(close_request(number))


async def test_it_never_acknowledges(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-41: it is not thrown out for that, and nobody hears of trouble."""
    hub = await start_hub(ack_timeout_seconds="1", unresponsive_after="1")
    neighbour = await meet_neighbour(hub.origin)
    mute = await meet_neighbour(hub.origin, "Mute")
    powercast = await come_in(PowerCast(hub.origin, TOPIC))
    await powercast.join()
    await acknowledgements_fall_due(neighbour, mute)
    last = open_request(3)
    await neighbour.shares(last)
    assert [(await powercast.next_event())["id"] for _ in range(3)][-1] == last["id"]
    await neighbour.nothing_but_a_marker_comes(powercast)


async def test_reports_are_resumed_in_any_order(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """TAB-01, D-11: whichever it opens again is current, with the content it had."""
    neighbour = await meet_neighbour(hub.origin)
    powercast = await come_in(PowerCast(hub.origin, TOPIC))
    await powercast.join()
    for number in (1, 2, 3):
        version = await neighbour.shares(open_request(number))
        shared = update_request(version, put(observation(f"ob-{number}")), number=number)
        await neighbour.shares(shared)
    for number in (1, 3, 2):
        answer = await powercast.publish("DiagnosticReport-open", *items(number))
        assert answer.status_code == 202
        (view,) = await powercast.get_context()
        assert view["context"][0]["resource"]["id"] == f"dr-{number}"
        (entry,) = view["context"][-1]["resource"]["entry"]
        assert entry["resource"]["id"] == f"ob-{number}"


async def test_a_study_alone_may_be_opened(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-47: what it sends when it has no report."""
    neighbour = await meet_neighbour(hub.origin)
    powercast = await come_in(PowerCast(hub.origin, TOPIC))
    await powercast.join()
    _, patient, study = case(1)
    await powercast.publish("ImagingStudy-open", item(patient), item(study))
    assert (await neighbour.next_event())["event"]["hub.event"] == "ImagingStudy-open"
    (view,) = await powercast.next_view()
    assert view["contextType"] == "ImagingStudy"
