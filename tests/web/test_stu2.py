"""Clients of the STU2 drafts on the wire: mounts, forms, the context as an array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import OBSERVATION, TOPIC, put
from wire_messages import denied_and_closed, open_request, patient_request, update_request

if TYPE_CHECKING:
    from fhircast_conformance.wire import Wire
    from hub_server import RunningHub, StartHub

FORM = {"hub.channel.type": "websocket", "hub.topic": TOPIC}


async def stu2(hub: RunningHub) -> Wire:
    wire = await hub.client()
    wire.hub_url = f"{hub.origin}/fhircast/STU2"
    return wire


async def test_the_current_context_is_an_array(hub: RunningHub) -> None:
    """D-47: the current context only, its content item included; [] when there is none."""
    wire = await stu2(hub)
    socket = await wire.join(TOPIC)
    empty = await wire.get(TOPIC)
    assert (empty.status_code, empty.json()) == (200, [])
    assert empty.headers["content-type"] == "application/json"
    await wire.post(open_request())
    version = (await socket.followed())["event"]["context.versionId"]
    await wire.post(update_request(version, put(OBSERVATION)))
    [shown] = (await wire.get(TOPIC)).json()
    view = await hub.wire.context(TOPIC)
    assert shown == {
        "contextType": "DiagnosticReport",
        "context.versionId": view["context.versionId"],
        "context": view["context"],
    }
    assert shown["context"][-1]["resource"]["entry"][0]["resource"] == OBSERVATION


async def test_a_session_of_an_stu2_client(hub: RunningHub) -> None:
    """OLD-01, D-30, D-47: lower-case names, no name of its own, old fields, from start to end."""
    wire = await stu2(hub)
    asked = await wire.form(
        {
            **FORM,
            "hub.mode": "subscribe",
            "hub.events": "patient-open,patient-close",
            "hub.callback": "",
            "hub.secret": "s",
            "hub.subscriber": "Old",
            "hub.lease": "86400",
        }
    )
    assert asked.status_code == 202
    endpoint = asked.json()["hub.channel.endpoint"]
    assert "/fhircast/STU2/ws/" in endpoint
    socket = await (await wire.connect(endpoint)).confirmed()
    assert socket.confirmation["hub.events"] == "patient-open,patient-close"
    assert socket.confirmation["hub.lease_seconds"] == 86_400
    sent = patient_request(event="patient-open")
    answer = await wire.http.post(f"{wire.hub_url}/{TOPIC}", json=sent)
    assert answer.status_code == 202
    assert (await socket.followed())["event"]["hub.event"] == "patient-open"
    left = await wire.form(
        {
            **FORM,
            "hub.mode": "unsubscribe",
            "endpoint": endpoint,
            "hub.events": "patient-*",
            "hub.lease_seconds": "x",
        }
    )
    assert (left.status_code, left.json()) == (202, {"hub.channel.endpoint": endpoint})
    assert await denied_and_closed(socket) == ("unsubscribed", 1000)


@pytest.mark.parametrize("channel", ["webhook", ""])
async def test_webhooks_are_refused(hub: RunningHub, channel: str) -> None:
    """OLD-03, D-47: and nothing is half made."""
    form = {
        **FORM,
        "hub.channel.type": channel,
        "hub.mode": "subscribe",
        "hub.events": "Patient-open",
        "hub.callback": "https://app.example/cb",
    }
    assert (await hub.wire.form(form)).status_code == 400
    assert (await hub.wire.get(TOPIC)).status_code == 404


async def test_the_mounts_are_a_setting(start_hub: StartHub) -> None:
    """D-47: other paths instead, in the form of STU2 where the path says so."""
    hub = await start_hub(mounts="/api/sync/fhircast,/old/stu2")
    await hub.wire.join(TOPIC)
    sync = await hub.wire.http.get(f"{hub.origin}/api/sync/fhircast/{TOPIC}")
    old = await hub.wire.http.get(f"{hub.origin}/old/stu2/{TOPIC}")
    assert (sync.json()["context"], old.json()) == ([], [])
    assert (await hub.wire.http.get(f"{hub.origin}/fhircast/STU3/{TOPIC}")).status_code == 404


@pytest.mark.parametrize("content_type", ["application/json", "application/fhir+json"])
@pytest.mark.parametrize("suffix", ["", f"/{TOPIC}"])
async def test_an_event_at_either_address(hub: RunningHub, content_type: str, suffix: str) -> None:
    """OLD-02: hub.url and hub.url/topic, both types; another topic in the path is 400."""
    await hub.wire.join(TOPIC, ["Patient-open"])
    headers = {"Content-Type": content_type}
    sent = patient_request()
    answer = await hub.wire.http.post(f"{hub.url}{suffix}", json=sent, headers=headers)
    assert answer.status_code == 202
    other = await hub.wire.http.post(f"{hub.url}/other", json=patient_request(), headers=headers)
    assert (other.status_code, other.text.split(":")[0]) == (400, "hub.topic")
