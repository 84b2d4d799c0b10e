"""Coming back after a lost connection, and a session after its last subscriber: D-45, D-40."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, NotApplicable, check, expect
from fhircast_conformance.messages import new_case
from fhircast_conformance.reading import name_of, shows
from fhircast_conformance.steps import REPORT, acknowledging, is_confirmed, seen

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json
    from fhircast_conformance.wire import Socket

_EVENTS = ("Patient-open", "SyncError")


def _grace(bench: Bench) -> float:
    return 2 * bench.timers.grace + bench.timers.ack


async def _lost(bench: Bench) -> tuple[Socket, Socket, list[Json]]:
    """Return A, B whose connection broke, and two events that B did not acknowledge."""
    b = await acknowledging(bench, "B", _EVENTS)
    a = await bench.join("A", _EVENTS)
    case = new_case()
    events = [case.opens_patient(bench.topic), new_case().opens_patient(bench.topic)]
    await seen(bench, a, events[0])
    await b.next()
    await b.abort()
    await bench.publish(events[1])
    return a, b, events


async def _announced(bench: Bench, a: Socket) -> None:
    """Wait until A got the second event and the SyncError about B, in either order."""
    await bench.pause(bench.timers.grace)
    came = {name_of(await bench.frame(a)) for _ in range(2)}
    if "syncerror" not in came:
        raise Blocked("the lost subscriber is not announced (SYNC-06)")


def _requires_grace(bench: Bench) -> None:
    if not bench.timers.grace:
        raise NotApplicable("the hub is set to forgive no lost connection")


@check(
    "D-45",
    title="Back within the grace: confirmation, what was not acknowledged, no SyncError",
    patience=_grace,
)
async def lost_connection_resumes(bench: Bench) -> None:
    _requires_grace(bench)
    a, b, events = await _lost(bench)
    await bench.frame(a)
    back = await bench.wire.connect(b.endpoint, "B")
    first = await back.next()
    expect(first.get("hub.mode") == "subscribe", "the first frame must be the confirmation")
    missed, newest = events
    why = "B must get what it had not acknowledged, in order"
    came = await bench.frame(back)
    # At another process the open contexts come instead, and the newest may be the only one.
    if not (bench.hub.is_balanced and came.get("id") == newest["id"]):
        expect(came.get("id") == missed["id"], f"{why}; it got {name_of(came) or 'no event'}")
        await bench.expect_frame(back, newest, why)
    await bench.pause(bench.timers.grace + bench.timers.silence)
    await bench.expect_silence(a, why="B came back in time")


@check(
    "D-45",
    title="Nobody comes back: one SyncError for the subscriber, none for each event",
    patience=_grace,
)
async def lost_subscriber_is_announced_once(bench: Bench) -> None:
    a, _, _ = await _lost(bench)
    await _announced(bench, a)
    await bench.pause(bench.timers.ack + bench.timers.silence)
    await bench.expect_silence(a, why="one SyncError about B is due, whatever it missed")


@check("D-45", title="After the grace the subscription has ended", patience=_grace)
async def lost_subscription_has_ended(bench: Bench) -> None:
    a, b, _ = await _lost(bench)
    await _announced(bench, a)
    expect(
        not await is_confirmed(bench, b.endpoint),
        "the endpoint of a lost subscriber is still confirmed",
    )


@check("D-40", title="An open context outlives the moment in which nobody is subscribed")
async def context_outlives_its_subscribers(bench: Bench) -> None:
    a = await bench.join("A", REPORT)
    case = new_case()
    await seen(bench, a, case.opens(bench.topic))
    await bench.leave(a)
    b = await bench.join("B", REPORT)
    await bench.expect_frame(b, "DiagnosticReport-open", "the context that was left open")
    expect(shows(await bench.context(), case.report), "the context is no longer the current one")
