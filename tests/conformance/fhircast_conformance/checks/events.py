"""Events and context change requests: sections 2.3, 2.5 and 2.6 of the standard, rows EVT."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from fhircast_conformance.check import NotApplicable, check, expect
from fhircast_conformance.messages import item, message, new_case
from fhircast_conformance.refusing import expect_events_refused
from fhircast_conformance.watching import FENCE_SCOPE, delivered, next_of, only, received

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json
    from fhircast_conformance.wire import Wire

_NO_REPORTS = f"fhircast/Patient-open.read fhircast/Patient-open.write {FENCE_SCOPE}"


def _without(event: Json, *fields: str) -> Iterator[Json]:
    """Yield copies of a request, each without one field of the message or of its event."""
    for field in fields:
        faulty = deepcopy(event)
        (faulty if field in faulty else faulty["event"]).pop(field)
        yield faulty


@check("EVT-01", title="Every subscriber of an event gets it, once")
async def every_subscriber_is_notified(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open", "ImagingStudy-open"])
    b = await bench.join("B", ["Patient-open", "ImagingStudy-open"])
    p = await bench.join("P", ["Patient-open"])
    await bench.publish(new_case().opens_patient(bench.topic))
    for socket in (a, b, p):
        frames = only(await received(bench, socket), "Patient-open")
        expect(len(frames) == 1, f"{socket.name} must get one Patient-open; {len(frames)} came")


@check("EVT-01", title="Every kind of event is passed on: open, close, infrastructure")
async def kinds_of_events_are_notified(bench: Bench) -> None:
    a = await bench.join("A", ["ImagingStudy-open", "ImagingStudy-close", "UserHibernate"])
    case = new_case()
    coding = {"system": "http://fhircast.hl7.org/CodeSystem/fhircast-codesystem"}
    code = {"name": "code", "valueCoding": coding | {"code": "user-initiated"}}
    parameters = {"resourceType": "Parameters", "parameter": [code]}
    hibernate = message(bench.topic, "UserHibernate", [item("parameters", parameters)])
    for event in (case.opens_study(bench.topic), case.closes_study(bench.topic), hibernate):
        await bench.publish(event)
    frames = await received(bench, a)
    for name in ("ImagingStudy-open", "ImagingStudy-close", "UserHibernate"):
        expect(len(only(frames, name)) == 1, f"{len(only(frames, name))} {name} came, not 1")


@check("EVT-02", title="A request without timestamp, id or event is refused")
async def incomplete_message_is_refused(bench: Bench) -> None:
    event = new_case().opens_patient(bench.topic)
    faulty = _without(event, "timestamp", "id", "event")
    await expect_events_refused(bench, *faulty, why="timestamp, id or event is missing")


@check("EVT-02", title="A request without hub.topic, hub.event or context is refused")
async def incomplete_event_is_refused(bench: Bench) -> None:
    event = new_case().opens_patient(bench.topic)
    faulty = _without(event, "hub.topic", "hub.event", "context")
    await expect_events_refused(bench, *faulty, why="hub.topic, hub.event or context is missing")


@check("EVT-02", title="A request whose context is no array is refused")
async def context_that_is_no_array_is_refused(bench: Bench) -> None:
    faulty = new_case().opens_patient(bench.topic)
    faulty["event"]["context"] = faulty["event"]["context"][0]
    await expect_events_refused(bench, faulty, why="the context is no array")


@check("EVT-03", title="An acceptable request is answered with 2xx")
async def acceptable_request_is_accepted(bench: Bench) -> None:
    await bench.join("A", ["Encounter-close"], fence=False)
    answer = await bench.wire.post(new_case().opens_patient(bench.topic))
    bench.expect_accepted(answer, "a Patient-open")


@check("EVT-03", title="A body that is no JSON object is refused")
async def broken_body_is_refused(bench: Bench) -> None:
    faulty = (b"", b"no JSON", b'{"timestamp": ', b"[]", b"null", b"\xff\xfe")
    await expect_events_refused(bench, *faulty, why="the body is no JSON object")


@check("EVT-04", title="The requester gets its own event")
async def requester_is_notified(bench: Bench) -> None:
    wire = await _of_its_own(bench, "A")
    a = await bench.join("A", ["Patient-open"], wire=wire)
    b = await bench.join("B", ["Patient-open"])
    await bench.publish(new_case().opens_patient(bench.topic), wire)
    await delivered(bench, b, "Patient-open")
    expect(only(await received(bench, a), "Patient-open"), "A did not get the event it requested")


@check("EVT-05", title="The notification has the id of the request")
async def notification_reuses_the_id(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    event = new_case().opens_patient(bench.topic)
    await bench.publish(event)
    frame = await next_of(bench, a, "Patient-open")
    expect(frame.get("id") == event["id"], f"requested was {event['id']}; it is {frame.get('id')}")


@check("EVT-06", title="A hub that rejects later tells the requester only")
async def late_rejection_goes_to_the_requester(bench: Bench) -> None:
    del bench
    raise NotApplicable("nothing outside the hub can make it reject an event that it accepted")


@check("EVT-08", title="Messages that the hub makes have ids of their own")
async def hub_ids_are_unique(bench: Bench) -> None:
    ids = []
    for name in ("B", "C"):
        a, b = await bench.join("A", ["SyncError"]), await bench.join(name, ["Patient-close"])
        case = new_case()
        await bench.publish(case.opens_patient(bench.topic))
        event = case.closes_patient(bench.topic)
        await bench.publish(event)
        await b.acknowledge(await next_of(bench, b, "Patient-close"), "409")
        told = await next_of(bench, a, "SyncError")
        ids += [event["id"], told.get("id")]
        await a.acknowledge(told)
        await bench.leave(a)
        await bench.leave(b)
    expect(all(isinstance(it, str) and it for it in ids), "a SyncError has no id")
    expect(len(set(ids)) == len(ids), "an id of a SyncError was used before")


@check("EVT-09", title="A timestamp that is no date and time is refused")
async def wrong_timestamp_is_refused(bench: Bench) -> None:
    faulty = [
        new_case().opens_patient(bench.topic, timestamp=wrong)
        for wrong in ("", "yesterday", "2026-13-01T10:00:00Z", "2026-01-01T010:38:00Z")
    ]
    await expect_events_refused(bench, *faulty, why="the timestamp is no date and time")


@check("EVT-19", title="A report is not sent to who has no right to reports")
async def unreadable_resources_are_not_notified(bench: Bench) -> None:
    wire = await bench.client("B", scope=_NO_REPORTS)
    b = await bench.join("B", ["Patient-open", "DiagnosticReport-open"], wire=wire)
    case = new_case()
    await bench.publish(case.opens(bench.topic))
    expect(case.report["id"] not in str(await received(bench, b)), "the report was sent")


@check("EVT-19", title="An open report is not replayed to who has no right to reports")
async def unreadable_resources_are_not_replayed(bench: Bench) -> None:
    await bench.join("A", ["Encounter-close"], fence=False)
    case = new_case()
    await bench.publish(case.opens(bench.topic))
    wire = await bench.client("B", scope=_NO_REPORTS)
    b = await bench.join("B", ["Patient-open", "DiagnosticReport-open"], wire=wire)
    expect(case.report["id"] not in str(await received(bench, b)), "the report was sent")


@check("EVT-19", title="The current context is not shown to who has no right to it")
async def unreadable_resources_are_not_shown(bench: Bench) -> None:
    await bench.join("A", ["Encounter-close"], fence=False)
    case = new_case()
    await bench.publish(case.opens(bench.topic))
    await bench.context()  # which the kit itself may read
    wire = await bench.client("B", scope=_NO_REPORTS)
    answer = await wire.get(bench.topic)
    expect(case.report["id"] not in answer.text, "the report was shown")


async def _of_its_own(bench: Bench, name: str) -> Wire:
    """Return a client with a token of its own where that can be had, or the bench's."""
    try:
        return await bench.client(name, subject=name)
    except NotApplicable:
        return bench.wire
