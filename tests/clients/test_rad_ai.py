"""A session of Rad AI's client beside a conforming subscriber."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from builders import TOPIC, case, item, observation, put
from clients.field_client import now_z
from clients.neighbour import acknowledgements_fall_due
from clients.rad_ai import EVENTS, RadAi
from clients.rad_ai_schema import problems
from wire_messages import (
    close_request,
    codings,
    open_request,
    patient_request,
    request,
    sync_error_request,
    update_request,
)

if TYPE_CHECKING:
    from builders import Json
    from clients.conftest import ComeIn, MeetNeighbour
    from hub_server import RunningHub, StartHub

KEY = "a key for tests only, 32 characters and more"


def open_for_rad_ai(number: int = 1) -> Json:
    """An open as a conforming peer sends it, with all that the validator wants to see."""
    report, patient, study = case(number)
    report["imagingStudy"] = report.pop("study")
    study |= {"description": "CT chest", "started": now_z()}
    items = [item(it) for it in (report, patient, study)]
    return request("DiagnosticReport-open", *items, id=str(uuid4()))


async def test_a_listening_session(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-36, D-41, D-47, D-50, OLD-01: only its events reach it, every one of them valid.

    What the hub itself says, to others, would fit too but for its name and key.
    """
    neighbour = await meet_neighbour(hub.origin)
    await neighbour.shares(open_for_rad_ai(1))
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    await rad_ai.join()
    assert rad_ai.subscribed
    assert rad_ai.frames[0]["hub.events"] == ",".join(EVENTS)
    refused = open_for_rad_ai(2)
    neighbour.refuses = "409"
    await neighbour.shares(refused)
    error = await neighbour.next_event()
    assert codings(error)["eventid"] == refused["id"]
    assert problems(error, ["SyncError"]) == ["context: operationoutcome"]
    await neighbour.shares(sync_error_request(refused["id"]))
    await neighbour.shares(close_request(2))
    await neighbour.shares(patient_request(3, id=str(uuid4())))
    names = [(await rad_ai.next_event())["event"]["hub.event"] for _ in range(3)]
    assert names == ["DiagnosticReport-open", "DiagnosticReport-open", "Patient-open"]
    assert rad_ai.invalid == []
    assert len(rad_ai.frames) == 4


async def test_ids_and_times_of_others_pass_unchanged(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-50: what its schema rejects in them is their sender's; the hub rewrites nothing."""
    neighbour = await meet_neighbour(hub.origin)
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    await rad_ai.join()
    message = patient_request(1, id="OHIF-1")
    message["timestamp"] = message["timestamp"].replace("Z", "+00:00")
    await neighbour.shares(message)
    got = await rad_ai.next_event()
    assert (got["id"], got["timestamp"]) == ("OHIF-1", message["timestamp"])
    assert rad_ai.invalid == [f"id: {message['id']}", f"timestamp: {message['timestamp']}"]


async def test_an_update_of_the_standard_does_not_fit_its_schema(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """CONT-08: it wants the report whole where 3.0.0 has a reference; it is shown all the same."""
    neighbour = await meet_neighbour(hub.origin)
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    await rad_ai.join()
    version = await neighbour.shares(open_for_rad_ai(1))
    await neighbour.shares(update_request(version, put(observation("ob-1")), id=str(uuid4())))
    await rad_ai.next_event()
    assert (await rad_ai.next_event())["event"]["hub.event"] == "DiagnosticReport-update"
    assert rad_ai.invalid == ["report.resource: missing"]


async def test_it_never_acknowledges(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-41: it is not thrown out for that, and nobody hears of trouble."""
    hub = await start_hub(ack_timeout_seconds="1", unresponsive_after="1")
    neighbour = await meet_neighbour(hub.origin)
    mute = await meet_neighbour(hub.origin, "Mute")
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    await rad_ai.join()
    await acknowledgements_fall_due(neighbour, mute)
    last = open_request(3)
    await neighbour.shares(last)
    assert [(await rad_ai.next_event())["id"] for _ in range(3)][-1] == last["id"]
    await neighbour.nothing_but_a_marker_comes()


async def test_it_does_not_see_that_its_socket_is_closed(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-45: after the grace the others hear of it once, and later events raise nothing more."""
    hub = await start_hub(reconnect_grace_seconds="0.1")
    neighbour = await meet_neighbour(hub.origin)
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    await rad_ai.join()
    await rad_ai.drop_socket()
    assert codings(await neighbour.next_event())["subscribername"].startswith("anonymous-")
    await neighbour.shares(open_request(1))
    await neighbour.nothing_but_a_marker_comes()


async def test_it_has_no_token(start_hub: StartHub, come_in: ComeIn) -> None:
    """SUB-10, SUB-13: a hub with authentication says so; such a client needs a proxy before it."""
    hub = await start_hub(auth="jwt", jwt_key=KEY)
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    refused = await rad_ai.subscribe()
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.text.splitlines()[0] == "Authorization: a bearer token is needed"


async def test_what_it_publishes_is_refused_in_words(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-49, EVT-12, EVT-14: each answer names what is wrong, and nobody is told of anything."""
    neighbour = await meet_neighbour(hub.origin)
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    await rad_ai.join()
    report, patient, study = case(1)
    await neighbour.shares(open_request(1))
    for reason, answer in [
        ("context.report: missing", await rad_ai.publish_open(item(patient), item(study))),
        ("context.patient: missing", await rad_ai.publish_open(item(report), item(study))),
        ("hub.event: neither", await rad_ai.publish_opened()),
        ("context.report: missing", await rad_ai.publish_update("partial")),
    ]:
        assert (answer.status_code, answer.text[: len(reason)]) == (400, reason)
    assert (await rad_ai.next_event())["event"]["hub.event"] == "DiagnosticReport-open"
    await neighbour.nothing_but_a_marker_comes()


async def test_a_whole_open_of_its_own_is_accepted(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """CONT-02, OLD-02: the empty version of its open gives way to the hub's."""
    neighbour = await meet_neighbour(hub.origin)
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    await rad_ai.join()
    answer = await rad_ai.publish_open(*open_for_rad_ai(1)["event"]["context"])
    assert answer.status_code == 202
    for client in (neighbour, rad_ai):
        event = (await client.next_event())["event"]
        assert event["context.versionId"] == answer.json()["context.versionId"] != ""
    assert rad_ai.invalid == []
