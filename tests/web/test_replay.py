"""What a new subscriber gets after its confirmation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from builders import TOPIC, item, observation, put, study_uid
from wire_messages import (
    ALL_EVENTS,
    only_marker_comes,
    open_request,
    patient_request,
    request,
    update_request,
)

if TYPE_CHECKING:
    from builders import Json
    from hub_server import RunningHub


def at(seconds: float) -> datetime:
    """A moment so long ago that any order may be told."""
    return datetime.now(UTC) - timedelta(hours=1) + timedelta(seconds=seconds)


def study_request(at: datetime) -> Json:
    study = {"resourceType": "ImagingStudy", "id": "is-9", "identifier": [study_uid("urn:oid:2.9")]}
    return request("ImagingStudy-open", item(study), at=at)


async def test_the_newest_open_of_each_type_oldest_first(hub: RunningHub) -> None:
    """REP-01, REP-03, REP-05: original id and timestamp; the current context comes last."""
    await hub.wire.join(TOPIC, ALL_EVENTS)
    sent = [patient_request(1, at=at(0)), patient_request(2, at=at(1)), study_request(at(2))]
    for it in sent:
        await hub.wire.post(it)
    late = await hub.wire.join(TOPIC, ALL_EVENTS)
    frames = [await late.followed(), await late.followed()]
    for frame in frames:
        assert frame["event"].pop("context.versionId")
    assert frames == sent[1:]
    await only_marker_comes(hub.wire, late)


async def test_only_what_was_asked_for(hub: RunningHub) -> None:
    """REP-02."""
    await hub.wire.join(TOPIC, ALL_EVENTS)
    await hub.wire.post(patient_request(1, at=at(0)))
    await hub.wire.post(open_request(2, at=at(1)))
    late = await hub.wire.join(TOPIC, ["Patient-open", "org.example.marker"])
    assert (await late.followed())["event"]["hub.event"] == "Patient-open"
    await only_marker_comes(hub.wire, late)


async def test_nothing_that_was_closed(hub: RunningHub) -> None:
    """REP-04."""
    await hub.wire.join(TOPIC, ALL_EVENTS)
    await hub.wire.post(patient_request(1, at=at(0)))
    await hub.wire.post(patient_request(1, "Patient-close", at=at(1)))
    await only_marker_comes(hub.wire, await hub.wire.join(TOPIC, ALL_EVENTS))


async def test_the_version_first_distributed(hub: RunningHub) -> None:
    """REP-05, D-13: GET tells the newest version, so the joiner sees what it lacks."""
    first = await hub.wire.join(TOPIC, ALL_EVENTS)
    await hub.wire.post(open_request())
    opened = await first.followed()
    version = opened["event"]["context.versionId"]
    await hub.wire.post(update_request(version, put(observation("ob-1"))))
    late = await hub.wire.join(TOPIC, ALL_EVENTS)
    assert await late.followed() == opened
    assert (await hub.wire.context(TOPIC))["context.versionId"] != version


async def test_nothing_falls_between_replay_and_live(hub: RunningHub) -> None:
    """2.4: what is requested while somebody joins reaches it exactly once, as open or as event."""
    await hub.wire.join(TOPIC, ALL_EVENTS)
    for number in range(5):
        answer = await hub.wire.subscribe(TOPIC, ALL_EVENTS)
        late = await hub.wire.connect(answer.json()["hub.channel.endpoint"])
        sent = patient_request(number)
        await hub.wire.post(sent)
        await late.confirmed()
        frame = await late.followed()
        while frame["id"] != sent["id"]:
            frame = await late.followed()
        await only_marker_comes(hub.wire, late)


async def test_home_is_replayed_while_it_is_the_latest(hub: RunningHub) -> None:
    """D-21: the open contexts stay and come before it."""
    await hub.wire.join(TOPIC, ALL_EVENTS)
    patient, home = patient_request(1, at=at(0)), request("Home-open", at=at(1))
    await hub.wire.post(patient)
    await hub.wire.post(home)
    late = await hub.wire.join(TOPIC, ALL_EVENTS)
    assert [(await late.followed())["id"] for _ in range(2)] == [patient["id"], home["id"]]
    await only_marker_comes(hub.wire, late)
