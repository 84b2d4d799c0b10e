"""Generous reading and its limits, on the wire: forms, timestamps, selections, links, too-long."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from builders import PATIENT, TOPIC, Json, item, put
from wire_messages import (
    ALL_EVENTS,
    open_request,
    patient_request,
    request,
    select_request,
    update_request,
)

if TYPE_CHECKING:
    from hub_server import RunningHub, StartHub


async def test_a_lease_of_many_digits_is_the_maximum(hub: RunningHub) -> None:
    """2.4, SUB-08: above the maximum the confirmation shows the maximum."""
    socket = await hub.wire.join(TOPIC, hub__lease_seconds="9" * 30)
    assert socket.confirmation["hub.lease_seconds"] == 86_400


async def test_a_date_is_no_timestamp(hub: RunningHub) -> None:
    """2.5, EVT-09, D-27: 400 for a date alone; without a zone it is UTC."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    answer = await hub.wire.post({**patient_request(), "timestamp": "2026-03-02"})
    assert (answer.status_code, answer.text.split(":")[0]) == (400, "timestamp")
    sent = {**patient_request(), "timestamp": "2026-03-02T12:00:00"}
    assert (await hub.wire.post(sent)).status_code == 202
    assert (await socket.followed())["timestamp"] == sent["timestamp"]


@pytest.mark.parametrize("topic", ["a/b", "line\nend", "ü?#%2F", " x "])
async def test_a_topic_may_hold_anything(hub: RunningHub, topic: str) -> None:
    """2.9, CTX-02: what was subscribed to can be read under its own URL."""
    await hub.wire.join(topic)
    assert (await hub.wire.get(topic)).status_code == 200
    assert (await hub.wire.get(topic + "\n")).text.startswith("hub.topic: no session")


async def test_a_proprietary_event_passes_as_it_is(hub: RunningHub) -> None:
    """2.3, EVT-13: two patients or a version of its own are nobody else's business."""
    socket = await hub.wire.join(TOPIC, ["org.example.merge"])
    two = [{"key": "patient", "resource": PATIENT | {"id": it}} for it in ("a", "b")]
    sent = request("org.example.merge", *two)
    sent["event"]["versionId"] = 7
    assert (await hub.wire.post(sent)).status_code == 202
    assert await socket.followed() == sent


async def test_unknown_selected_resources_of_an_array_are_dropped(start_hub: StartHub) -> None:
    """RAD-151, IRA-HUB-12, D-09: 206, and the broadcast holds what is known."""
    hub = await start_hub(profile="ira")
    socket = await hub.wire.join(TOPIC, name="Viewer")
    await hub.wire.post(open_request())
    await socket.followed()
    sent = select_request()
    references = [{"reference": "Observation/none"}, {"reference": "Patient/pt-1"}]
    sent["event"]["context"].append({"key": "select", "reference": references})
    assert (await hub.wire.post(sent)).status_code == 206
    got = (await socket.followed())["event"]["context"][-1]
    assert got == {"key": "select", "reference": references[1:]}


NO_IDENTIFIER: Json = {key: it for key, it in PATIENT.items() if key != "identifier"}


@pytest.mark.parametrize("profile", ["base", "ira"])
@pytest.mark.parametrize(
    ("patient", "status"),
    [(NO_IDENTIFIER, 400), ({**PATIENT, "telecom": [{"value": "555-0100"}]}, 202)],
)
async def test_an_update_keeps_the_patients_id(
    start_hub: StartHub, profile: str, patient: Json, status: int
) -> None:
    """RAD-150, IRA-HUB-11: a PUT that drops the identifier is 400, one with a phone 202."""
    hub = await start_hub(profile=profile)
    socket = await hub.wire.join(TOPIC, name="Viewer")
    await hub.wire.post(open_request())
    version = (await socket.followed())["event"]["context.versionId"]
    assert (await hub.wire.post(update_request(version, put(patient)))).status_code == status


async def test_a_subscriber_that_finds_a_message_too_large(hub: RunningHub) -> None:
    """2.10, CONT-19, D-34: its 413 becomes a SyncError with a second issue too-long."""
    viewer = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    watcher = await hub.wire.join(TOPIC, ["SyncError"], name="Watcher")
    await hub.wire.post(open_request())
    await viewer.acknowledge(await viewer.next(), 413)
    outcome = (await watcher.followed())["event"]["context"][0]["resource"]
    assert [it["code"] for it in outcome["issue"]] == ["processing", "too-long"]
    assert len(outcome["issue"][0]["details"]["coding"]) == 4


async def test_an_extension_passes_as_it_is(hub: RunningHub) -> None:
    """2.8, GEN-04: ws(B) has the identical item; another value than an object is 400."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    extension = {"key": "extension", "data": {"x": 1}}
    sent = request("Patient-open", item(PATIENT), extension)
    assert (await hub.wire.post(sent)).status_code == 202
    assert (await socket.followed())["event"]["context"][-1] == extension
    answer = await hub.wire.post({**patient_request(2), "extension": []})
    assert (answer.status_code, answer.text.split(":")[0]) == (400, "extension")


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (b"\x00\x01", "a binary frame"),
        ('{"id":', "a frame that is no JSON"),
        ('{"id":"e-1","id":"e-2","status":500}', "a frame of ambiguous JSON"),
    ],
)
async def test_a_frame_that_is_none_of_ours(
    hub: RunningHub, caplog: pytest.LogCaptureFixture, frame: str | bytes, said: str
) -> None:
    """GEN-02, D-38: logged once a socket, without its content; everybody stays connected."""
    caplog.set_level(logging.INFO, "fhircast_hub")
    odd, other = [await hub.wire.join(TOPIC, ALL_EVENTS) for _ in range(2)]
    for sent in (frame, frame, {"hub.channel.endpoint": odd.endpoint}):
        await odd.send(sent)
    await hub.wire.post(patient_request())
    for socket in (odd, other):
        assert (await socket.followed())["event"]["hub.event"] == "Patient-open"
    assert [it.getMessage() for it in caplog.records if "passed over" in it.getMessage()] == [
        f"passed over: {said}"
    ]
