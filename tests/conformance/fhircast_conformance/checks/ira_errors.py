"""IHE IRA: notifications and SyncErrors (RAD-154 to RAD-156)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from fhircast_conformance.check import check, expect
from fhircast_conformance.messages import item, message, new_case, sync_error
from fhircast_conformance.reading import coding_list, shows
from fhircast_conformance.steps import acknowledging, is_confirmed, seen, unacknowledged
from fhircast_conformance.steps import sync_error as told
from fhircast_conformance.wire import REPORT_EVENTS

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json
    from fhircast_conformance.wire import Socket


def _grace(bench: Bench) -> float:
    return bench.timers.grace


def _limit(bench: Bench) -> float:
    return bench.timers.ack


def _two_pings(bench: Bench) -> float:
    return 2 * bench.timers.ping + bench.timers.grace


async def _three(bench: Bench) -> tuple[Socket, Socket, Socket]:
    """Return A and C, who follow all, and B, who will not."""
    a, b, c = [await bench.join(name, REPORT_EVENTS) for name in "ABC"]
    return a, b, c


async def _opened(bench: Bench, *following: Socket) -> Json:
    """Open a report that these subscribers follow."""
    event = new_case().opens(bench.topic)
    await bench.publish(event)
    for socket in following:
        await bench.frame(socket)
    return event


@check("IRA-HUB-15", title="Every subscriber gets a notification of its own")
async def each_subscriber_has_its_notification(bench: Bench) -> None:
    sockets = await _three(bench)
    event = new_case().opens(bench.topic)
    await bench.publish(event)
    for socket in sockets:
        await bench.expect_frame(socket, event)
    await bench.expect_silence(*sockets, why="one notification for each subscriber is due")


@check("IRA-HUB-15", title="A subscriber's error does not change the current context")
async def error_changes_no_context(bench: Bench) -> None:
    a, b, _ = await _three(bench)
    case = new_case()
    await seen(bench, a, case.opens(bench.topic))
    await b.acknowledge(await unacknowledged(bench, b), "409")
    await told(bench, a)
    expect(shows(await bench.context(), case.report), "the refused report is no longer current")


@check("IRA-HUB-16", title="A subscriber's error is announced to all")
async def error_is_announced_to_all(bench: Bench) -> None:
    a, b, c = await _three(bench)
    await _opened(bench, a, c)
    await b.acknowledge(await unacknowledged(bench, b), "500")
    for socket in (a, c):
        await bench.expect_frame(socket, "SyncError")


@check("IRA-HUB-16", title="A missing response is announced to all", patience=_limit)
async def missing_response_is_announced_to_all(bench: Bench) -> None:
    a, _, c = await _three(bench)
    await _opened(bench, a, c)
    await bench.pause(bench.timers.ack)
    for socket in (a, c):
        await bench.expect_frame(socket, "SyncError")


@check("IRA-HUB-16", title="A lost connection is announced to all", patience=_grace)
async def lost_connection_is_announced_to_all(bench: Bench) -> None:
    a, b, c = await _three(bench)
    await b.abort()
    await bench.pause(bench.timers.grace)
    for socket in (a, c):
        await bench.expect_frame(socket, "SyncError")


@check("IRA-HUB-17", title="Codings in order: event id, event name, subscriber")
async def codings_name_event_and_subscriber(bench: Bench) -> None:
    a, b, _ = await _three(bench)
    event = await _opened(bench, a)
    await b.acknowledge(await unacknowledged(bench, b), "409")
    codes = [code for _, code in coding_list(await told(bench, a))]
    codes[1:2] = [codes[1].lower()]
    due = [event["id"], "diagnosticreport-open", "B"]
    expect(codes[:3] == due, f"the codes are {codes}, not {due}")


@check(
    "IRA-HUB-17",
    title="No event is involved: an id of the hub's, `syncerror`, the subscriber",
    patience=_grace,
)
async def codings_without_an_event(bench: Bench) -> None:
    a, b, _ = await _three(bench)
    await b.abort()
    await bench.pause(bench.timers.grace)
    codes = [code for _, code in coding_list(await told(bench, a))]
    expect(codes[0], "the first code must be a generated id")
    expect(codes[1:3] == ["syncerror", "B"], f"the codes are {codes}")


@check(
    "IRA-HUB-18", title="Who answers no ping is announced, and unsubscribed", patience=_two_pings
)
async def frozen_peer_is_noticed(bench: Bench) -> None:
    a, b, _ = await _three(bench)
    b.freeze()
    await bench.pause(2 * bench.timers.ping + bench.timers.grace)
    try:
        await bench.expect_frame(a, "SyncError", "a frozen subscriber must be announced")
        expect(not await is_confirmed(bench, b.endpoint), "B is still subscribed")
    finally:
        await b.abort()


@check("IRA-HUB-18", title="Who answers pings stays subscribed", patience=_two_pings)
async def living_peer_is_kept(bench: Bench) -> None:
    a = await acknowledging(bench, "A", [*REPORT_EVENTS, "Patient-open"])
    await bench.pause(3 * bench.timers.ping)
    await bench.expect_silence(a, why="nobody is lost")


@check("IRA-HUB-19", title="A SyncError without an OperationOutcome is 400")
async def sync_error_without_outcome_is_400(bench: Bench) -> None:
    a, _, _ = await _three(bench)
    for context in ([], [item("operationoutcome", {"resourceType": "Parameters"})]):
        event = message(bench.topic, "SyncError", context)
        bench.expect_refused(await bench.wire.post(event), 400, why="it says nothing")
    await seen(bench, a, sync_error(bench.topic, "an-event", "DiagnosticReport-open", "A"))


@check("IRA-HUB-19", title="A SyncError that lacks one of the three codings is 400")
async def sync_error_without_codings_is_400(bench: Bench) -> None:
    a, _, _ = await _three(bench)
    right = sync_error(bench.topic, "an-event", "DiagnosticReport-open", "A")
    for index, what in enumerate(("eventid", "eventname", "subscribername")):
        event = copy.deepcopy(right) | {"id": f"{right['id']}-{index}"}
        outcome = event["event"]["context"][0]["resource"]
        del outcome["issue"][0]["details"]["coding"][index]
        bench.expect_refused(await bench.wire.post(event), 400, why=f"no coding of {what}")
    await seen(bench, a, right)
