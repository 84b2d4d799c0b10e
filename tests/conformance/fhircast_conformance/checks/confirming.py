"""Confirmation, denial and lease: section 2.4 of the standard, rows CONF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, NotApplicable, check, expect
from fhircast_conformance.messages import new_case
from fhircast_conformance.refusing import endpoint_of, expect_dead
from fhircast_conformance.watching import (
    FENCE_SCOPE,
    close_code,
    denial,
    ended,
    events_in,
    joins_with_short_lease,
    name_of,
    only,
    quiet_session,
    received,
)

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json

_FIELDS = {"hub.mode", "hub.topic", "hub.events", "hub.lease_seconds"}
_TOKEN_SECONDS = 3


def _lease(_: Bench) -> float:
    return 10.0  # the longest lease that is waited for


async def _first_frame(bench: Bench) -> Json:
    endpoint = endpoint_of(await bench.wire.subscribe(bench.topic, ["Patient-open"], name="A"))
    socket = await bench.wire.connect(endpoint, "A")
    return await socket.next(within=bench.timers.answer)


@check("CONF-01", title="The first frame confirms the subscription and its topic")
async def first_frame_confirms(bench: Bench) -> None:
    frame = await _first_frame(bench)
    expect(frame.get("hub.mode") == "subscribe", f"hub.mode is {frame.get('hub.mode')}")
    expect(frame.get("hub.topic") == bench.topic, "hub.topic is another one, or missing")


@check("CONF-01", title="The confirmation comes before the contexts that are open already")
async def confirmation_comes_before_open_contexts(bench: Bench) -> None:
    await quiet_session(bench)
    await bench.publish(new_case().opens_patient(bench.topic))
    frame = await _first_frame(bench)
    expect(frame.get("hub.mode") == "subscribe", f"the first frame is {name_of(frame) or '?'}")


@check("CONF-01", title="The confirmation lists the events as a comma-separated string")
async def confirmation_lists_events(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open", "Patient-close"])
    events = a.confirmation.get("hub.events")
    expect(isinstance(events, str), f"hub.events is {type(events).__name__}")
    listed = events_in(a.confirmation)
    expect(listed >= {"patient-open", "patient-close"}, f"hub.events lists {sorted(listed)}")


@check("CONF-01", title="The confirmation tells the lease as a positive number")
async def confirmation_tells_the_lease(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    lease = a.confirmation.get("hub.lease_seconds")
    is_positive = isinstance(lease, int | float) and not isinstance(lease, bool) and lease > 0
    expect(is_positive, f"hub.lease_seconds is {lease!r}")


@check("CONF-01", title="The confirmation holds nothing else")
async def confirmation_holds_nothing_else(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    further = sorted(set(a.confirmation) - _FIELDS)
    expect(not further, f"the confirmation also holds {further}")


@check("CONF-02", title="Events that were not subscribed are not delivered")
async def only_confirmed_events_come(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    if "imagingstudy-open" in events_in(a.confirmation):
        raise NotApplicable("the hub grants more than was asked for")
    case = new_case()
    await bench.publish(case.opens_study(bench.topic))
    frames = only(await received(bench, a), "ImagingStudy-open")
    expect(not frames, "ImagingStudy-open was not confirmed, yet came")


@check("CONF-02", title="Every event that was confirmed is delivered")
async def every_confirmed_event_comes(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open", "Patient-close", "ImagingStudy-open"])
    listed, case = events_in(a.confirmation), new_case()
    for event in (case.opens_patient, case.opens_study, case.closes_patient):
        await bench.publish(event(bench.topic))
    came = {name_of(it) for it in await received(bench, a)}
    expect(listed <= came, f"confirmed, and did not come: {sorted(listed - came)}")


@check("CONF-02", title="The confirmation lists only what the rights allow, and only that comes")
async def confirmation_follows_the_rights(bench: Bench) -> None:
    scope = f"fhircast/Patient-open.read fhircast/Patient-close.read {FENCE_SCOPE}"
    wire = await bench.client("A", scope=scope)
    a = await bench.join("A", ["Patient-open", "Patient-close", "ImagingStudy-open"], wire=wire)
    listed = events_in(a.confirmation)
    expect(listed == {"patient-open", "patient-close"}, f"confirmed are {sorted(listed)}")
    await bench.publish(new_case().opens_study(bench.topic))
    frames = only(await received(bench, a), "ImagingStudy-open")
    expect(not frames, "ImagingStudy-open was not confirmed, yet came")


@check("CONF-03", title="When the lease ends, the socket is closed", patience=_lease)
async def lease_end_closes_the_socket(bench: Bench) -> None:
    a, lease = await joins_with_short_lease(bench)
    await ended(bench, a, within=lease + bench.timers.answer)


@check("CONF-03", title="Until the lease ends, the subscription lives", patience=_lease)
async def lease_is_kept(bench: Bench) -> None:
    a, lease = await joins_with_short_lease(bench)
    await bench.expect_quiet(a, lease * 0.7, why=f"the lease is {lease:g} s")


@check("CONF-03", title="After the lease nobody can join at the endpoint", patience=_lease)
async def endpoint_ends_with_the_lease(bench: Bench) -> None:
    a, lease = await joins_with_short_lease(bench)
    await bench.pause(lease + 1)
    await expect_dead(bench, a.endpoint, "the lease has ended")


@check("D-24", title="The end of a lease is announced by a denial", patience=_lease)
async def lease_end_is_announced(bench: Bench) -> None:
    a, lease = await joins_with_short_lease(bench)
    await bench.expect_denial(a, within=lease + bench.timers.answer)


@check("D-22", title="At the end of a lease the socket is closed with 1000", patience=_lease)
async def lease_end_closes_with_1000(bench: Bench) -> None:
    a, lease = await joins_with_short_lease(bench)
    await bench.pause(lease)
    code = await close_code(bench, a)
    expect(code == 1000, f"the close code is {code}")


@check("CONF-05", title="A denial names the topic and the events that end")
async def denial_names_topic_and_events(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open", "Patient-close"])
    frame = await denial(bench, a)
    expect(frame.get("hub.topic") == bench.topic, "hub.topic is another one, or missing")
    events = frame.get("hub.events")
    expect(isinstance(events, str), f"hub.events is {type(events).__name__}")
    listed = events_in(frame)
    expect(listed == events_in(a.confirmation), f"hub.events lists {sorted(listed)}")


@check("CONF-05", title="The reason of a denial, if there is one, is text")
async def denial_reason_is_text(bench: Bench) -> None:
    frame = await denial(bench, await bench.join("A", ["Patient-open"]))
    expect(isinstance(frame.get("hub.reason", ""), str), "hub.reason is no text")


@check("CONF-05", title="After a denial the hub closes the connection")
async def denial_is_followed_by_a_close(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    await denial(bench, a)
    await ended(bench, a)


@check("CONF-06", title="Who connects when the rights have ended is not confirmed")
async def ended_rights_are_denied(bench: Bench) -> None:
    wire = await bench.client("A", seconds=_TOKEN_SECONDS)
    answer = await wire.subscribe(bench.topic, ["Patient-open"], name="A")
    if not answer.is_success:
        raise Blocked(f"subscribing was answered {answer.status_code}")
    await bench.pause(_TOKEN_SECONDS + 0.2)
    await expect_dead(bench, endpoint_of(answer), "the token has ended")
