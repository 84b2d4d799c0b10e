"""Contexts that are open already are sent to who joins: section 2.4 of the standard, rows REP."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, check, expect
from fhircast_conformance.messages import Case, new_case, put, stamp
from fhircast_conformance.watching import (
    name_of,
    only,
    patient_of,
    quiet_session,
    received,
    version_of,
)

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json


async def _joins_late(bench: Bench, *events: str) -> list[Json]:
    """Return what a subscriber to these events is sent when it joins now."""
    return await received(bench, await bench.join("latecomer", events))


async def _opened_patients(bench: Bench, count: int) -> list[Case]:
    """Open some patients, one after the other, in a session of somebody who hears nothing."""
    await quiet_session(bench)
    cases = [new_case() for _ in range(count)]
    for number, case in enumerate(cases):
        at = stamp(ahead_seconds=number - count)
        await bench.publish(case.opens_patient(bench.topic, timestamp=at))
    return cases


@check("REP-01", title="Who joins is sent the context that is open")
async def open_context_is_replayed(bench: Bench) -> None:
    [case] = await _opened_patients(bench, 1)
    frames = only(await _joins_late(bench, "Patient-open"), "Patient-open")
    patients = [patient_of(it) for it in frames]
    expect(patients == [case.patient["id"]], f"{len(frames)} opens came, not the one that is due")


@check("REP-01", title="Of several open contexts of one type the most recent one is sent")
async def most_recent_open_is_replayed(bench: Bench) -> None:
    _, newest = await _opened_patients(bench, 2)
    frames = only(await _joins_late(bench, "Patient-open"), "Patient-open")
    if not frames:
        raise Blocked("no open context was replayed")
    patients = {patient_of(it) for it in frames}
    expect(patients == {newest.patient["id"]}, "another patient than the most recent one came")


@check("REP-01", title="Of each type of context the most recent one is sent")
async def open_of_each_type_is_replayed(bench: Bench) -> None:
    [case] = await _opened_patients(bench, 1)
    await bench.publish(new_case(patient=case.patient).opens_study(bench.topic))
    came = {name_of(it) for it in await _joins_late(bench, "Patient-open", "ImagingStudy-open")}
    expect(came >= {"patient-open", "imagingstudy-open"}, f"only these came: {sorted(came)}")


@check("REP-01", title="When the most recent context is closed, the one before it is sent")
async def open_before_a_closed_one_is_replayed(bench: Bench) -> None:
    still_open, closed = await _opened_patients(bench, 2)
    await bench.publish(closed.closes_patient(bench.topic))
    frames = only(await _joins_late(bench, "Patient-open"), "Patient-open")
    patients = {patient_of(it) for it in frames}
    expect(still_open.patient["id"] in patients, "the patient that is still open was not sent")


@check("REP-02", title="Who joins is not sent events that it did not subscribe to")
async def other_contexts_are_not_replayed(bench: Bench) -> None:
    await quiet_session(bench)
    case = new_case()
    await bench.publish(case.opens_study(bench.topic))
    await bench.publish(case.opens(bench.topic))
    came = {name_of(it) for it in await _joins_late(bench, "Patient-open")} - {"patient-open"}
    expect(not came, f"not subscribed, yet sent: {sorted(came)}")


@check("REP-02", title="Events that were not subscribed are not sent later, either")
async def other_events_are_not_sent(bench: Bench) -> None:
    p = await bench.join("P", ["Patient-open"])
    case = new_case()
    for event in (case.opens_study, case.opens, case.closes, case.closes_study):
        await bench.publish(event(bench.topic))
    came = {name_of(it) for it in await received(bench, p)} - {"patient-open"}
    expect(not came, f"not subscribed, yet sent: {sorted(came)}")


@check("REP-03", title="A replayed open keeps its id")
async def replay_keeps_the_id(bench: Bench) -> None:
    await quiet_session(bench)
    event = new_case().opens_patient(bench.topic)
    await bench.publish(event)
    frame = _one(await _joins_late(bench, "Patient-open"))
    expect(frame.get("id") == event["id"], "the replayed open has another id")


@check("REP-03", title="A replayed open tells when it happened, not when it is replayed")
async def replay_keeps_the_time(bench: Bench) -> None:
    await quiet_session(bench)
    event = new_case().opens_patient(bench.topic, timestamp=stamp(ahead_seconds=-30))
    await bench.publish(event)
    frame = _one(await _joins_late(bench, "Patient-open"))
    at, happened = (datetime.fromisoformat(it["timestamp"]) for it in (frame, event))
    expect(at == happened, f"it happened at {event['timestamp']}; told is {frame['timestamp']}")


@check("REP-04", title="A context that was closed is not sent to who joins")
async def closed_context_is_not_replayed(bench: Bench) -> None:
    [case] = await _opened_patients(bench, 1)
    await bench.publish(case.closes_patient(bench.topic))
    frames = only(await _joins_late(bench, "Patient-open"), "Patient-open")
    expect(not frames, "a patient that was closed is shown")


@check("REP-04", title="Only the context that was closed is gone, not others of its type")
async def closed_context_is_not_replayed_beside_an_open_one(bench: Bench) -> None:
    other, closed = await _opened_patients(bench, 2)
    await bench.publish(closed.closes_patient(bench.topic))
    frames = only(await _joins_late(bench, "Patient-open"), "Patient-open")
    shown = {patient_of(it) for it in frames}
    expect(closed.patient["id"] not in shown, "a patient that was closed is shown")
    if other.patient["id"] not in shown:
        raise Blocked("open contexts are not replayed, either")


@check("REP-05", title="Open contexts are sent in the order in which they were opened")
async def replay_is_in_order(bench: Bench) -> None:
    await quiet_session(bench)
    case = new_case()
    await bench.publish(case.opens_study(bench.topic, timestamp=stamp(ahead_seconds=-20)))
    await bench.publish(case.opens(bench.topic, timestamp=stamp(ahead_seconds=-10)))
    frames = await _joins_late(bench, "ImagingStudy-open", "DiagnosticReport-open")
    came = [name_of(it) for it in frames]
    if len(came) != 2:
        raise Blocked(f"two opens are due; {len(came)} came")
    expect(came == ["imagingstudy-open", "diagnosticreport-open"], f"the order is {came}")


@check("REP-05", title="A replayed open carries the version of the open, not the newest")
async def replay_carries_the_first_version(bench: Bench) -> None:
    host = await bench.join("host", ["DiagnosticReport-open"])
    case = new_case()
    await bench.publish(case.opens(bench.topic))
    version = version_of(_one(await received(bench, host)))
    await bench.publish(case.updates(bench.topic, version, put(case.observation())))
    frame = _one(await _joins_late(bench, "DiagnosticReport-open"))
    told = version_of(frame)
    expect(told == version, f"opened as {version}; the replay says {told}")


@check("EVT-11", title="A replayed open alone tells the whole context")
async def replayed_open_stands_alone(bench: Bench) -> None:
    await quiet_session(bench)
    event = new_case().opens(bench.topic)
    await bench.publish(event)
    frame = _one(await _joins_late(bench, "DiagnosticReport-open"))
    expect(frame["event"]["context"] == event["event"]["context"], "the context is not complete")


def _one(frames: list[Json]) -> Json:
    if len(frames) != 1:
        raise Blocked(f"one open is due; {len(frames)} came")
    return frames[0]
