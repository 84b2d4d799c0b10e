"""Names of events and keys of contexts: section 2.3 of the standard, rows EVT-12 … EVT-15."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.check import NotApplicable, check, expect
from fhircast_conformance.messages import item, message, new_case, new_id
from fhircast_conformance.refusing import expect_events_refused
from fhircast_conformance.watching import events_in, next_of, only, received

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json

_PROPRIETARY = "org.example.thing"


def _appointment() -> Json:
    actor = {"actor": {"display": "Made-up"}, "status": "accepted"}
    return {
        "resourceType": "Appointment",
        "id": new_id(),
        "status": "booked",
        "participant": [actor],
    }


def _requires_unknown_events(bench: Bench) -> None:
    if not bench.hub.takes_unknown_events:
        raise NotApplicable("the hub takes no proprietary events")


@check("EVT-12", title="A resource type that no catalogue names can be subscribed and opened")
async def any_resource_type_is_supported(bench: Bench) -> None:
    answer = await bench.wire.subscribe(bench.topic, ["Appointment-open"], name="A")
    bench.expect_accepted(answer, "subscribing to Appointment-open")
    a = await bench.join("A", ["Appointment-open"])
    event = message(bench.topic, "Appointment-open", [item("appointment", _appointment())])
    bench.expect_accepted(await bench.wire.post(event), "Appointment-open")
    expect(only(await received(bench, a), "Appointment-open"), "Appointment-open did not come")


@check("EVT-12", title="An event of no resource type, or with an unknown suffix, is refused")
async def malformed_names_are_refused(bench: Bench) -> None:
    opens = new_case().opens_patient(bench.topic)["event"]["context"]
    faulty = [
        message(bench.topic, name, context)
        for name, context in (
            ("Foo-open", [{"key": "foo", "resource": {"resourceType": "Foo", "id": "1"}}]),
            ("Patient-zap", opens),
            ("Patient-", opens),
            ("-open", opens),
            ("", opens),
        )
    ]
    await expect_events_refused(bench, *faulty, why="hub.event is no name of an event")


@check("EVT-13", title="An event with a reverse-domain name is passed on")
async def proprietary_event_is_passed_on(bench: Bench) -> None:
    _requires_unknown_events(bench)
    a = await bench.join("A", [_PROPRIETARY])
    event = message(bench.topic, _PROPRIETARY, [{"key": "thing", "data": {"x": 1}}])
    bench.expect_accepted(await bench.wire.post(event), _PROPRIETARY)
    frames = only(await received(bench, a), _PROPRIETARY)
    expect(frames, f"{_PROPRIETARY} did not come")
    expect(frames[0]["event"]["context"] == event["event"]["context"], "its context was changed")


@check("EVT-13", title="A proprietary name with a dash, or without a domain, is refused")
async def malformed_proprietary_names_are_refused(bench: Bench) -> None:
    faulty = [message(bench.topic, name, []) for name in ("org.example-thing", "thing")]
    await expect_events_refused(bench, *faulty, why="hub.event is no reverse-domain name")


@check("EVT-14", title="Keys are case-sensitive: an anchor under another spelling is refused")
async def misspelled_keys_are_refused(bench: Bench) -> None:
    case = new_case()
    report = [item("Report", case.report), item("patient", case.patient), item("study", case.study)]
    faulty = (
        message(bench.topic, "DiagnosticReport-open", report),
        message(bench.topic, "Patient-open", [item("Patient", case.patient)]),
    )
    events = ("DiagnosticReport-open", "Patient-open")
    await expect_events_refused(bench, *faulty, why="the anchor's key is misspelled", events=events)


@check("EVT-14", title="Study and report keep their short keys: the resource's name is refused")
async def long_keys_are_refused(bench: Bench) -> None:
    case = new_case()
    patient, study = item("patient", case.patient), item("study", case.study)
    long = item("diagnosticreport", case.report)
    faulty = (
        message(bench.topic, "ImagingStudy-open", [item("imagingstudy", case.study), patient]),
        message(bench.topic, "DiagnosticReport-open", [long, patient, study]),
    )
    events = ("ImagingStudy-open", "DiagnosticReport-open")
    await expect_events_refused(bench, *faulty, why="the key must be study, report", events=events)


@check("EVT-15", title="An open without its anchor is refused")
async def open_without_anchor_is_refused(bench: Bench) -> None:
    case = new_case()
    faulty = (
        message(bench.topic, "Patient-open", []),
        message(bench.topic, "Patient-open", [item("encounter", case.patient)]),
        message(bench.topic, "ImagingStudy-open", [item("patient", case.patient)]),
    )
    events = ("ImagingStudy-open", "Patient-open")
    await expect_events_refused(bench, *faulty, why="the anchor is missing", events=events)


@check("EVT-15", title="An anchor whose resource is named otherwise than `resource` is refused")
async def anchor_under_another_element_is_refused(bench: Bench) -> None:
    faulty = message(bench.topic, "Patient-open", [{"key": "patient", "value": new_case().patient}])
    await expect_events_refused(bench, faulty, why="the resource stands under `value`")


@check("D-30", title="Each subscriber sees the spelling that it subscribed with")
async def spelling_is_the_subscribers(bench: Bench) -> None:
    a, b = await bench.join("A", ["patient-OPEN"]), await bench.join("B", ["Patient-open"])
    await bench.publish(message(bench.topic, "patient-open", [item("patient", new_case().patient)]))
    for socket, spelling in ((a, "patient-OPEN"), (b, "Patient-open")):
        seen = (await next_of(bench, socket, "Patient-open"))["event"]["hub.event"]
        expect(seen == spelling, f"{socket.name} subscribed to {spelling} and sees {seen}")


@check("D-31", title="Further items are passed on, in their order")
async def further_items_are_passed_on(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    context = [
        {"key": "comment", "string": "made up"},
        item("patient", new_case().patient),
        {"key": "priority", "reference": {"reference": "Task/1"}, "more": [1, 2.5]},
    ]
    answer = await bench.wire.post(message(bench.topic, "Patient-open", context))
    bench.expect_accepted(answer, "an open with further items")
    frames = only(await received(bench, a), "Patient-open")
    expect(frames and frames[0]["event"]["context"] == context, "the items were changed")


@check("D-31", title="The hub is no FHIR validator: unusual resources are passed on")
async def unusual_resources_are_passed_on(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    unusual = (
        {"name": [{"family": "Madeup"}, {"family": "Sample"}]},  # R4 allows several names
        {"identifier": [], "gender": 7},
    )
    for fields in unusual:
        event = message(bench.topic, "Patient-open", [item("patient", new_case().patient | fields)])
        bench.expect_accepted(await bench.wire.post(event), "an unusual Patient")
    frames = only(await received(bench, a), "Patient-open")
    expect(len(frames) >= len(unusual), f"{len(unusual)} events are due; {len(frames)} came")


@check("D-36", title="Any event that is well-formed is granted, catalogued or not")
async def unknown_events_are_granted(bench: Bench) -> None:
    vendor = ["DiagnosticReport-opened", "conference-start", "org.example.aidone", "heartbeat"]
    answer = await bench.wire.subscribe(bench.topic, ["Patient-open", *vendor], name="A")
    bench.expect_accepted(answer, "names that no catalogue holds")
    a = await bench.join("A", ["Patient-open", *vendor])
    missing = {it.lower() for it in vendor} - events_in(a.confirmation)
    expect(not missing, f"not granted: {sorted(missing)}")


@check("D-36", title="Who gives no subscriber.name is given one", only="base")
async def missing_name_is_made_up(bench: Bench) -> None:
    a = await bench.join("A", ["SyncError"])
    nameless = await bench.join("", ["Patient-open"])
    await bench.publish(new_case().opens_patient(bench.topic))
    await nameless.acknowledge(await next_of(bench, nameless, "Patient-open"), "409")
    frame = await next_of(bench, a, "SyncError")
    coding = frame["event"]["context"][0]["resource"]["issue"][0]["details"]["coding"]
    names = [it["code"] for it in coding if it["system"].endswith("/subscribername")]
    expect(names and all(names), "the SyncError names nobody")
