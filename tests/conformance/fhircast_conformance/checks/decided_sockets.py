"""What the texts leave open about sockets and endpoints: D-23, D-38, D-43, D-44."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed, InvalidStatus

from fhircast_conformance.check import Blocked, check, expect, fail
from fhircast_conformance.messages import new_case
from fhircast_conformance.refusing import another_endpoint
from fhircast_conformance.watching import close_code, events_in, next_of, only, received

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json
    from fhircast_conformance.wire import Socket

_TRIES = 3


async def _rejoin(bench: Bench, endpoint: str) -> Socket:
    """Connect to an endpoint once more and read the confirmation.

    Raises:
        Failed: It does not confirm.
    """
    try:
        socket = await bench.wire.connect(endpoint, "A")
        socket.confirmation = await socket.next(within=bench.timers.answer)
    except InvalidStatus as refused:
        fail(f"the endpoint must be joined again; it answers {refused.response.status_code}")
    except ConnectionClosed:
        fail("the endpoint must be joined again; the hub closes the socket")
    expect(socket.confirmation.get("hub.mode") != "denied", "the endpoint must be joined again")
    return socket


async def _denied(bench: Bench, endpoint: str) -> tuple[Json, int]:
    """Return the one frame that a dead endpoint sends, and the close code.

    Raises:
        Failed: The upgrade is refused.
    """
    try:
        socket = await bench.wire.connect(endpoint, "latecomer")
    except InvalidStatus as refused:
        fail(f"the upgrade must be taken and denied; it is {refused.response.status_code}")
    return await bench.expect_denial(socket), await close_code(bench, socket)


@check("D-23", title="Who closed with 1000 or 1001 may join again at the endpoint")
async def orderly_close_may_be_joined_again(bench: Bench) -> None:
    for code in (1000, 1001):
        a = await bench.join("A", ["Patient-open"])
        await a.close(code)
        await _rejoin(bench, a.endpoint)


@check("D-23", title="Who joins again is confirmed and sent the contexts that are open")
async def joined_again_gets_open_contexts(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    await a.close()
    await bench.publish(new_case().opens_patient(bench.topic))
    a = await _rejoin(bench, a.endpoint)
    expect(len(only(await received(bench, a), "Patient-open")) == 1, "the open patient must come")


@check("D-23", title="An orderly close is no error, and nothing is held against who left")
async def orderly_close_is_no_error(bench: Bench) -> None:
    b = await bench.join("B", ["SyncError"])
    a = await bench.join("A", ["Patient-open"])
    await a.close(1001)
    await bench.publish(new_case().opens_patient(bench.topic))
    frames = only(await received(bench, b), "SyncError")
    expect(not frames, "a SyncError came about who left")


@check("D-43", title="An endpoint that ended takes the upgrade, denies and closes with 1008")
async def ended_endpoint_is_denied(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    await bench.leave(a)
    frame, code = await _denied(bench, a.endpoint)
    expect({"hub.topic", "hub.events"} <= frame.keys(), "hub.topic or hub.events is missing")
    expect(code == 1008, f"the close code is {code}")


@check("D-43", title="An endpoint that never was takes the upgrade, denies and closes with 1008")
async def unknown_endpoint_is_denied(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    frame, code = await _denied(bench, another_endpoint(a.endpoint))
    expect(not events_in(frame), "the denial names events of another subscription")
    expect(code == 1008, f"the close code is {code}")


@check("D-43", title="A malformed endpoint is answered 404")
async def malformed_endpoint_is_not_found(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    try:
        await bench.wire.connect(a.endpoint + "x", "latecomer")
    except InvalidStatus as refused:
        code = refused.response.status_code
        expect(code == 404, f"the upgrade is answered {code}")
    else:
        fail("the upgrade is taken")


@check("D-44", title="The newest connection to an endpoint wins")
async def newest_connection_wins(bench: Bench) -> None:
    old = await bench.join("A", ["Patient-open"])
    new = await _rejoin(bench, old.endpoint)
    await bench.publish(new_case().opens_patient(bench.topic))
    frames = only(await received(bench, new), "Patient-open")
    expect(len(frames) == 1, f"one notification is due; {len(frames)} came")


@check("D-44", title="The older connection is closed with 1008, without a denial")
async def older_connection_is_closed(bench: Bench) -> None:
    old = await bench.join("A", ["Patient-open"])
    await _rejoin(bench, old.endpoint)
    code = await bench.expect_close(old)
    expect(code == 1008, f"the close code is {code}")


@check("D-44", title="What the older connection did not acknowledge is no error")
async def replaced_connection_is_no_error(bench: Bench) -> None:
    b = await bench.join("B", ["SyncError"])
    for _ in range(_TRIES):
        new, in_time = await _replaced_unanswered(bench)
        await received(bench, new)
        told = only(await received(bench, b), "SyncError")
        if in_time:
            break
    else:
        raise Blocked("too slow: the acknowledgement may have been missed before")
    expect(not told, "a SyncError came")


async def _replaced_unanswered(bench: Bench) -> tuple[Socket, bool]:
    """Replace a connection that owes an acknowledgement; tell whether that was in time."""
    old = await bench.join("A", ["Patient-open"])
    event = new_case().opens_patient(bench.topic)
    await received(bench, old)
    began = time.monotonic()
    await bench.publish(event)
    await next_of(bench, old, "Patient-open")  # and never acknowledges it
    new = await _rejoin(bench, old.endpoint)
    return new, time.monotonic() - began < bench.timers.ack * 0.9


@check("D-38", title="Frames that are no acknowledgement are passed over")
async def unknown_frames_are_passed_over(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    await a.send({"hub.channel.endpoint": a.endpoint})
    for stray in ("{", "[]", '"text"', "", b"\x00", '{"event": {}}', '{"id": null, "status": {}}'):
        await a.send(stray)
    await bench.publish(new_case().opens_patient(bench.topic))
    expect(only(await received(bench, a), "Patient-open"), "A gets no events any more")
