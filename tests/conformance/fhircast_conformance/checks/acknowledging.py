"""Acknowledgements of subscribers, as the hub reads them: section 2.5, rows ACK."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from fhircast_conformance.check import check, expect
from fhircast_conformance.messages import new_case
from fhircast_conformance.watching import expect_sync_error, next_of, only, received

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json
    from fhircast_conformance.wire import Socket


async def _answered(bench: Bench, *statuses: str | int | None) -> tuple[Socket, Socket]:
    """Return A, who hears SyncErrors, and B, who got an event for each status and answered so."""
    a = await bench.join("A", ["SyncError"])
    b = await bench.join("B", ["Patient-open"])
    for status in statuses:
        await bench.publish(new_case().opens_patient(bench.topic))
        await b.acknowledge(await next_of(bench, b, "Patient-open"), status)
    return a, b


async def _expect_sync_error(bench: Bench, status: str) -> None:
    """Judge that a SyncError follows when B answers so."""
    a, _ = await _answered(bench, status)
    await expect_sync_error(bench, a, f"B answered {status}")


async def _sync_errors(bench: Bench, socket: Socket, seconds: float) -> list[Json]:
    """Return the SyncErrors that come within some time."""
    deadline = time.monotonic() + seconds
    frames = []
    with suppress(TimeoutError):
        while (left := deadline - time.monotonic()) > 0:
            frames.append(await socket.followed(within=left))
    return only(frames, "SyncError")


@check("ACK-03", title="409 of a subscriber makes a SyncError")
async def refusal_409_makes_a_sync_error(bench: Bench) -> None:
    await _expect_sync_error(bench, "409")


@check("ACK-03", title="Another 4xx of a subscriber makes a SyncError")
async def refusal_4xx_makes_a_sync_error(bench: Bench) -> None:
    await _expect_sync_error(bench, "422")


@check("ACK-03", title="500 of a subscriber makes a SyncError")
async def failure_500_makes_a_sync_error(bench: Bench) -> None:
    await _expect_sync_error(bench, "500")


@check("ACK-03", title="Another 5xx of a subscriber makes a SyncError")
async def failure_5xx_makes_a_sync_error(bench: Bench) -> None:
    await _expect_sync_error(bench, "503")


@check("ACK-03", title="A SyncError about a refusal reads otherwise than one about a failure")
async def refusal_and_failure_read_differently(bench: Bench) -> None:
    words = []
    for status in ("409", "500"):
        a, b = await bench.join("A", ["SyncError"]), await bench.join("B", ["Patient-close"])
        case = new_case()
        await bench.publish(case.opens_patient(bench.topic))
        event = case.closes_patient(bench.topic)
        await bench.publish(event)
        await b.acknowledge(await next_of(bench, b, "Patient-close"), status)
        frame = await next_of(bench, a, "SyncError")
        await a.acknowledge(frame)
        issue = frame["event"]["context"][0]["resource"]["issue"][0]
        words.append(str(issue.get("diagnostics", "")).replace(event["id"], ""))
        await bench.leave(a)
        await bench.leave(b)
    expect(words[0] != words[1], f"both read: {words[0]}")


@check(
    "ACK-05",
    title="Statuses as number or text, and answers without status, make no SyncError",
    patience=lambda bench: bench.timers.ack,
)
async def acknowledgements_are_read_tolerantly(bench: Bench) -> None:
    a, _ = await _answered(bench, "200", 200, 202, "204", None)
    frames = await _sync_errors(bench, a, bench.timers.ack * 1.3)
    expect(not frames, "B acknowledged every event in time, and a SyncError came")


@check("ACK-05", title="Answers to unknown messages, and repeated ones, are passed over")
async def stray_acknowledgements_are_passed_over(bench: Bench) -> None:
    a, b = await _answered(bench, "200")
    for stray in ({"id": "unknown", "status": "409"}, {"id": "unknown", "status": 500}, {"id": 7}):
        await b.send(stray)
    await bench.publish(new_case().opens_patient(bench.topic))
    frame = await next_of(bench, b, "Patient-open")
    for _ in range(3):
        await b.acknowledge(frame, "200")
    await received(bench, b)
    expect(not only(await received(bench, a), "SyncError"), "they made a SyncError")


@check("D-04", title="An error status is read as number and as text")
async def error_status_is_read_as_number_and_text(bench: Bench) -> None:
    a, _ = await _answered(bench, 409)
    await expect_sync_error(bench, a, "B answered the number 409")
    b = await bench.join("C", ["Patient-close"])
    case = new_case()
    await bench.publish(case.opens_patient(bench.topic))
    await bench.publish(case.closes_patient(bench.topic))
    frame = await next_of(bench, b, "Patient-close")
    await b.send(json.dumps({"id": frame["id"], "status": "409"}))
    await expect_sync_error(bench, a, "C answered the text 409")
