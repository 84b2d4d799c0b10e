"""Subscribers that vanish or fall silent: section 2.5, rows SYNC-06 to SYNC-09."""

from __future__ import annotations

from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

from fhircast_conformance.check import Blocked, NotApplicable, check, expect, fail
from fhircast_conformance.messages import new_case
from fhircast_conformance.reading import name_of, names
from fhircast_conformance.steps import acknowledging, join_otherwise, seen
from fhircast_conformance.steps import sync_error as told

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json
    from fhircast_conformance.wire import Socket

_EVENTS = ("Patient-open", "SyncError")


def _grace(bench: Bench) -> float:
    return bench.timers.grace + bench.timers.silence


def _two_limits(bench: Bench) -> float:
    return 2 * (bench.timers.ack + bench.timers.silence)


async def _mute_pair(bench: Bench) -> tuple[Socket, Socket]:
    """Return A, who follows all, and B, who acknowledged one event and will fall silent."""
    b = await acknowledging(bench, "B", _EVENTS)
    a = await bench.join("A", _EVENTS)
    return a, b


async def _missed(bench: Bench, a: Socket, times: int = 1) -> list[Json]:
    """Send events that B does not acknowledge and return the SyncErrors about it.

    Raises:
        NotApplicable: The hub does not announce missing responses, which it may do.
    """
    for _ in range(times):
        await seen(bench, a, new_case().opens_patient(bench.topic))
    await bench.pause(bench.timers.ack)
    try:
        return [await told(bench, a) for _ in range(times)]
    except Blocked:
        raise NotApplicable("the hub does not announce missing responses (SYNC-08)") from None


@check("SYNC-06", title="A connection that breaks is announced", patience=_grace)
async def lost_connection_is_announced(bench: Bench) -> None:
    a, b = await bench.join("A", _EVENTS), await bench.join("B", _EVENTS)
    await b.abort()
    await bench.pause(bench.timers.grace)
    await bench.expect_frame(a, "SyncError")


@check("SYNC-06", title="A socket closed with 1011 or 4000 is announced", patience=_grace)
async def abnormal_close_code_is_announced(bench: Bench) -> None:
    a, b, c = [await bench.join(name, _EVENTS) for name in "ABC"]
    await b.close(1011)
    await c.close(4000)
    await bench.pause(bench.timers.grace)
    for _ in range(2):
        await bench.expect_frame(a, "SyncError")


async def _closes_normally(bench: Bench, code: int) -> None:
    a, b = await bench.join("A", _EVENTS), await bench.join("B", _EVENTS)
    await b.close(code)
    await bench.pause(_grace(bench))
    await bench.expect_silence(a, why=f"B closed with {code}, which makes no SyncError")


@check("SYNC-07", title="A socket closed with 1000 makes no SyncError", patience=_grace)
async def normal_close_is_no_error(bench: Bench) -> None:
    await _closes_normally(bench, 1000)


@check("SYNC-07", title="A socket closed with 1001 makes no SyncError", patience=_grace)
async def going_away_is_no_error(bench: Bench) -> None:
    await _closes_normally(bench, 1001)


@check("SYNC-08", title="A missing response is announced", patience=_two_limits)
async def missing_response_is_announced(bench: Bench) -> None:
    a, _ = await _mute_pair(bench)
    await seen(bench, a, new_case().opens_patient(bench.topic))
    await bench.pause(bench.timers.ack)
    await bench.expect_frame(a, "SyncError")


@check("SYNC-08", title="A response within the time is no failure", patience=_two_limits)
async def response_in_time_is_no_failure(bench: Bench) -> None:
    a, b = await _mute_pair(bench)
    await seen(bench, a, new_case().opens_patient(bench.topic))
    frame = await b.next()
    await bench.pause(bench.timers.ack / 2)
    await b.acknowledge(frame)
    await bench.expect_silence(a, why=f"B has {bench.timers.ack:g} s to answer and took half")


@check("D-19", title="The time is a tenth of the lease if that is less", patience=_two_limits)
async def short_lease_shortens_the_time(bench: Bench) -> None:
    asked = round(bench.timers.ack * 5)
    c = await acknowledging(bench, "C", _EVENTS)
    b = await bench.join("B", _EVENTS, hub__lease_seconds=str(asked))
    await bench.frame(b)  # the open that C knows; so B, too, has acknowledged one
    if b.confirmation["hub.lease_seconds"] != asked:
        raise NotApplicable("the hub does not grant the lease that the check asks for")
    a = await bench.join("A", _EVENTS)
    told_of = await _missed_by(bench, a, b, c)
    order = [name for it in told_of for name in "BC" if names(it, name)]
    if sorted(order) != ["B", "C"]:
        raise Blocked("the SyncErrors do not say whom they are about (SYNC-04)")
    expect(order == ["B", "C"], "B, whose lease is short, must be announced before C")


async def _missed_by(bench: Bench, a: Socket, *mute: Socket) -> list[Json]:
    """Return the SyncErrors about one event that these subscribers do not acknowledge."""
    await seen(bench, a, new_case().opens_patient(bench.topic))
    for socket in mute:
        await socket.next()
    await bench.pause(bench.timers.ack)
    try:
        return [await told(bench, a) for _ in mute]
    except Blocked:
        raise NotApplicable("the hub does not announce missing responses (SYNC-08)") from None


@check("SYNC-09", title="A subscriber that does not answer is unsubscribed", patience=_two_limits)
async def unresponsive_subscriber_is_ended(bench: Bench) -> None:
    a, b = await _mute_pair(bench)
    await _missed(bench, a, bench.timers.unresponsive_after)
    await _expect_end(bench, b)
    await seen(bench, a, new_case().opens_patient(bench.topic))
    await bench.pause(bench.timers.ack + bench.timers.silence)
    await bench.expect_silence(a, why="B is no subscriber any more, so nothing is missing")


async def _expect_end(bench: Bench, socket: Socket) -> None:
    """Judge that a subscriber gets nothing more but, perhaps, a denial, and then the close."""
    try:
        while True:
            await socket.next(within=bench.timers.answer)
    except ConnectionClosed:
        return
    except TimeoutError:
        fail(f"{socket.name} did not answer and is still subscribed")


@check(
    "D-18",
    title="Fewer missing responses do not end it; an answer begins the count anew",
    patience=lambda bench: 2 * _two_limits(bench),
)
async def answer_begins_the_count_anew(bench: Bench) -> None:
    few = bench.timers.unresponsive_after - 1
    b = await acknowledging(bench, "B", ["Patient-open"])  # no SyncErrors that it might miss, too
    a = await join_otherwise(bench, "A", _EVENTS)
    for _ in range(2):
        await _missed(bench, a, few)
        event = new_case().opens_patient(bench.topic)
        await seen(bench, a, event)
        await _expect_delivery(bench, b, event)


async def _expect_delivery(bench: Bench, socket: Socket, event: Json) -> None:
    """Judge that a subscriber gets an event, behind frames that it never read; acknowledge it."""
    try:
        frame = await socket.next(within=bench.timers.answer)
        while frame.get("id") != event["id"]:
            frame = await socket.next(within=bench.timers.answer)
    except (ConnectionClosed, TimeoutError):
        fail(f"{socket.name} answered in between and must still be subscribed")
    await socket.acknowledge(frame)


@check("D-41", title="A response without a status is a receipt, no failure", patience=_two_limits)
async def response_without_status_is_a_receipt(bench: Bench) -> None:
    a, b = await _mute_pair(bench)
    await seen(bench, a, new_case().opens_patient(bench.topic))
    await b.acknowledge(await b.next(), None)
    await bench.pause(bench.timers.ack + bench.timers.silence)
    await bench.expect_silence(a, why="B answered with the id alone")


@check(
    "D-41",
    title="Who never acknowledged is announced from the start",
    only="ira",
    patience=_two_limits,
)
async def rule_binds_from_the_start(bench: Bench) -> None:
    a, _ = await bench.join("A", _EVENTS), await bench.join("B", _EVENTS)
    await seen(bench, a, new_case().opens_patient(bench.topic))
    await bench.pause(bench.timers.ack)
    await bench.expect_frame(a, "SyncError")


@check("D-41", title="Who never acknowledged is not thrown out", only="base", patience=_two_limits)
async def rule_binds_from_the_first_response(bench: Bench) -> None:
    a, b = await bench.join("A", _EVENTS), await bench.join("B", _EVENTS)
    for _ in range(bench.timers.unresponsive_after):
        await seen(bench, a, new_case().opens_patient(bench.topic))
    await bench.pause(bench.timers.ack + bench.timers.silence)
    event = new_case().opens_patient(bench.topic)
    await bench.publish(event)
    frame = await bench.frame(a)
    if name_of(frame) == "syncerror":
        raise NotApplicable("the hub is set to bind every subscriber from the start (strict)")
    await _expect_delivery(bench, b, event)
