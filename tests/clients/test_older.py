"""Clients of earlier releases of the standard: STU2 over WebSockets, and webhooks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from wire_messages import denied_and_closed, open_request, patient_request

if TYPE_CHECKING:
    from clients.conftest import MeetNeighbour
    from hub_server import RunningHub

FORM = {"hub.channel.type": "websocket", "hub.topic": TOPIC}


@pytest.mark.parametrize("content_type", ["application/json", "application/fhir+json"])
async def test_a_session_of_stu2(
    hub: RunningHub, meet_neighbour: MeetNeighbour, content_type: str
) -> None:
    """OLD-01, OLD-02: lower-case names, no name of its own, lease and events on an unsubscribe."""
    neighbour = await meet_neighbour(hub.origin)
    wire = hub.wire
    wire.hub_url = f"{hub.origin}/fhircast/STU2"
    asked = {"hub.events": "patient-open,patient-close", "hub.lease_seconds": "600"}
    answer = await wire.form({**FORM, "hub.mode": "subscribe", **asked})
    socket = await wire.connect(answer.json()["hub.channel.endpoint"])
    assert (await socket.confirmed()).confirmation["hub.lease_seconds"] == 600
    sent = patient_request(1)
    posted = await wire.http.post(
        f"{wire.hub_url}/{TOPIC}", content=json.dumps(sent), headers={"Content-Type": content_type}
    )
    assert posted.status_code == 202
    event = await socket.followed()
    assert (event["id"], event["event"]["hub.event"]) == (sent["id"], "patient-open")
    assert (await neighbour.next_event())["event"]["hub.event"] == "Patient-open"
    leaving = {**FORM, "hub.mode": "unsubscribe", "hub.channel.endpoint": socket.endpoint}
    assert (await wire.form({**leaving, **asked})).status_code == 202
    assert await denied_and_closed(socket) == ("unsubscribed", 1000)
    await neighbour.nothing_but_a_marker_comes()


async def test_the_topic_of_the_url_must_be_that_of_the_event(
    hub: RunningHub, meet_neighbour: MeetNeighbour
) -> None:
    """OLD-02: 400, and neither session hears of it."""
    neighbour = await meet_neighbour(hub.origin)
    answer = await hub.wire.http.post(f"{hub.url}/another", json=open_request())
    assert (answer.status_code, answer.text.split(":")[0]) == (400, "hub.topic")
    await neighbour.nothing_but_a_marker_comes()


async def test_another_content_type_is_refused(hub: RunningHub) -> None:
    """OLD-02: text/plain is 415."""
    answer = await hub.wire.post(open_request(), Content_Type="text/plain")
    assert answer.status_code == 415


@pytest.mark.parametrize("channel", [{}, {"hub.channel.type": "webhook"}])
async def test_a_webhook_is_refused_whole(hub: RunningHub, channel: dict[str, str]) -> None:
    """OLD-03, D-47: with or without a channel type; no topic is made by it."""
    form = {
        "hub.callback": "https://app.example/callback",
        "hub.mode": "subscribe",
        "hub.topic": TOPIC,
        "hub.secret": "shhh",
        "hub.events": "patient-open",
        "hub.lease_seconds": "600",
    }
    answer = await hub.wire.form({**form, **channel})
    assert (answer.status_code, answer.text.split(":")[0]) == (400, "hub.channel.type")
    assert (await hub.wire.get(TOPIC)).status_code == 404
