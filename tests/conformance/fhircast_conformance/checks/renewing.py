"""A subscription that is requested again, or whose token ends: rows SUB-09, SUB-11, SUB-12."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fhircast_conformance.bench import FENCE
from fhircast_conformance.check import Blocked, check, expect
from fhircast_conformance.messages import new_case, new_id
from fhircast_conformance.refusing import another_endpoint, endpoint_of
from fhircast_conformance.watching import (
    FENCE_SCOPE,
    confirmed,
    delivered,
    ended,
    events_in,
    expect_confirmation,
    is_open,
    joins_with_short_lease,
    lease_of,
    name_of,
    only,
    received,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from fhircast_conformance.bench import Bench
    from fhircast_conformance.wire import Socket, Wire

_TOKEN_SECONDS = 5
_LONG = "7200"
_NARROW = f"fhircast/Patient-open.read {FENCE_SCOPE}"


async def _renew(
    bench: Bench,
    socket: Socket,
    events: Iterable[str],
    wire: Wire | None = None,
    **more: str,
) -> httpx.Response:
    """Subscribe again with the endpoint of a socket."""
    asked = [*events, FENCE] if bench.hub.takes_unknown_events else list(events)
    more = {"hub__channel__endpoint": socket.endpoint, **more}
    return await (wire or bench.wire).subscribe(bench.topic, asked, name=socket.name, **more)


async def _publish_both(bench: Bench) -> None:
    case = new_case()
    await bench.publish(case.opens_patient(bench.topic))
    await bench.publish(case.closes_patient(bench.topic))


@check("SUB-09", title="A lease is not longer than the token's life")
async def lease_ends_with_the_token(bench: Bench) -> None:
    wire = await bench.client("A", seconds=60)
    a = await bench.join("A", ["Patient-open"], wire=wire, hub__lease_seconds=_LONG)
    lease = lease_of(a.confirmation)
    expect(lease <= 60, f"the token lives for 60 s; the lease is {lease:g} s")


@check("SUB-09", title="Who connects late gets no lease beyond the token's life")
async def lease_of_a_late_connection_ends_with_the_token(bench: Bench) -> None:
    await bench.pause(1 - time.time() % 1)  # tokens end on whole seconds
    began = time.monotonic()
    wire = await bench.client("A", seconds=_TOKEN_SECONDS)
    endpoint = endpoint_of(
        await wire.subscribe(bench.topic, ["Patient-open"], name="A", hub__lease_seconds=_LONG)
    )
    await bench.pause(min(2.5, bench.timers.unused_endpoint * 0.8))
    left = began + _TOKEN_SECONDS - time.monotonic()
    lease = lease_of(await confirmed(bench, await wire.connect(endpoint, "A")))
    expect(lease <= left, f"the token lives for {left:.1f} s more; the lease is {lease:g} s")


@check("SUB-09", title="A subscription ends with its token", patience=lambda _: _TOKEN_SECONDS)
async def subscription_ends_with_the_token(bench: Bench) -> None:
    wire = await bench.client("A", seconds=_TOKEN_SECONDS)
    a = await bench.join("A", ["Patient-open"], wire=wire, hub__lease_seconds=_LONG)
    await ended(bench, a, within=_TOKEN_SECONDS + bench.timers.answer)


@check("SUB-09", title="A renewal gets no lease beyond the token's life")
async def renewed_lease_ends_with_the_token(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"], hub__lease_seconds=_LONG)
    wire = await bench.client("A", seconds=60)
    answer = await _renew(bench, a, ["Patient-open"], wire, hub__lease_seconds=_LONG)
    bench.expect_accepted(answer, "a renewal")
    lease = lease_of(await confirmed(bench, a))
    expect(lease <= 60, f"the token lives for 60 s; the lease is {lease:g} s")


@check("SUB-11", title="A renewal is answered with the same endpoint")
async def renewal_keeps_the_endpoint(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    answer = await _renew(bench, a, ["Patient-open"])
    bench.expect_accepted(answer, "a subscription that is requested again")
    endpoint = answer.json().get("hub.channel.endpoint")
    expect(endpoint == a.endpoint, "another endpoint was given out")


@check("SUB-11", title="A renewal replaces the events")
async def renewal_replaces_the_events(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    await _publish_both(bench)
    if [name_of(it) for it in await received(bench, a)] != ["patient-open"]:
        raise Blocked("the hub does not deliver just what was subscribed")
    bench.expect_accepted(await _renew(bench, a, ["Patient-close"]), "a renewal")
    await _publish_both(bench)
    frames = await received(bench, a)
    expect(not only(frames, "Patient-open"), "Patient-open is no longer subscribed, yet came")
    expect(only(frames, "Patient-close"), "Patient-close is subscribed now and did not come")


@check("SUB-11", title="A renewed subscription is still one: events come once")
async def renewed_subscription_is_one(bench: Bench) -> None:
    a, b = await bench.join("A", ["Patient-open"]), await bench.join("B", ["Patient-open"])
    bench.expect_accepted(await _renew(bench, a, ["Patient-open"]), "a renewal")
    await bench.publish(new_case().opens_patient(bench.topic))
    usual, renewed = [len(await delivered(bench, it, "Patient-open")) for it in (b, a)]
    expect(usual == renewed, f"one notification is due; {renewed} came")


@check("SUB-11", title="A renewal starts the lease anew", patience=lambda _: 10.0)
async def renewal_restarts_the_lease(bench: Bench) -> None:
    a, lease = await joins_with_short_lease(bench)
    await bench.pause(lease * 0.5)
    answer = await _renew(bench, a, ["Patient-open"], hub__lease_seconds="60")
    bench.expect_accepted(answer, "a renewal")
    await bench.pause(lease * 0.7)  # beyond the first lease, well within the second
    expect(await is_open(bench, a), "the subscription ended with its first lease")


@check("SUB-11", title="An endpoint that was never given out cannot be renewed")
async def unknown_endpoint_cannot_be_renewed(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    a.endpoint = another_endpoint(a.endpoint)
    answer = await _renew(bench, a, ["Patient-open"])
    bench.expect_refused(answer, why="the endpoint was never given out")


@check("SUB-11", title="An endpoint of another topic cannot be renewed")
async def endpoint_of_another_topic_cannot_be_renewed(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"], topic=new_id())
    await bench.join("B", ["Patient-open"])
    answer = await _renew(bench, a, ["Patient-open"])
    bench.expect_refused(answer, why="the endpoint belongs to another topic")


@check("SUB-12", title="A renewal is confirmed with the granted events")
async def renewal_is_confirmed_with_the_granted_events(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    wire = await bench.client("A", scope=_NARROW)
    answer = await _renew(bench, a, ["Patient-open", "ImagingStudy-open"], wire)
    bench.expect_accepted(answer, "a renewal of which one event is permitted")
    listed = events_in(await expect_confirmation(bench, a, "a renewal"))
    expect(listed == {"patient-open"}, f"the confirmation lists {sorted(listed)}")


@check("SUB-12", title="After a renewal exactly the granted events come")
async def granted_events_of_a_renewal_come(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-close", "ImagingStudy-open"])
    wire = await bench.client("A", scope=_NARROW)
    answer = await _renew(bench, a, ["Patient-open", "ImagingStudy-open"], wire)
    bench.expect_accepted(answer, "a renewal of which one event is permitted")
    case = new_case()
    await bench.publish(case.opens_patient(bench.topic))
    await bench.publish(case.opens_study(bench.topic))
    frames = await received(bench, a)
    expect(only(frames, "Patient-open"), "Patient-open was granted and did not come")
    expect(not only(frames, "ImagingStudy-open"), "ImagingStudy-open was not granted, yet came")


@check("D-12", title="A renewal on a live socket is confirmed at once on that socket")
async def renewal_is_confirmed_on_the_socket(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    await bench.wire.subscribe(
        bench.topic, ["Patient-close"], name="A", hub__channel__endpoint=a.endpoint
    )
    frame = await expect_confirmation(bench, a, "a renewal on a live socket")
    expect(events_in(frame) == {"patient-close"}, "it does not list the new events")


@check("D-12", title="After a renewal only newly granted contexts are replayed")
async def renewal_replays_what_is_new(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    case = new_case()
    await bench.publish(case.opens_patient(bench.topic))
    await bench.publish(case.opens_study(bench.topic))
    await received(bench, a)
    await _renew(bench, a, ["Patient-open", "ImagingStudy-open"])
    await confirmed(bench, a)
    frames = await received(bench, a)
    expect(only(frames, "ImagingStudy-open"), "the open study is not replayed")
    expect(not only(frames, "Patient-open"), "the patient, already known, is replayed again")
