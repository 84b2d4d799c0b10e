"""SyncErrors that a hub makes and passes on: sections 2.5 and 3.2.1, rows SYNC."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, NotApplicable, check, expect
from fhircast_conformance.messages import new_case, put, sync_error
from fhircast_conformance.reading import coding_list, issue_of, names, version_of
from fhircast_conformance.steps import REPORT, join_otherwise, open_report, seen, unacknowledged
from fhircast_conformance.steps import sync_error as told

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json
    from fhircast_conformance.wire import Socket

_EVENTS = ("Patient-open", "SyncError")


async def _refused(bench: Bench, status: str = "409") -> tuple[Json, Socket, Socket]:
    """Return a Patient-open that A follows and B refuses, and both."""
    a, b = await bench.join("A", _EVENTS), await bench.join("B", _EVENTS)
    event = new_case().opens_patient(bench.topic)
    await seen(bench, a, event)
    await b.acknowledge(await unacknowledged(bench, b), status)
    return event, a, b


async def _told(bench: Bench) -> tuple[Json, Json]:
    """Return a Patient-open that B refuses, and the SyncError that A gets about it."""
    event, a, _ = await _refused(bench)
    return event, await told(bench, a)


def _about(bench: Bench) -> Json:
    return sync_error(bench.topic, "an-earlier-event", "Patient-open", "A")


@check("SYNC-01", title="When a subscriber refuses an event, the others get a SyncError")
async def refusal_is_announced(bench: Bench) -> None:
    _, a, _ = await _refused(bench)
    await bench.expect_frame(a, "SyncError")


@check("SYNC-01", title="When a subscriber fails to process an event, the others get a SyncError")
async def failure_is_announced(bench: Bench) -> None:
    _, a, _ = await _refused(bench, "500")
    await bench.expect_frame(a, "SyncError")


@check("SYNC-02", title="A SyncError holds one OperationOutcome with one issue `processing`")
async def sync_error_is_one_processing_issue(bench: Bench) -> None:
    _, frame = await _told(bench)
    context = frame["event"].get("context") or []
    keys = [it.get("key") for it in context]
    expect(keys == ["operationoutcome"], f"the keys of the context are {keys}")
    outcome = context[0].get("resource") or {}
    found = outcome.get("resourceType")
    expect(found == "OperationOutcome", f"the resource is a {found}")
    codes = [it.get("code") for it in outcome.get("issue") or []]
    expect(codes.count("processing") == 1, f"the codes of the issues are {codes}")


@check("SYNC-03", title="The issue is a warning and says in words who is out of step")
async def sync_error_says_who_in_words(bench: Bench) -> None:
    _, frame = await _told(bench)
    issue = issue_of(frame)
    permitted = {"warning", "information"} if bench.is_ira else {"warning"}  # RAD-155
    expect(issue.get("severity") in permitted, f"severity is {issue.get('severity')}")
    words = issue.get("diagnostics") or ""
    expect("B" in words, f"diagnostics do not name the subscriber B: {words}")


@check("D-03", title="The severity is always `warning`")
async def severity_is_warning(bench: Bench) -> None:
    _, frame = await _told(bench)
    severity = issue_of(frame).get("severity")
    expect(severity == "warning", f"severity is {severity}")


@check("SYNC-04", title="The codings say which event, its name and which subscriber, each once")
async def sync_error_names_event_and_subscriber(bench: Bench) -> None:
    event, frame = await _told(bench)
    found = Counter(system for system, _ in coding_list(frame))
    expect(max(found.values(), default=0) == 1, f"a system occurs twice: {dict(found)}")
    codes = dict(coding_list(frame))
    expect(codes.get("eventid") == event["id"], f"eventid is {codes.get('eventid')}")
    named = codes.get("eventname", "")
    expect(named.lower() == "patient-open", f"eventname is {named or 'missing'}")
    expect(names(frame, "B"), f"no coding names the subscriber B: {codes}")


@check(
    "SYNC-04",
    title="The codings name a subscriber whose connection was lost, too",
    patience=lambda bench: bench.timers.grace,
)
async def sync_error_names_lost_subscriber(bench: Bench) -> None:
    a, b = await bench.join("A", _EVENTS), await bench.join("B", _EVENTS)
    await b.abort()
    await bench.pause(bench.timers.grace)
    try:
        frame = await told(bench, a)
    except Blocked:
        raise NotApplicable("the hub does not announce lost connections (SYNC-06)") from None
    expect(names(frame, "B"), f"no coding names the subscriber B: {coding_list(frame)}")


@check("D-02", title="eventid, eventname, subscribername in this order, then the older spelling")
async def codings_are_in_order(bench: Bench) -> None:
    _, frame = await _told(bench)
    systems = [system for system, _ in coding_list(frame)]
    due = ["eventid", "eventname", "subscribername", "subscriber"]
    expect(systems[:4] == due, f"the systems are {systems}")
    codes = dict(coding_list(frame))
    expect(codes["subscriber"] == codes["subscribername"], "the last two codes differ")


@check("SYNC-05", title="Who did not subscribe to SyncError gets none that the hub makes")
async def sync_error_of_the_hub_only_to_its_subscribers(bench: Bench) -> None:
    a = await bench.join("O", _EVENTS)
    n = await join_otherwise(bench, "N", ["Patient-open"])
    event, _, _ = await _refused(bench)
    await bench.expect_frame(n, event)
    await told(bench, a)
    await bench.expect_silence(n, why="N did not subscribe to SyncError")


@check("SYNC-05", title="Who did not subscribe to SyncError gets none that a subscriber sends")
async def sync_error_of_a_subscriber_only_to_its_subscribers(bench: Bench) -> None:
    a = await bench.join("A", _EVENTS)
    n = await join_otherwise(bench, "N", ["Patient-open"])
    await seen(bench, a, _about(bench))
    await bench.expect_silence(n, why="N did not subscribe to SyncError")


@check("SYNC-10", title="A subscriber's SyncError goes to all its subscribers, as it was sent")
async def sync_error_of_a_subscriber_is_distributed(bench: Bench) -> None:
    a, b = await bench.join("A", _EVENTS), await bench.join("B", _EVENTS)
    event = _about(bench)
    bench.expect_accepted(await bench.wire.post(event), "a SyncError of a subscriber")
    for socket in (a, b):
        frame = await bench.expect_frame(socket, event)
        same = frame["event"]["context"] == event["event"]["context"]
        expect(same, f"{socket.name} got another context than was sent")


@check("D-16", title="The subscriber that refused gets the SyncError about it, too")
async def refuser_gets_the_sync_error(bench: Bench) -> None:
    _, a, b = await _refused(bench)
    await told(bench, a)
    await bench.expect_frame(b, "SyncError")


@check("SYNC-14", "D-20", title="An error about a SyncError makes no further SyncError")
async def no_sync_error_about_a_sync_error(bench: Bench) -> None:
    c = await bench.join("C", _EVENTS)
    _, a, _ = await _refused(bench)
    await told(bench, c)
    await a.acknowledge(await unacknowledged(bench, a), "500")
    await bench.expect_silence(a, c, why="one SyncError is due, about the Patient-open")


@check("SYNC-14", "D-20", title="An error about a subscriber's SyncError makes no further one")
async def no_sync_error_about_a_notified_error(bench: Bench) -> None:
    a, b = await bench.join("A", _EVENTS), await bench.join("B", _EVENTS)
    await seen(bench, a, _about(bench))
    await b.acknowledge(await unacknowledged(bench, b), "500")
    await bench.expect_silence(a, why="a SyncError about a SyncError would never end")


@check("SYNC-14", "D-20", title="Two subscribers that refuse make two SyncErrors")
async def one_sync_error_for_each_refuser(bench: Bench) -> None:
    c = await bench.join("C", _EVENTS)
    _, a, _ = await _refused(bench)
    await c.acknowledge(await unacknowledged(bench, c), "409")
    await told(bench, a)
    await bench.expect_frame(a, "SyncError")
    await bench.expect_silence(a, why="one SyncError for each refuser is due")


@check("D-17", title="A subscriber's error about an update is announced, too")
async def error_about_an_update_is_announced(bench: Bench) -> None:
    events = [*REPORT, "SyncError"]
    a, case, frame = await open_report(bench, events)
    b = await bench.join("B", events)
    await bench.frame(b)
    update = case.updates(bench.topic, version_of(frame), put(case.observation()))
    await seen(bench, a, update)
    await b.acknowledge(await unacknowledged(bench, b), "500")
    await bench.expect_frame(a, "SyncError")


@check("D-34", title="Too large for a subscriber: an issue `processing`, then one `too-long`")
async def too_long_is_a_second_issue(bench: Bench) -> None:
    _, a, _ = await _refused(bench, "413")
    frame = await told(bench, a)
    issues = frame["event"]["context"][0]["resource"]["issue"]
    codes = [it["code"] for it in issues]
    expect(codes == ["processing", "too-long"], f"the codes of the issues are {codes}")
