"""What the texts leave open about requests and their broadcast: D-01, 25, 27, 28, 46, 50."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, NotApplicable, check, expect
from fhircast_conformance.messages import new_case, new_id, put, stamp
from fhircast_conformance.watching import (
    next_of,
    only,
    patient_of,
    quiet_session,
    received,
    version_of,
)

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Case, Json


async def _opened_report(bench: Bench) -> tuple[Case, Json]:
    """Open a report; return it and the frame of its open.

    Raises:
        NotApplicable: The hub assigns no version, so it shares no content.
        Blocked: No open came.
    """
    a = await bench.join("A", ["DiagnosticReport-open"])
    case = new_case()
    await bench.publish(case.opens(bench.topic))
    frames = only(await received(bench, a), "DiagnosticReport-open")
    if not frames:
        raise Blocked("the open did not come")
    if not version_of(frames[0]):
        raise NotApplicable("the hub assigns no versions, so it shares no content")
    return case, frames[0]


@check("D-01", title="The version is written `context.versionId`")
async def version_is_prefixed(bench: Bench) -> None:
    _, frame = await _opened_report(bench)
    expect("context.versionId" in frame["event"], "the open has no context.versionId")
    expect("versionId" not in frame["event"], "the open has versionId")


@check("D-01", title="An update may name the version by either spelling")
async def both_spellings_of_the_version_are_read(bench: Bench) -> None:
    case, frame = await _opened_report(bench)
    update = case.updates(bench.topic, None, put(case.observation()))
    update["event"]["versionId"] = version_of(frame)
    bench.expect_accepted(await bench.wire.post(update), "an update with versionId")


@check("D-25", title="Accepted: JSON. Refused: plain text")
async def answers_are_json_and_refusals_text(bench: Bench) -> None:
    await quiet_session(bench)
    accepted = await bench.publish(new_case().opens_patient(bench.topic))
    kind = accepted.headers.get("content-type", "")
    expect(kind.startswith("application/json"), f"accepted is {kind or 'without a type'}")
    refused = await bench.wire.post(b"no JSON")
    bench.expect_refused(refused, why="a body that is no JSON")
    kind = refused.headers.get("content-type", "")
    expect(kind.startswith("text/plain") and refused.text, f"refused is {kind or 'empty'}")


@check("D-27", title="A timestamp without a zone is read as UTC")
async def timestamp_without_zone_is_utc(bench: Bench) -> None:
    await quiet_session(bench)
    bare = stamp().removesuffix("Z")
    answer = await bench.wire.post(new_case().opens_patient(bench.topic, timestamp=bare))
    bench.expect_accepted(answer, "a timestamp without a zone")


@check("D-27", title="A timestamp far ahead is refused with 400, one a little ahead is not")
async def timestamp_far_ahead_is_refused(bench: Bench) -> None:
    await quiet_session(bench)
    near = new_case().opens_patient(bench.topic, timestamp=stamp(ahead_seconds=60))
    bench.expect_accepted(await bench.wire.post(near), "a timestamp one minute ahead")
    far = new_case().opens_patient(bench.topic, timestamp=stamp(ahead_seconds=3600))
    bench.expect_refused(await bench.wire.post(far), 400, why="a timestamp one hour ahead")


@check("D-27", title="An older open is passed on, but does not become current")
async def older_open_does_not_become_current(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    current, older = new_case(), new_case()
    await bench.publish(current.opens_patient(bench.topic))
    answer = await bench.wire.post(
        older.opens_patient(bench.topic, timestamp=stamp(ahead_seconds=-60))
    )
    bench.expect_accepted(answer, "an open that is a minute old")
    came = [patient_of(it) for it in only(await received(bench, a), "Patient-open")]
    expect(older.patient["id"] in came, "the older open was not passed on")
    shown = str(await bench.context())
    expect(current.patient["id"] in shown, "the older open has become current")


@check("D-28", title="A request that is repeated is accepted, but not passed on again")
async def repeated_request_is_passed_on_once(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    event = new_case().opens_patient(bench.topic)
    await bench.publish(event)
    bench.expect_accepted(await bench.wire.post(event), "a repeated request")
    frames = only(await received(bench, a), "Patient-open")
    expect(len(frames) == 1, f"one notification is due; {len(frames)} came")


@check("D-28", title="Another request under a known id is refused with 409")
async def known_id_with_another_body_is_refused(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    event = new_case().opens_patient(bench.topic)
    await bench.publish(event)
    other = new_case().opens_patient(bench.topic, id=event["id"])
    bench.expect_refused(await bench.wire.post(other), 409, why="the id was used by another event")
    frames = only(await received(bench, a), "Patient-open")
    expect(len(frames) == 1, f"one notification is due; {len(frames)} came")


@check("D-28", title="An open that met an error is passed on again when it is repeated")
async def resent_open_is_passed_on_again(bench: Bench) -> None:
    a = await bench.join("A", ["SyncError"])
    b = await bench.join("B", ["Patient-open"])
    event = new_case().opens_patient(bench.topic)
    await bench.publish(event)
    await b.acknowledge(await next_of(bench, b, "Patient-open"), "409")
    await a.acknowledge(await next_of(bench, a, "SyncError"))
    await bench.publish(event)
    expect(only(await received(bench, b), "Patient-open"), "the resent open did not come again")


@check("D-46", title="An accepted open is answered with its id and version")
async def accepted_open_is_answered_with_its_version(bench: Bench) -> None:
    a = await bench.join("A", ["DiagnosticReport-open"])
    event = new_case().opens(bench.topic)
    body = (await bench.publish(event)).json()
    expect(body.get("id") == event["id"], f"id is {body.get('id')}")
    [frame] = only(await received(bench, a), "DiagnosticReport-open")
    told, broadcast = body.get("context.versionId", ""), version_of(frame)
    expect(told == broadcast, f"the answer says version {told}, the broadcast {broadcast}")


@check("D-46", title="An accepted event without a version is answered with its id")
async def accepted_event_is_answered_with_its_id(bench: Bench) -> None:
    await quiet_session(bench)
    case = new_case()
    await bench.publish(case.opens_patient(bench.topic))
    event = case.closes_patient(bench.topic)
    body = (await bench.publish(event)).json()
    expect(body.get("id") == event["id"], f"id is {body.get('id')}")


@check("D-46", title="A repeated request gets the first answer again")
async def repeated_request_gets_the_same_answer(bench: Bench) -> None:
    await quiet_session(bench)
    event = new_case().opens(bench.topic)
    first, second = await bench.publish(event), await bench.publish(event)
    expect(first.json() == second.json(), "the answers differ")
    expect(first.status_code == second.status_code, "the statuses differ")


@check("D-50", title="Messages that the hub makes: id a UUID, timestamp ends in Z")
async def own_frames_are_written_strictly(bench: Bench) -> None:
    a = await bench.join("A", ["SyncError"])
    b = await bench.join("B", ["Patient-open"])
    await bench.publish(new_case().opens_patient(bench.topic))
    await b.acknowledge(await next_of(bench, b, "Patient-open"), "409")
    frame = await next_of(bench, a, "SyncError")
    expect(frame["timestamp"].endswith("Z"), f"the timestamp is {frame['timestamp']}")
    expect(_is_uuid(frame["id"]), f"the id is {frame['id']}")


@check("D-50", title="Id and timestamp of a request are passed on as they were written")
async def request_is_passed_on_as_written(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    fields = {"id": f"OHIF-{new_id()[:4]}", "timestamp": stamp().replace("Z", "+00:00")}
    await bench.publish(new_case().opens_patient(bench.topic, **fields))
    frame = await next_of(bench, a, "Patient-open")
    expect(frame["id"] == fields["id"], f"id: {fields['id']} became {frame['id']}")
    same = frame["timestamp"] == fields["timestamp"]
    expect(same, f"timestamp: {fields['timestamp']} became {frame['timestamp']}")


@check("D-50", title="There is no heartbeat event", patience=lambda bench: bench.timers.ping)
async def no_heartbeat_comes(bench: Bench) -> None:
    vendor = ["heartbeat"] if bench.hub.takes_unknown_events else []
    a = await bench.join("A", ["Patient-open", *vendor])
    await bench.expect_quiet(a, max(bench.timers.silence, bench.timers.ping), why="nothing is due")


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
