"""A session of the OHIF extension beside a conforming subscriber."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import TOPIC, case, item
from clients.field_client import events_of
from clients.neighbour import acknowledgements_fall_due
from clients.ohif import EVENTS, Ohif
from fhircast_hub.cli.token import mint_token
from wire_messages import close_request, codings, open_request, patient_request, request

if TYPE_CHECKING:
    from clients.conftest import ComeIn, MeetNeighbour
    from hub_server import RunningHub, StartHub

KEY = "a key for tests only, 32 characters and more"


def token_of(subject: str) -> str:
    return mint_token(KEY, scope="fhircast/*.*", subject=subject, client_id="viewer", seconds=600)


@pytest.mark.parametrize("mount", ["/api/hub", "/fhircast/STU3"])
@pytest.mark.parametrize("product_name", ["", "PHILIPS"])
async def test_a_reading_session(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour, mount: str, product_name: str
) -> None:
    """D-36, D-38, D-47, D-48, OLD-01, OLD-02: from its form to its unsubscribe by name."""
    neighbour = await meet_neighbour(hub.origin)
    ohif = await come_in(Ohif(hub.origin, TOPIC, mount=mount))
    ohif.product_name = product_name
    await ohif.subscribe()
    assert ohif.frames == [
        {
            "hub.mode": "subscribe",
            "hub.topic": TOPIC,
            "hub.events": ",".join(EVENTS),
            "hub.lease_seconds": 999,
        }
    ]
    sent = open_request(1)
    await neighbour.shares(sent)
    got = await ohif.next_event()
    assert (got["id"], got["event"]["hub.event"]) == (sent["id"], "diagnosticreport-open")
    answer = await ohif.publish("DiagnosticReport-open", *map(item, case(2)))
    assert answer.status_code == 202
    event = await neighbour.next_event()
    assert event["id"] == answer.json()["id"]
    assert event["id"].startswith("OHIF-")
    assert event["event"]["hub.event"] == "DiagnosticReport-open"
    await neighbour.nothing_but_a_marker_comes(ohif)
    assert (await ohif.unsubscribe()).json() == {"hub.channel.endpoint": ohif.endpoint}
    await neighbour.nothing_but_a_marker_comes()
    again = await hub.wire.connect(ohif.endpoint)
    assert (await again.next())["hub.mode"] == "denied"


@pytest.mark.parametrize("origin", ["https://viewer.example", "null"])
async def test_it_runs_in_a_page_of_any_origin(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour, origin: str
) -> None:
    """SEC-02: the endpoint is the ticket; neither Origin nor Authorization count on the upgrade."""
    neighbour = await meet_neighbour(hub.origin)
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    ohif.in_page_of(origin)
    await ohif.subscribe()
    await neighbour.nothing_but_a_marker_comes(ohif)


async def test_it_never_acknowledges(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-41: it is not thrown out for that, and nobody hears of trouble."""
    hub = await start_hub(ack_timeout_seconds="1", unresponsive_after="1")
    neighbour = await meet_neighbour(hub.origin)
    mute = await meet_neighbour(hub.origin, "Mute")
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    await ohif.subscribe()
    await acknowledgements_fall_due(neighbour, mute)
    assert [(await ohif.next_event())["event"]["hub.event"] for _ in range(3)] == [
        *["diagnosticreport-open"] * 2,
        "syncerror",
    ]
    await neighbour.nothing_but_a_marker_comes(ohif)


async def test_ira_with_the_adaptive_policy_admits_it(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-41, IRA-HUB-04: it has a name; only the strict policy of the profile would end it."""
    hub = await start_hub(
        profile="ira", ack_policy="adaptive", ack_timeout_seconds="1", unresponsive_after="1"
    )
    neighbour = await meet_neighbour(hub.origin)
    mute = await meet_neighbour(hub.origin, "Mute")
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    await ohif.subscribe()
    await acknowledgements_fall_due(neighbour, mute)
    await neighbour.shares(close_request(1))
    assert [(await ohif.next_event())["event"]["hub.event"] for _ in range(4)] == [
        *["diagnosticreport-open"] * 2,
        "syncerror",
        "diagnosticreport-close",
    ]


async def test_it_reads_by_position(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-31, GEN-04: the order of the context and fields of no profile come through, in GET too."""
    report, patient, study = case(1)
    context = [item(report), item(patient), {**item(study | {"uid": "2.999.9.1"}), "x": [1]}]
    context.append({"key": "conference", "resource": {"resourceType": "Basic", "id": "c-1"}})
    neighbour = await meet_neighbour(hub.origin)
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    await ohif.subscribe()
    await neighbour.shares(request("DiagnosticReport-open", *context))
    event = (await ohif.next_event())["event"]
    assert event["context"] == context
    assert event["context"][2]["resource"]["uid"] == "2.999.9.1"
    assert (await ohif.get_context())["context"][:4] == context


async def test_it_subscribes_anew_after_a_lost_connection(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-45: events do not double, and the old subscription goes with one SyncError."""
    hub = await start_hub(reconnect_grace_seconds="0.5")
    neighbour = await meet_neighbour(hub.origin)
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    await ohif.subscribe()
    await ohif.drop_socket()
    await ohif.is_closed()
    old_endpoint = ohif.endpoint
    await ohif.ten_seconds_pass()
    assert ohif.endpoint != old_endpoint
    sent = open_request(1)
    await neighbour.publish(sent)
    told = {it["event"]["hub.event"]: it for it in [await neighbour.next_event() for _ in range(2)]}
    assert codings(told["SyncError"])["subscribername"] == ohif.name
    got = {(await ohif.next_event())["event"]["hub.event"] for _ in range(2)}
    assert got == {"diagnosticreport-open", "syncerror"}
    await neighbour.nothing_but_a_marker_comes(ohif)
    assert events_of(ohif.frames).count(sent["id"]) == 1
    again = await hub.wire.connect(old_endpoint)
    assert (await again.next())["hub.mode"] == "denied"


async def test_it_subscribes_anew_at_the_end_of_its_lease(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """CONF-03, REP-01: the denial means nothing to it; it comes back and gets the open context."""
    neighbour = await meet_neighbour(hub.origin)
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    ohif.lease = "1"
    await ohif.subscribe()
    sent = open_request(1)
    await neighbour.shares(sent)
    await ohif.next_event()
    await ohif.is_closed()
    await ohif.ten_seconds_pass()
    assert (await ohif.next_event())["id"] == sent["id"]
    await neighbour.nothing_but_a_marker_comes(ohif)


async def test_its_name_is_its_own_among_names(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-48: other names of the topic, and the same name in another topic, go on."""
    neighbour = await meet_neighbour(hub.origin)
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    elsewhere = await come_in(Ohif(hub.origin, "another"))
    elsewhere.name = ohif.name
    await ohif.subscribe()
    await elsewhere.subscribe()
    assert (await ohif.unsubscribe()).status_code == 202
    await neighbour.nothing_but_a_marker_comes()
    moved = patient_request(topic="another")
    assert (await hub.wire.post(moved)).status_code == 202
    assert (await elsewhere.next_event())["id"] == moved["id"]


async def test_an_ambiguous_name_ends_nobody(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-48, D-51: two of one name: 400; and a close without a code is a lost connection."""
    hub = await start_hub(reconnect_grace_seconds="0.1")
    neighbour = await meet_neighbour(hub.origin)
    one, two = [await come_in(Ohif(hub.origin, TOPIC)) for _ in range(2)]
    one.name = two.name
    await one.subscribe()
    await two.subscribe()
    refused = await one.unsubscribe()
    assert (refused.status_code, refused.text.split(":")[0]) == (400, "hub.channel.endpoint")
    for client in (neighbour, two):
        assert (await client.next_event())["event"]["hub.event"].lower() == "syncerror"
    await neighbour.nothing_but_a_marker_comes(two)


async def test_a_nameless_one_ends_nobody(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-48: no name is 400 even for the only subscription there is; it was given one (D-36)."""
    hub = await start_hub(reconnect_grace_seconds="0.1")
    neighbour = await meet_neighbour(hub.origin)
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    ohif.name = ""
    await ohif.subscribe()
    assert (await ohif.unsubscribe()).status_code == 400
    assert codings(await neighbour.next_event())["subscribername"].startswith("anonymous-")
    await neighbour.nothing_but_a_marker_comes()


async def test_the_same_name_of_another_subject_is_not_meant(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-48: resolved among the caller's own subscriptions; a stranger's is never touched."""
    hub = await start_hub(auth="jwt", jwt_key=KEY)
    neighbour = await meet_neighbour(hub.origin, token=token_of("neighbour"))
    mine = await come_in(Ohif(hub.origin, TOPIC, token=token_of("me")))
    theirs = await come_in(Ohif(hub.origin, TOPIC, token=token_of("them")))
    theirs.name = mine.name
    await mine.subscribe()
    await theirs.subscribe()
    assert (await mine.unsubscribe()).json() == {"hub.channel.endpoint": mine.endpoint}
    await neighbour.nothing_but_a_marker_comes(theirs)
    assert (await mine.unsubscribe()).status_code == 400
    await neighbour.nothing_but_a_marker_comes(theirs)


async def test_its_measurement_is_refused_in_words(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-49, EVT-14: without the dialect 400 says what is missing, and nothing changes."""
    neighbour = await meet_neighbour(hub.origin)
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    await ohif.subscribe()
    version = await neighbour.shares(open_request(1))
    refused = await ohif.publish_measurement("m-1")
    assert (refused.status_code, refused.text.splitlines()[0]) == (400, "context.report: missing")
    await neighbour.nothing_but_a_marker_comes()
    assert (await ohif.get_context())["context.versionId"] == version
