"""SyncErrors on the wire: refusals, missing responses, lost connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from websockets.exceptions import InvalidStatus
from wire_messages import (
    ALL_EVENTS,
    close_request,
    codings,
    denied_and_closed,
    only_marker_comes,
    open_request,
    patient_request,
    sync_error_request,
)

if TYPE_CHECKING:
    from fhircast_conformance.wire import Socket
    from hub_server import RunningHub, StartHub

WITHOUT_SYNC_ERROR = [event for event in ALL_EVENTS if event != "SyncError"]


async def two(hub: RunningHub) -> tuple[Socket, Socket]:
    """A viewer, and a dictation that will fail."""
    viewer = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    return viewer, await hub.wire.join(TOPIC, ALL_EVENTS, name="Dictation")


@pytest.mark.parametrize(
    ("status", "word"), [("409", "refused"), (422, "refused"), ("500", "fail"), (503, "fail")]
)
async def test_an_error_response_is_told_to_all(
    hub: RunningHub, status: str | int, word: str
) -> None:
    """ACK-03, SYNC-01 to SYNC-04, D-16: event, name, who; a refusal is no failure."""
    viewer, dictation = await two(hub)
    sent = open_request()
    await hub.wire.post(sent)
    await viewer.followed()
    await dictation.acknowledge(await dictation.next(), status)
    frame = await viewer.followed()
    assert list(codings(frame).items())[:3] == [
        ("eventid", sent["id"]),
        ("eventname", "DiagnosticReport-open"),
        ("subscribername", "Dictation"),
    ]
    (issue,) = frame["event"]["context"][0]["resource"]["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "processing")
    assert "Dictation" in issue["diagnostics"]
    assert ("refused" in issue["diagnostics"]) == (word == "refused")
    assert await dictation.next() == frame


async def test_an_error_response_leaves_the_context(hub: RunningHub) -> None:
    """RAD-154, IRA-HUB-15: the current context stays what was opened."""
    viewer, dictation = await two(hub)
    await hub.wire.post(open_request())
    before = await hub.wire.context(TOPIC)
    await dictation.acknowledge(await dictation.next(), "409")
    await viewer.followed()
    assert codings(await viewer.followed())["subscribername"] == "Dictation"
    assert await hub.wire.context(TOPIC) == before


@pytest.mark.parametrize("status", [200, "200", "202", 204, None])
async def test_a_success_says_nothing(hub: RunningHub, status: str | int | None) -> None:
    """ACK-02, ACK-05, D-04: number or string, or the id alone; late, twice or unknown too."""
    viewer, dictation = await two(hub)
    await hub.wire.post(patient_request(1))
    await hub.wire.post(patient_request(2))
    first, second = await dictation.next(), await dictation.next()
    await dictation.acknowledge(first, status)
    await dictation.acknowledge(first, "409")
    await dictation.acknowledge({"id": "unknown"}, "409")
    await dictation.acknowledge(second, "409")
    await viewer.followed()
    await viewer.followed()
    assert codings(await viewer.next())["eventid"] == second["id"]


@pytest.mark.parametrize("frame", [b"\x00\x01", "{", "[]", '"x"', "{}", '{"id":1}', "x" * 60_000])
async def test_frames_that_are_no_response_are_passed_over(
    hub: RunningHub, frame: str | bytes
) -> None:
    """GEN-02, D-38: nobody is disturbed, and the sender goes on."""
    viewer, dictation = await two(hub)
    await dictation.send(frame)
    await hub.wire.post(patient_request())
    await dictation.acknowledge(await dictation.next(), "409")
    await viewer.followed()
    assert codings(await viewer.followed())["subscribername"] == "Dictation"


async def test_a_frame_that_is_too_large_ends_only_its_sender(start_hub: StartHub) -> None:
    """D-22: close 1009, a SyncError for the rest."""
    viewer, dictation = await two(await start_hub(reconnect_grace_seconds="0"))
    await dictation.send("x" * 70_000)
    assert await dictation.close_code() == 1009
    assert codings(await viewer.next())["subscribername"] == "Dictation"


async def test_no_sync_error_about_a_sync_error(hub: RunningHub) -> None:
    """SYNC-14, D-20: a failing response to one is the end of it; two refusers make two."""
    viewer, dictation = await two(hub)
    await hub.wire.post(patient_request())
    for socket in (viewer, dictation):
        await socket.acknowledge(await socket.next(), "409")
    about = [await viewer.next(), await viewer.next()]
    assert {codings(it)["subscribername"] for it in about} == {"Viewer", "Dictation"}
    for frame in about:
        await viewer.acknowledge(frame, "500")
    last = patient_request(2)
    await hub.wire.post(last)
    await viewer.acknowledge(await viewer.next(), "409")
    assert codings(await viewer.next())["eventid"] == last["id"]


async def test_a_subscribers_sync_error_goes_to_all_that_want_it(hub: RunningHub) -> None:
    """SYNC-05, SYNC-10, RAD-156: same id, not to those who did not ask."""
    viewer, dictation = await two(hub)
    quiet = await hub.wire.join(TOPIC, WITHOUT_SYNC_ERROR)
    sent = sync_error_request("e-1")
    assert (await hub.wire.post(sent)).status_code == 202
    assert await viewer.followed() == await dictation.followed() == sent
    await only_marker_comes(hub.wire, quiet)


async def test_a_missing_response_is_told_in_its_time(start_hub: StartHub) -> None:
    """SYNC-08: not earlier than the time-out."""
    hub = await start_hub(ack_policy="strict", ack_timeout_seconds="0.5")
    viewer, _mute = await two(hub)
    sent, began = open_request(), asyncio.get_running_loop().time()
    await hub.wire.post(sent)
    await viewer.followed()
    frame = await viewer.followed()
    assert asyncio.get_running_loop().time() - began >= 0.5
    assert codings(frame)["eventid"] == sent["id"]
    assert codings(frame)["subscribername"] == "Dictation"


async def test_an_unresponsive_subscriber_is_ended(start_hub: StartHub) -> None:
    """SYNC-09, D-18: after so many missing responses in a row; then no more SyncErrors."""
    hub = await start_hub(ack_policy="strict", ack_timeout_seconds="0.4", unresponsive_after="2")
    viewer = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    mute = await hub.wire.join(TOPIC, ["Patient-open"], name="Dictation")
    for number in (1, 2):
        await hub.wire.post(patient_request(number))
        await viewer.followed()
        assert codings(await viewer.followed())["subscribername"] == "Dictation"
        await mute.next()
    assert await denied_and_closed(mute) == ("no acknowledgements", 1008)
    await only_marker_comes(hub.wire, viewer)


async def test_who_never_responds_is_left_alone(start_hub: StartHub) -> None:
    """D-41, adaptive: the time binds from the first response with a status."""
    hub = await start_hub(ack_timeout_seconds="0.05", unresponsive_after="1")
    silent = await hub.wire.join(TOPIC, ALL_EVENTS, name="Silent")
    judged = await hub.wire.join(TOPIC, ALL_EVENTS, name="Judged")
    first = patient_request(1)
    await hub.wire.post(first)
    await judged.acknowledge(await judged.next(), "409")
    await silent.next()
    assert codings(await silent.next())["eventid"] == first["id"]  # the response was seen
    await hub.wire.post(patient_request(2))
    await silent.next()
    assert codings(await silent.next())["subscribername"] == "Judged"
    await only_marker_comes(hub.wire, silent)


@pytest.mark.parametrize("code", [None, 1011, 4000])
async def test_a_lost_connection_is_told_at_once(start_hub: StartHub, code: int | None) -> None:
    """SYNC-06, D-45 without grace: exactly one SyncError, and the endpoint is retired."""
    hub = await start_hub(reconnect_grace_seconds="0")
    viewer, dictation = await two(hub)
    await (dictation.abort() if code is None else dictation.close(code))
    said = codings(await viewer.followed())
    assert (said["eventname"], said["subscribername"]) == ("syncerror", "Dictation")
    await only_marker_comes(hub.wire, viewer)
    again = await hub.wire.connect(dictation.endpoint)
    assert await denied_and_closed(again) == ("no such subscription", 1008)


@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_clean_close_is_no_incident(start_hub: StartHub, code: int) -> None:
    """SYNC-07, D-23: no SyncError; the endpoint may be joined again, and replays."""
    hub = await start_hub(reconnect_grace_seconds="0")
    viewer, dictation = await two(hub)
    await dictation.close(code)
    opened = open_request()
    await hub.wire.post(opened)
    back = await (await hub.wire.connect(dictation.endpoint)).confirmed()
    assert (await back.followed())["id"] == opened["id"]
    assert (await viewer.followed())["id"] == opened["id"]
    await only_marker_comes(hub.wire, viewer, back)


async def test_a_return_within_the_grace_gets_what_was_not_acknowledged(hub: RunningHub) -> None:
    """D-45: confirmation first, then each unanswered frame in order; no SyncError."""
    viewer, dictation = await two(hub)
    sent = [open_request(), patient_request(2), close_request()]
    await hub.wire.post(sent[0])
    await dictation.followed()
    await hub.wire.post(sent[1])
    await dictation.next()
    await dictation.abort()
    await hub.wire.post(sent[2])
    back = await (await hub.wire.connect(dictation.endpoint)).confirmed()
    assert [(await back.followed())["id"] for _ in range(2)] == [it["id"] for it in sent[1:]]
    assert [(await viewer.followed())["id"] for _ in sent] == [it["id"] for it in sent]
    await only_marker_comes(hub.wire, viewer, back)


async def test_a_grace_that_passes_is_one_sync_error(start_hub: StartHub) -> None:
    """D-45: one for the subscriber, none for each event that waited."""
    hub = await start_hub(reconnect_grace_seconds="0.2")
    viewer, dictation = await two(hub)
    await hub.wire.post(patient_request(1))
    await dictation.followed()
    await dictation.abort()
    await hub.wire.post(patient_request(2))
    await viewer.followed()
    await viewer.followed()
    assert codings(await viewer.followed())["eventname"] == "syncerror"
    await only_marker_comes(hub.wire, viewer)
    again = await hub.wire.connect(dictation.endpoint)
    assert (await denied_and_closed(again))[1] == 1008


async def test_the_newest_socket_wins(hub: RunningHub) -> None:
    """D-44: the older one is closed with 1008 and no denial; no SyncError."""
    viewer, dictation = await two(hub)
    newer = await (await hub.wire.connect(dictation.endpoint)).confirmed()
    assert await dictation.close_code() == 1008
    await only_marker_comes(hub.wire, viewer, newer)


@pytest.mark.parametrize("unknown", ["A" * 32, "x", "A" * 33, "A" * 31 + "%20"])
async def test_an_unknown_endpoint(hub: RunningHub, unknown: str) -> None:
    """D-43: well-formed: one denial, close 1008; malformed: 404."""
    endpoint = hub.url.replace("http", "ws") + f"/ws/{unknown}"
    if unknown == "A" * 32:
        assert (await denied_and_closed(await hub.wire.connect(endpoint)))[1] == 1008
    else:
        with pytest.raises(InvalidStatus) as refused:
            await hub.wire.connect(endpoint)
        assert refused.value.response.status_code == 404
