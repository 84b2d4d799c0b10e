"""IHE IRA: subscribing, connecting, unsubscribing, reading (RAD-146, 147, 152, 153)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

from fhircast_conformance.check import Blocked, NotApplicable, check, expect, fail
from fhircast_conformance.messages import message, new_case, new_id, put, target
from fhircast_conformance.reading import bundle_of, version_of
from fhircast_conformance.steps import is_confirmed, next_event, open_report
from fhircast_conformance.wire import REPORT_EVENTS

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench

_SHORT_LEASE_SECONDS = 2
_UNKNOWN_TOPIC = "a topic to which nobody has subscribed"


def _short_lease(_: Bench) -> float:
    return _SHORT_LEASE_SECONDS + 1


def _subscribe_form(bench: Bench, **changed: str) -> dict[str, str]:
    """Return a right subscribe form with fields changed, dots written as `__`."""
    form = {
        "hub.channel.type": "websocket",
        "hub.mode": "subscribe",
        "hub.topic": bench.topic,
        "hub.events": ",".join(REPORT_EVENTS),
        "subscriber.name": "A",
    }
    return form | {key.replace("__", "."): value for key, value in changed.items()}


@check("IRA-HUB-01", title="The hub declares the events of reporting and the current context")
async def reporting_is_declared(bench: Bench) -> None:
    if not bench.hub.well_known:
        raise NotApplicable("the hub serves no well-known document")
    for event in REPORT_EVENTS:
        try:
            bench.requires_event(event)
        except NotApplicable as undeclared:
            fail(str(undeclared))
    declared = bench.declares("supportsGetCurrentContext", "getCurrentSupport")
    expect(declared, "GET of the current context is declared as not supported")


@check("IRA-HUB-01", title="A report is opened, read, added to, selected in and closed")
async def transactions_are_supported(bench: Bench) -> None:
    a, case, frame = await open_report(bench)
    answer = await bench.wire.get(bench.topic)
    bench.expect_accepted(answer, "GET of the current context (RAD-153)")
    shared = case.observation()
    for event in (
        case.updates(bench.topic, version_of(frame), put(shared)),
        case.selects(bench.topic, target(shared)),
        case.closes(bench.topic),
    ):
        bench.expect_accepted(await bench.wire.post(event), event["event"]["hub.event"])
        await bench.expect_frame(a, event)


@check("IRA-HUB-02", title="A subscribe with a new topic makes the session")
async def subscribe_makes_the_session(bench: Bench) -> None:
    answer = await bench.wire.form(_subscribe_form(bench))
    bench.expect_accepted(answer, "a subscribe with a topic that the hub does not know")
    opened = await bench.wire.post(new_case().opens(bench.topic))
    bench.expect_accepted(opened, "an event in the session that the subscribe made")


@check("IRA-HUB-02", title="An event for a topic that nobody made is 400")
async def event_without_session_is_400(bench: Bench) -> None:
    event = new_case().opens(new_id())
    bench.expect_refused(await bench.wire.post(event), 400, why=_UNKNOWN_TOPIC)
    await open_report(bench)


@check("IRA-HUB-03", title="A custom event is granted and delivered")
async def custom_event_is_delivered(bench: Bench) -> None:
    a = await bench.join("A", [*REPORT_EVENTS, "org.example.aidone"], fence=False)
    granted = a.confirmation["hub.events"].lower()
    expect("org.example.aidone" in granted, f"the hub granted {granted}")
    event = message(bench.topic, "org.example.aidone", [])
    bench.expect_accepted(await bench.wire.post(event), "a custom event")
    await bench.expect_frame(a, event)


@check("IRA-HUB-04", title="A subscribe with a part empty or wrong is 400")
async def faulty_subscribe_is_400(bench: Bench) -> None:
    await bench.join("A", REPORT_EVENTS)
    for field, value in (
        ("hub.channel.type", "webhook"),
        ("hub.topic", ""),
        ("hub.events", ""),
        ("subscriber.name", ""),
    ):
        answer = await bench.wire.form(_subscribe_form(bench) | {field: value})
        bench.expect_refused(answer, 400, why=f"{field}={value}")


@check("IRA-HUB-04", title="A subscribe without a name is 400")
async def subscribe_without_name_is_400(bench: Bench) -> None:
    await bench.join("A", REPORT_EVENTS)
    form = _subscribe_form(bench)
    del form["subscriber.name"]
    bench.expect_refused(await bench.wire.form(form), 400, why="subscriber.name is missing")


@check("IRA-HUB-05", title="A repeated subscribe updates the list of events")
async def repeated_subscribe_updates_the_events(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open", "SyncError"])
    answer = await bench.wire.subscribe(
        bench.topic, ["ImagingStudy-open"], name="A", hub__channel__endpoint=a.endpoint
    )
    bench.expect_accepted(answer, "a repeated subscribe")
    case = new_case()
    await bench.publish(case.opens_patient(bench.topic))
    await bench.publish(study := case.opens_study(bench.topic))
    frame = await next_event(bench, a)
    got = frame.get("event", {}).get("hub.event")
    expect(frame.get("id") == study["id"], f"only the study must come; it was {got}")


@check("IRA-HUB-05", title="A repeated subscribe begins a new lease", patience=_short_lease)
async def repeated_subscribe_updates_the_expiry(bench: Bench) -> None:
    short, events = str(_SHORT_LEASE_SECONDS), ["Patient-open"]
    a = await bench.join("A", events, hub__lease_seconds=short)
    if a.confirmation["hub.lease_seconds"] != _SHORT_LEASE_SECONDS:
        raise NotApplicable("the hub does not grant the short lease that the check asks for")
    more = {"hub__channel__endpoint": a.endpoint, "hub__lease_seconds": "600"}
    answer = await bench.wire.subscribe(bench.topic, events, name="A", **more)
    bench.expect_accepted(answer, "a repeated subscribe")
    await bench.pause(_SHORT_LEASE_SECONDS + bench.timers.silence)
    await bench.publish(event := new_case().opens_patient(bench.topic))
    try:
        frame = await next_event(bench, a)
    except Blocked as missing:
        fail(f"the subscription ended with the first lease: {missing}")
    expect(frame.get("id") == event["id"], "the subscription ended with the first lease")


@check("IRA-HUB-06", title="An endpoint that the hub never gave is not confirmed")
async def unknown_endpoint_is_refused(bench: Bench) -> None:
    a = await bench.join("A", REPORT_EVENTS)
    head, slash, last = a.endpoint.rpartition("/")
    unknown = head + slash + ("B" if last[:1] != "B" else "C") + last[1:]
    expect(not await is_confirmed(bench, unknown), "an unknown endpoint was confirmed")


@check("IRA-HUB-06", "IRA-HUB-13", title="The endpoint of an ended subscription is not confirmed")
async def retired_endpoint_is_refused(bench: Bench) -> None:
    a = await bench.join("A", REPORT_EVENTS)
    await bench.leave(a)
    expect(not await is_confirmed(bench, a.endpoint), "a retired endpoint was confirmed")


@check("IRA-HUB-13", title="An unsubscribe is 202, names the endpoint and ends the socket")
async def unsubscribe_ends_the_socket(bench: Bench) -> None:
    a = await bench.join("A", REPORT_EVENTS)
    answer = await bench.wire.unsubscribe(bench.topic, a.endpoint)
    expect(answer.status_code == 202, f"the hub answered {answer.status_code}")
    named = answer.json().get("hub.channel.endpoint")
    expect(named == a.endpoint, "the answer does not name the endpoint")
    try:
        while True:
            await a.next(within=bench.timers.answer)
    except TimeoutError:
        fail("the socket stays open")
    except ConnectionClosed:
        return


@check("IRA-HUB-13", title="An unsubscribe with a part missing or foreign is 400")
async def faulty_unsubscribe_is_400(bench: Bench) -> None:
    a = await bench.join("A", REPORT_EVENTS)
    other = await bench.join("O", REPORT_EVENTS, topic=new_id())
    right = {
        "hub.channel.type": "websocket",
        "hub.mode": "unsubscribe",
        "hub.topic": bench.topic,
        "hub.channel.endpoint": a.endpoint,
    }
    for field, value in (
        ("hub.channel.type", "webhook"),
        ("hub.topic", ""),
        ("hub.channel.endpoint", ""),
        ("hub.channel.endpoint", other.endpoint),
    ):
        answer = await bench.wire.form(right | {field: value})
        what = "another session's endpoint" if value == other.endpoint else f"{field}={value}"
        bench.expect_refused(answer, 400, why=f"unsubscribe with {what}")
    await bench.leave(a)


@check("IRA-HUB-14", title="GET of a topic that nobody made is refused")
async def get_validates_the_topic(bench: Bench) -> None:
    await open_report(bench)
    await bench.context()
    bench.expect_refused(await bench.wire.get(new_id()), why=_UNKNOWN_TOPIC)


@check("IRA-HUB-14", title="GET includes the content, even when nothing was shared")
async def get_includes_the_content(bench: Bench) -> None:
    await open_report(bench)
    expect(bundle_of(await bench.context()), "the answer holds no content Bundle")


@check("IRA-HUB-22", title="Subscribes, unsubscribes and reads are audited")
async def queries_are_audited(bench: Bench) -> None:
    raise NotApplicable("audit records go to an audit repository, not over the hub's wire")
