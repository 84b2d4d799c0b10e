"""Events on the wire: who gets what, in which form, and what the requester is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC, item
from wire_messages import (
    ALL_EVENTS,
    close_request,
    codings,
    only_marker_comes,
    open_request,
    patient_request,
    request,
    sync_error_request,
)

if TYPE_CHECKING:
    from hub_server import RunningHub


async def test_everybody_gets_it_once_the_sender_too(hub: RunningHub) -> None:
    """EVT-01, EVT-04, EVT-05: with the id of the request."""
    sockets = [await hub.wire.join(TOPIC, ALL_EVENTS) for _ in range(3)]
    sent = open_request()
    await hub.wire.post(sent)
    assert [(await it.followed())["id"] for it in sockets] == [sent["id"]] * 3
    await only_marker_comes(hub.wire, *sockets)


async def test_nobody_gets_what_it_did_not_ask_for(hub: RunningHub) -> None:
    """REP-02, SYNC-05: and nobody of another topic gets anything."""
    patients = await hub.wire.join(TOPIC, ["Patient-open", "org.example.marker"])
    elsewhere = await hub.wire.join("elsewhere", ALL_EVENTS)
    await hub.wire.post(close_request())
    await hub.wire.post(sync_error_request("e-1"))
    await only_marker_comes(hub.wire, patients)
    there = patient_request(topic="elsewhere")
    await hub.wire.post(there)
    assert (await elsewhere.next())["id"] == there["id"]


async def test_the_answer_tells_id_and_version(hub: RunningHub) -> None:
    """EVT-03, D-46: 202 with a small JSON body; the version only where one was assigned."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    opened, closed = open_request(), close_request()
    answer = await hub.wire.post(opened)
    assert (answer.status_code, answer.headers["content-type"]) == (202, "application/json")
    version = (await socket.next())["event"]["context.versionId"]
    assert answer.json() == {"id": opened["id"], "context.versionId": version}
    assert (await hub.wire.post(closed)).json() == {"id": closed["id"]}


async def test_a_duplicate_is_answered_alike_and_not_sent_again(hub: RunningHub) -> None:
    """D-28, D-46: same id and body; with another body 409."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    sent = open_request()
    first = await hub.wire.post(sent)
    again = await hub.wire.post(sent)
    assert (again.status_code, again.json()) == (202, first.json())
    other = await hub.wire.post(open_request(2, id=sent["id"]))
    assert other.status_code == 409
    assert (await socket.next())["id"] == sent["id"]
    await only_marker_comes(hub.wire, socket)


async def test_an_open_with_an_outstanding_sync_error_goes_out_again(hub: RunningHub) -> None:
    """D-28, SYNC-12: the same frame, once for each request."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    sent = open_request()
    await hub.wire.post(sent)
    first = await socket.next()
    await socket.acknowledge(first, "409")
    assert codings(await socket.next())["eventid"] == sent["id"]
    await hub.wire.post(sent)
    assert await socket.next() == first


@pytest.mark.parametrize("event", ["Appointment-open", "org.example.thing", "appointment-OPEN"])
async def test_events_beyond_the_catalogue(hub: RunningHub, event: str) -> None:
    """EVT-12, EVT-13: any FHIR resource, and names of one's own."""
    socket = await hub.wire.join(TOPIC, [event])
    sent = request(event, item({"resourceType": "Appointment", "id": "a-1"}))
    assert (await hub.wire.post(sent)).status_code == 202
    frame = await socket.next()
    assert frame["event"]["hub.event"] == event
    assert frame["event"]["context"] == sent["event"]["context"]


async def test_what_the_hub_does_not_know_passes_through(hub: RunningHub) -> None:
    """GEN-04, GEN-05, EVT-16, D-31: extensions, further keys, unknown elements, numbers, text."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    patient = {
        "resourceType": "Patient",
        "id": "pt-ü",
        "multipleBirthInteger": 12345678901234567890,
        "extension": [{"url": "urn:x", "valueDecimal": 1.50}],
    }
    extension = {"key": "extension", "data": {"x": [1, None, "\u2028é"]}}
    sent = request("Patient-open", item(patient), extension, {"key": "note", "string": "a"})
    sent["event"]["extension"] = {"x": 1}
    assert (await hub.wire.post(sent)).status_code == 202
    frame = await socket.next()
    assert frame["event"].pop("context.versionId")
    assert frame == sent


@pytest.mark.parametrize(
    "timestamp", ["2020-03-02T09:00:00", "2020-03-02T09:00:00.123456Z", "2020-03-02T10:00:00+01:00"]
)
async def test_a_timestamp_passes_through_as_it_came(hub: RunningHub, timestamp: str) -> None:
    """EVT-09, D-27, D-50: without a zone it is read as UTC; the hub rewrites none."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    sent = patient_request() | {"timestamp": timestamp}
    assert (await hub.wire.post(sent)).status_code == 202
    assert (await socket.next())["timestamp"] == sent["timestamp"]


async def test_a_hub_without_the_topic_refuses(hub: RunningHub) -> None:
    """IRA-HUB-02, RAD-148: 400 before the first subscribe, and no topic is made."""
    answer = await hub.wire.post(open_request())
    assert (answer.status_code, answer.text.split(":")[0]) == (400, "hub.topic")
    assert (await hub.wire.get(TOPIC)).status_code == 404


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "application/fhir+json"]
)
async def test_json_by_any_of_its_names(hub: RunningHub, content_type: str) -> None:
    """OLD-02: with parameters, or as FHIR JSON."""
    await hub.wire.join(TOPIC)
    answer = await hub.wire.post(open_request(), Content_Type=content_type)
    assert answer.status_code == 202


async def test_the_topic_may_stand_in_the_url(hub: RunningHub) -> None:
    """OLD-02: a request to hub.url/topic; another topic in the body is refused."""
    await hub.wire.join(TOPIC)
    for path, status in ((TOPIC, 202), ("another", 400)):
        answer = await hub.wire.http.post(f"{hub.url}/{path}", json=open_request())
        assert answer.status_code == status


async def test_concurrent_requests_reach_all_in_one_order(hub: RunningHub) -> None:
    """2.6: many requesters at once; nothing is lost, and no two see different orders."""
    sockets = [await hub.wire.join(TOPIC, ALL_EVENTS) for _ in range(3)]
    sent = [patient_request(number) for number in range(30)]
    answers = await asyncio.gather(*map(hub.wire.post, sent))
    assert {it.status_code for it in answers} == {202}
    orders = [[(await it.followed())["id"] for _ in sent] for it in sockets]
    assert orders[0] == orders[1] == orders[2]
    assert set(orders[0]) == {it["id"] for it in sent}


@pytest.mark.parametrize("mount", ["/fhircast/STU3", "/fhircast/STU2"])
async def test_every_mount_is_the_same_hub(hub: RunningHub, mount: str) -> None:
    """D-47: subscribed at one, requested at the other."""
    there = await hub.client()
    there.hub_url = hub.origin + mount
    socket = await there.join(TOPIC, ALL_EVENTS)
    assert f"{mount}/ws/" in socket.endpoint
    sent = open_request()
    await hub.wire.post(sent)
    assert (await socket.next())["id"] == sent["id"]
