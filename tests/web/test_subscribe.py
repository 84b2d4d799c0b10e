"""Subscribing, on the wire: form, answer, endpoint, confirmation, lease, renewal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from wire_messages import ALL_EVENTS, denied_and_closed, only_marker_comes, patient_request

if TYPE_CHECKING:
    from hub_server import RunningHub, StartHub

SUBSCRIBE = {
    "hub.channel.type": "websocket",
    "hub.mode": "subscribe",
    "hub.topic": TOPIC,
    "hub.events": "Patient-open,Patient-close",
}


async def test_an_accepted_request_gets_202_and_an_endpoint(hub: RunningHub) -> None:
    """2.4, SUB-14: JSON with exactly the endpoint, a WebSocket URL."""
    answer = await hub.wire.form(SUBSCRIBE)
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["hub.channel.endpoint"]
    assert answer.json()["hub.channel.endpoint"].startswith("ws://127.0.0.1:")


async def test_endpoints_follow_the_public_url(start_hub: StartHub) -> None:
    """SUB-14: behind a proxy with TLS, the endpoint is a WSS URL of the public origin."""
    hub = await start_hub(public_url="https://hub.example.org/x", allow_insecure="1")
    wire = hub.wire
    wire.hub_url = f"{hub.origin}/api/hub"
    endpoint = (await wire.form(SUBSCRIBE)).json()["hub.channel.endpoint"]
    assert endpoint.startswith("wss://hub.example.org/x/api/hub/ws/")


async def test_endpoints_are_unguessable_and_differ(hub: RunningHub) -> None:
    """SUB-15: a new endpoint each time, with 192 random bits."""
    answers = [await hub.wire.form(SUBSCRIBE) for _ in range(20)]
    ids = {it.json()["hub.channel.endpoint"].rsplit("/", 1)[-1] for it in answers}
    assert len(ids) == 20
    assert {len(it) for it in ids} == {32}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hub.channel.type", ""),
        ("hub.channel.type", "webhook"),
        ("hub.mode", "foo"),
        ("hub.topic", ""),
        ("hub.events", ""),
        ("hub.events", "*-open"),
        ("hub.events", "Patient-*"),
        ("hub.lease_seconds", "0"),
        ("hub.lease_seconds", "-5"),
        ("hub.lease_seconds", "1.5"),
        ("hub.lease_seconds", "abc"),
        ("hub.topic", "x" * 10_000),
    ],
)
async def test_a_faulty_field_is_named(hub: RunningHub, field: str, value: str) -> None:
    """SUB-02 to SUB-04, SUB-07, SUB-08, SUB-13: 400 with plain text, and no topic is made."""
    answer = await hub.wire.form({**SUBSCRIBE, field: value})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.split(":")[0] == field
    assert (await hub.wire.get(TOPIC)).status_code == 404


async def test_a_missing_field_is_named(hub: RunningHub) -> None:
    """SUB-02 to SUB-04: each of the four is needed."""
    for field in SUBSCRIBE:
        answer = await hub.wire.form({key: it for key, it in SUBSCRIBE.items() if key != field})
        assert (answer.status_code, answer.text.split(":")[0]) == (400, field)


async def test_a_field_that_comes_twice_is_refused(hub: RunningHub) -> None:
    """SUB-05."""
    answer = await hub.wire.form([*SUBSCRIBE.items(), ("hub.topic", "another")])
    assert (answer.status_code, answer.text.split(":")[0]) == (400, "hub.topic")


async def test_unknown_fields_are_passed_over(hub: RunningHub) -> None:
    """D-47: also hub.callback beside a websocket channel."""
    answer = await hub.wire.form({**SUBSCRIBE, "hub.callback": "https://x.example", "foo": "1"})
    assert answer.status_code == 202


async def test_ira_wants_a_name(start_hub: StartHub) -> None:
    """IRA-HUB-04, RAD-146: subscriber.name may not be missing under the profile."""
    hub = await start_hub(profile="ira")
    answer = await hub.wire.form(SUBSCRIBE)
    assert (answer.status_code, answer.text.split(":")[0]) == (400, "subscriber.name")


async def test_the_confirmation_comes_first(hub: RunningHub) -> None:
    """CONF-01: mode, topic, events, lease as a number, and nothing else."""
    socket = await hub.wire.join(TOPIC, ["Patient-open", "SyncError"], hub__lease_seconds="77")
    assert socket.confirmation == {
        "hub.mode": "subscribe",
        "hub.topic": TOPIC,
        "hub.events": "Patient-open,SyncError",
        "hub.lease_seconds": 77,
    }


async def test_events_are_a_set_without_case(hub: RunningHub) -> None:
    """SUB-06, GEN-03, D-30: named once, notified once, in the first spelling."""
    socket = await hub.wire.join(TOPIC, ["patient-OPEN", "Patient-open", "org.example.marker"])
    assert socket.confirmation["hub.events"] == "patient-OPEN,org.example.marker"
    await hub.wire.post(patient_request())
    assert (await socket.next())["event"]["hub.event"] == "patient-OPEN"
    await only_marker_comes(hub.wire, socket)


async def test_leases_are_defaulted_and_capped(start_hub: StartHub) -> None:
    """SUB-08."""
    hub = await start_hub(lease_default_seconds="50", lease_max_seconds="60")
    by_default = await hub.wire.join(TOPIC)
    assert by_default.confirmation["hub.lease_seconds"] == 50
    capped = await hub.wire.join(TOPIC, hub__lease_seconds="7200")
    assert capped.confirmation["hub.lease_seconds"] == 60


async def test_legacy_field_names_are_read(hub: RunningHub) -> None:
    """D-47: `hub.lease` for the lease, `endpoint` for the endpoint."""
    socket = await hub.wire.join(TOPIC, hub__lease="99")
    assert socket.confirmation["hub.lease_seconds"] == 99
    answer = await hub.wire.subscribe(TOPIC, ["Patient-open"], endpoint=socket.endpoint)
    assert answer.json()["hub.channel.endpoint"] == socket.endpoint


async def test_a_renewal_replaces_the_events(hub: RunningHub) -> None:
    """SUB-11, SUB-12, D-12: same endpoint, confirmed at once, old events come no more."""
    socket = await hub.wire.join(TOPIC, ["Patient-open"])
    answer = await hub.wire.subscribe(
        TOPIC, ["Home-open", "org.example.marker"], hub__channel__endpoint=socket.endpoint
    )
    assert answer.json() == {"hub.channel.endpoint": socket.endpoint}
    assert (await socket.next())["hub.events"] == "Home-open,org.example.marker"
    await hub.wire.post(patient_request())
    await only_marker_comes(hub.wire, socket)


async def test_a_renewal_replays_what_it_newly_grants(hub: RunningHub) -> None:
    """D-12: the open context of a newly granted event follows the confirmation."""
    socket = await hub.wire.join(TOPIC, ["Home-open"])
    opened = patient_request()
    await hub.wire.post(opened)
    await hub.wire.subscribe(TOPIC, ["Patient-open"], hub__channel__endpoint=socket.endpoint)
    assert (await socket.next())["hub.mode"] == "subscribe"
    assert (await socket.next())["id"] == opened["id"]


async def test_a_renewal_restarts_the_lease(hub: RunningHub) -> None:
    """SUB-11, CONF-04: a renewed subscription outlives its first lease."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS, hub__lease_seconds="2")
    other = await hub.wire.join(TOPIC, ALL_EVENTS, hub__lease_seconds="2")
    await hub.wire.subscribe(TOPIC, ALL_EVENTS, hub__channel__endpoint=socket.endpoint)
    assert (await socket.next())["hub.lease_seconds"] == 7200
    assert await denied_and_closed(other) == ("lease ended", 1000)
    await only_marker_comes(hub.wire, socket)


@pytest.mark.parametrize("endpoint", ["wss://hub.example.org/ws/unknown", "x", "http://["])
async def test_a_renewal_of_an_unknown_endpoint_is_refused(hub: RunningHub, endpoint: str) -> None:
    """SUB-11."""
    answer = await hub.wire.subscribe(TOPIC, hub__channel__endpoint=endpoint)
    assert (answer.status_code, answer.text.split(":")[0]) == (400, "hub.channel.endpoint")


async def test_an_endpoint_of_another_topic_is_refused(hub: RunningHub) -> None:
    """SUB-11: and the subscription in its own topic goes on."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    answer = await hub.wire.subscribe("another", hub__channel__endpoint=socket.endpoint)
    assert answer.status_code == 400
    await only_marker_comes(hub.wire, socket)


async def test_the_end_of_the_lease(hub: RunningHub) -> None:
    """CONF-03, CONF-05, D-22, D-24: denial, close 1000, no SyncError; the endpoint is dead."""
    watcher = await hub.wire.join(TOPIC, ALL_EVENTS)
    events = ["Patient-open", "SyncError"]
    socket = await hub.wire.join(TOPIC, events, hub__lease_seconds="1")
    denial = await socket.next()
    assert denial == {
        "hub.mode": "denied",
        "hub.topic": TOPIC,
        "hub.events": "Patient-open,SyncError",
        "hub.reason": "lease ended",
    }
    assert await socket.close_code() == 1000
    await only_marker_comes(hub.wire, watcher)
    again = await hub.wire.connect(socket.endpoint)
    assert (await denied_and_closed(again))[1] == 1008


async def test_an_endpoint_that_nobody_uses_expires(start_hub: StartHub) -> None:
    """SEC-02: it counts against the bound of the topic only for its short life."""
    hub = await start_hub(endpoint_unused_seconds="1", max_subscribers_per_topic="1")
    unused = (await hub.wire.subscribe(TOPIC)).json()["hub.channel.endpoint"]
    answer = await hub.wire.subscribe(TOPIC)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    while (await hub.wire.subscribe(TOPIC)).status_code == 429:
        pass
    late = await hub.wire.connect(unused)
    assert (await denied_and_closed(late))[1] == 1008


async def test_topics_are_bounded(start_hub: StartHub) -> None:
    """D-40: a subscribe that would make one topic too many is refused."""
    hub = await start_hub(max_topics="1")
    assert (await hub.wire.subscribe("one")).status_code == 202
    assert (await hub.wire.subscribe("two")).status_code == 429
    assert (await hub.wire.subscribe("one")).status_code == 202
