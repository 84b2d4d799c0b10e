"""Scopes and tokens: section 2.2 of the standard and SMART App Launch, rows SCO and SMART."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, check, expect
from fhircast_conformance.messages import new_case, new_id, sync_error
from fhircast_conformance.refusing import expect_events_refused, form
from fhircast_conformance.watching import FENCE_SCOPE, events_in, only, received, requires_tokens

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.wire import Wire

_ASKED = ["Patient-open", "ImagingStudy-open"]


async def _granted(bench: Bench, scope: str) -> set[str]:
    """Return what a token of this scope is granted of a Patient-open and an ImagingStudy-open."""
    wire = await bench.client("A", scope=scope)
    answer = await wire.subscribe(bench.topic, _ASKED, name="A")
    if not answer.is_success:
        return set()
    return events_in((await bench.join("A", _ASKED, wire=wire)).confirmation)


async def _working(bench: Bench) -> None:
    """Show that the hub takes subscriptions and events of who may do everything.

    Raises:
        Blocked: It does not.
    """
    await bench.join("host", ["Encounter-close"], fence=False)
    await bench.publish(new_case().opens_patient(bench.topic))


@check("SCO-01", title="`fhircast/*.read` gives the right to receive every event")
async def wildcard_read_gives_everything(bench: Bench) -> None:
    granted = await _granted(bench, "fhircast/*.read")
    expect(granted == {"patient-open", "imagingstudy-open"}, f"granted are {sorted(granted)}")


@check("SCO-01", title="`fhircast/Patient-open.*` gives the right to receive and to request it")
async def wildcard_access_gives_both(bench: Bench) -> None:
    granted = await _granted(bench, "fhircast/Patient-open.*")
    expect("patient-open" in granted, "Patient-open was not granted")
    await bench.join("host", ["Encounter-close"], fence=False)
    wire = await bench.client("A", scope="fhircast/Patient-open.*")
    answer = await wire.post(new_case().opens_patient(bench.topic))
    bench.expect_accepted(answer, "Patient-open with fhircast/Patient-open.*")


@check("SCO-01", title="A scope that the grammar does not know gives no right")
async def malformed_scopes_give_nothing(bench: Bench) -> None:
    await _working(bench)
    for scope in ("fhircast/Patient-*.read", "fhircast/Patient-open", "Patient-open.read"):
        granted = await _granted(bench, scope)
        expect(not granted, f"{scope} was granted {sorted(granted)}")


@check("SCO-01", title="Other scopes beside those of FHIRcast do no harm")
async def other_scopes_do_no_harm(bench: Bench) -> None:
    granted = await _granted(bench, "openid launch patient/*.rs fhircast/Patient-open.read")
    expect("patient-open" in granted, "Patient-open was not granted")


@check("SCO-02", title="Only the events that the token may read are granted")
async def only_readable_events_are_granted(bench: Bench) -> None:
    granted = await _granted(bench, "fhircast/Patient-open.read fhircast/ImagingStudy-open.write")
    expect(granted == {"patient-open"}, f"granted are {sorted(granted)}")


@check("SCO-02", title="Who may read none of the events is refused")
async def no_readable_event_is_refused(bench: Bench) -> None:
    await _working(bench)
    wire = await bench.client("A", scope="fhircast/Patient-open.write")
    answer = await wire.subscribe(bench.topic, _ASKED, name="A")
    bench.expect_refused(answer, why="the token may read none of the events")


@check("SCO-02", title="Events that the token may not read are not delivered")
async def only_readable_events_are_delivered(bench: Bench) -> None:
    wire = await bench.client("A", scope=f"fhircast/Patient-open.read {FENCE_SCOPE}")
    a = await bench.join("A", _ASKED, wire=wire)
    await bench.publish(new_case().opens_study(bench.topic))
    frames = only(await received(bench, a), "ImagingStudy-open")
    expect(not frames, "ImagingStudy-open was delivered")


@check("SCO-02", title="A derived open is not delivered to who may not read it")
async def derived_open_needs_the_right(bench: Bench) -> None:
    wire = await bench.client("A", scope=f"fhircast/ImagingStudy-close.read {FENCE_SCOPE}")
    a = await bench.join("A", ["Patient-open", "ImagingStudy-close"], wire=wire)
    await bench.publish(new_case().opens_study(bench.topic))
    frames = only(await received(bench, a), "Patient-open")
    expect(not frames, "a Patient-open was delivered")


@check("SCO-03", title="Without the right to write, an event is refused and not passed on")
async def request_needs_the_right(bench: Bench) -> None:
    wire = await bench.client("reader", scope="fhircast/*.read fhircast/Patient-close.write")
    event = new_case().opens_patient(bench.topic)
    await expect_events_refused(bench, event, why="the token may not write", wire=wire)


@check("SCO-03", title="A SyncError, too, needs the right to write")
async def sync_error_needs_the_right(bench: Bench) -> None:
    wire = await bench.client("reader", scope="fhircast/*.read fhircast/Patient-open.write")
    event = sync_error(bench.topic, new_id(), "Patient-open", "reader")
    why = "the token may not write SyncError"
    await expect_events_refused(bench, event, why=why, events=("SyncError",), wire=wire)


@check("SCO-03", title="With the right to write, an event is accepted")
async def request_with_the_right_is_accepted(bench: Bench) -> None:
    await _working(bench)
    wire = await bench.client("writer", scope="fhircast/*.write")
    answer = await wire.post(new_case().opens_patient(bench.topic))
    bench.expect_accepted(answer, "Patient-open with fhircast/*.write")


@check("SMART-07", title="A token that was altered is refused")
async def altered_token_is_refused(bench: Bench) -> None:
    await requires_tokens(bench)
    token = await bench.hub.tokens.get(scope="fhircast/*.*", topic="", seconds=3600, subject="")
    middle = len(token) - len(token.rpartition(".")[2]) // 2 - 1
    wrong = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    await _expect_stranger_refused(bench, await bench.client("forger", token=wrong), "altered")


@check("SMART-08", title="A token that has expired is refused")
async def expired_token_is_refused(bench: Bench) -> None:
    await _expect_stranger_refused(bench, await _expired(bench), "expired")


@check("SMART-08", title="A token of another topic does not subscribe")
async def bound_token_does_not_subscribe_elsewhere(bench: Bench) -> None:
    wire = await _bound_elsewhere(bench)
    answer = await wire.subscribe(bench.topic, ["Patient-open"], name="A")
    bench.expect_refused(answer, why="the token is bound to another topic")


@check("SMART-08", title="A token of another topic requests no change")
async def bound_token_requests_nothing_elsewhere(bench: Bench) -> None:
    wire = await _bound_elsewhere(bench)
    event = new_case().opens_patient(bench.topic)
    await expect_events_refused(bench, event, why="the token is bound to another topic", wire=wire)


@check("SMART-08", title="A token of another topic does not read the current context")
async def bound_token_reads_nothing_elsewhere(bench: Bench) -> None:
    wire = await _bound_elsewhere(bench)
    await bench.context()  # which the kit itself may read
    bench.expect_refused(await wire.get(bench.topic), why="the token is bound to another topic")


@check("SMART-08", title="A token bound to a topic opens that topic")
async def bound_token_opens_its_topic(bench: Bench) -> None:
    wire = await bench.client("A", topic=bench.topic)
    answer = await wire.subscribe(bench.topic, ["Patient-open"], name="A")
    bench.expect_accepted(answer, "a subscription to the topic of the token")


async def _expired(bench: Bench) -> Wire:
    """Return a client whose token has expired: long ago, beyond any allowance for clocks."""
    try:
        return await bench.client("late", seconds=-600)
    except Blocked:  # the token command makes none that has expired
        wire = await bench.client("late", seconds=1)
        await bench.pause(2.0)
        return wire


async def _bound_elsewhere(bench: Bench) -> Wire:
    """Return a client whose token is bound to another topic, where it works."""
    await _working(bench)
    other = new_id()
    wire = await bench.client("elsewhere", topic=other)
    answer = await wire.subscribe(other, ["Patient-open"], name="elsewhere")
    if not answer.is_success:
        raise Blocked(f"subscribing to the token's own topic was answered {answer.status_code}")
    return wire


async def _expect_stranger_refused(bench: Bench, wire: Wire, kind: str) -> None:
    """Judge that a client can neither subscribe nor request nor read."""
    await _working(bench)
    why = f"the token is {kind}"
    bench.expect_refused(await wire.form(form(bench)), why=why)
    bench.expect_refused(await wire.post(new_case().opens_patient(bench.topic)), why=why)
    bench.expect_refused(await wire.get(bench.topic), why=why)
