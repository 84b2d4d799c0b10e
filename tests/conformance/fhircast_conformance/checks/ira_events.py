"""IHE IRA: events of a reporting session (RAD-148 to RAD-151)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from fhircast_conformance.check import check, expect
from fhircast_conformance.messages import (
    delete,
    new_case,
    new_id,
    put,
    target,
)
from fhircast_conformance.reading import is_empty, shows, version_of
from fhircast_conformance.steps import (
    REPORT,
    content,
    holds,
    join_otherwise,
    open_report,
    require_current,
    seen,
    shared_report,
    versioned_report,
)

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Case, Json


async def _expect_400(bench: Bench, event: Json, why: str) -> None:
    bench.expect_refused(await bench.wire.post(event), 400, why=why)


def _without(event: Json, key: str) -> Json:
    """Return an event without the items of one key, and with an id of its own."""
    context = [it for it in event["event"]["context"] if it["key"] != key]
    return event | {"id": new_id(), "event": event["event"] | {"context": context}}


@check("IRA-HUB-07", title="An open without timestamp, id or event is 400")
async def incomplete_message_is_400(bench: Bench) -> None:
    a = await bench.join("A", REPORT)
    for left_out in ("timestamp", "id", "event"):
        event = new_case().opens(bench.topic)
        del event[left_out]
        await _expect_400(bench, event, f"an open without {left_out}")
    await seen(bench, a, new_case().opens(bench.topic))


@check("IRA-HUB-07", title="An open without report, patient or study is 400")
async def incomplete_open_is_400(bench: Bench) -> None:
    a = await bench.join("A", REPORT)
    event = new_case().opens(bench.topic)
    for key in ("report", "patient", "study"):
        await _expect_400(bench, _without(event, key), f"an open without {key}")
    await seen(bench, a, event)


@check("IRA-HUB-07", title="An open in a session that nobody made is 400")
async def open_in_an_unknown_session_is_400(bench: Bench) -> None:
    await open_report(bench)
    await _expect_400(bench, new_case().opens(new_id()), "the topic is unknown")


@check("IRA-HUB-08", title="The open of what is open already makes it current, content kept")
async def reopen_makes_current(bench: Bench) -> None:
    a, case, observation, before = await shared_report(bench)
    await seen(bench, a, new_case().opens(bench.topic))
    event = case.opens(bench.topic)
    bench.expect_accepted(await bench.wire.post(event), "the open of what is open already")
    frame = await bench.expect_frame(a, event)
    expect(version_of(frame) not in {"", version_of(before)}, "the version has not moved")
    expect(shows(await bench.context(), case.report), "the report did not become current")
    expect(await holds(bench, observation), "the shared Observation is gone")


@check("IRA-HUB-09", title="A close without report, or without the report's id, is 400")
async def incomplete_close_is_400(bench: Bench) -> None:
    a, case, _ = await open_report(bench)
    event = case.closes(bench.topic)
    await _expect_400(bench, _without(event, "report"), "a close without report")
    nameless = copy.deepcopy(_without(event, ""))
    del nameless["event"]["context"][0]["resource"]["id"]
    await _expect_400(bench, nameless, "a close whose report has no id")
    await seen(bench, a, event)


@check("IRA-HUB-09", title="A close leaves no current context")
async def close_empties_the_current_context(bench: Bench) -> None:
    a, case, _, _ = await shared_report(bench)
    await seen(bench, a, case.closes(bench.topic))
    view = await bench.context()
    expect(is_empty(view, is_ira=True), f"GET still shows {view['context.type']!r}")


@check("IRA-HUB-09", title="A close removes the content")
async def close_removes_the_content(bench: Bench) -> None:
    a, case, _, _ = await shared_report(bench)
    await seen(bench, a, case.closes(bench.topic))
    await seen(bench, a, case.opens(bench.topic))
    expect(not await content(bench), "the content outlived the close")


async def _expect_409(bench: Bench, case: Case, version: str, why: str) -> None:
    for event in (
        case.updates(bench.topic, version, put(case.observation())),
        case.selects(bench.topic, target(case.study)),
        case.closes(bench.topic),
    ):
        what = f"{event['event']['hub.event']} of a report that {why}"
        bench.expect_refused(await bench.wire.post(event), 409, why=what)


@check("IRA-HUB-10", title="Update, select and close of what was never opened are 409")
async def never_opened_is_409(bench: Bench) -> None:
    _, _, frame = await open_report(bench)
    await _expect_409(bench, new_case(), version_of(frame), "was never opened")


@check("IRA-HUB-10", title="Update, select and close of what is closed are 409")
async def closed_is_409(bench: Bench) -> None:
    a, case, frame = await open_report(bench)
    await seen(bench, a, case.closes(bench.topic))
    await _expect_409(bench, case, version_of(frame), "is closed")


@check("IRA-HUB-11", title="An update without report or updates is 400")
async def incomplete_update_is_400(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    event = case.updates(bench.topic, version, put(case.observation()))
    for key in ("report", "updates"):
        await _expect_400(bench, _without(event, key), f"an update without {key}")
    await seen(bench, a, event)


@check("IRA-HUB-11", title="An update on another version than the newest is 400")
async def stale_update_is_400(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    await seen(bench, a, case.updates(bench.topic, version, put(case.observation())))
    event = case.updates(bench.topic, version, put(case.observation()))
    await _expect_400(bench, event, "the version is an old one")


@check("IRA-HUB-11", title="An update that deletes patient or study is 400")
async def deletion_of_patient_or_study_is_400(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    for resource in (case.patient, case.study):
        event = case.updates(bench.topic, version, delete(target(resource)))
        await _expect_400(bench, event, f"a DELETE of the {resource['resourceType']}")
    await seen(bench, a, case.updates(bench.topic, version, put(case.observation())))


@check("IRA-HUB-11", title="An update that changes patient id, Study UID or accession is 400")
async def change_of_identifiers_is_400(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    for resource, index, what in (
        (case.patient, 0, "the patient id"),
        (case.study, 0, "the Study Instance UID"),
        (case.study, 1, "the accession number"),
    ):
        changed = copy.deepcopy(resource)
        changed["identifier"][index]["value"] += "1"
        event = case.updates(bench.topic, version, put(changed))
        await _expect_400(bench, event, f"{what} would change")
    await seen(bench, a, case.updates(bench.topic, version, put(case.observation())))


@check("IRA-HUB-11", title="An update that adds to the patient is accepted")
async def addition_to_the_patient_is_accepted(bench: Bench) -> None:
    _, case, version = await versioned_report(bench)
    known = case.patient | {"telecom": [{"system": "phone", "value": "555 0100"}]}
    event = case.updates(bench.topic, version, put(known))
    bench.expect_accepted(await bench.wire.post(event), "a phone number for the patient")


@check("IRA-HUB-12", title="Unknown resources in a selection are no error: 206, and passed on")
async def unknown_selection_is_206(bench: Bench) -> None:
    a, case, observation, _ = await shared_report(bench)
    event = case.selects(bench.topic, target(observation), f"Observation/{new_id()}")
    answer = await bench.wire.post(event)
    expect(answer.status_code == 206, f"the hub answered {answer.status_code}")
    await bench.expect_frame(a, event)


@check("IRA-HUB-12", title="A selection of known resources is accepted, and not as a part")
async def known_selection_is_accepted(bench: Bench) -> None:
    _, case, observation, _ = await shared_report(bench)
    answer = await bench.wire.post(case.selects(bench.topic, target(observation)))
    bench.expect_accepted(answer, "a selection of what was shared")
    expect(answer.status_code != 206, "206 says that something unknown was ignored")


@check("IRA-HUB-12", title="A select without report or select is 400")
async def incomplete_select_is_400(bench: Bench) -> None:
    a, case, observation, _ = await shared_report(bench)
    event = case.selects(bench.topic, target(observation))
    for key in ("report", "select"):
        await _expect_400(bench, _without(event, key), f"a select without {key}")
    await seen(bench, a, event)


@check("IRA-HUB-20", title="An open sent twice is accepted twice and broadcast once")
async def repeated_open_is_one(bench: Bench) -> None:
    a = await bench.join("A", REPORT)
    event = new_case().opens(bench.topic)
    await bench.publish(event)
    bench.expect_accepted(await bench.wire.post(event), "the same open once more")
    await bench.expect_frame(a, event)
    await bench.expect_silence(a, why="the second POST is a retry of the first")


@check("IRA-HUB-20", title="An update sent twice makes one version")
async def repeated_update_is_one(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    event = case.updates(bench.topic, version, put(case.observation()))
    await bench.publish(event)
    bench.expect_accepted(await bench.wire.post(event), "the same update once more")
    frame = await bench.expect_frame(a, event)
    await bench.expect_silence(a, why="the second POST is a retry of the first")
    following = case.updates(bench.topic, version_of(frame), put(case.observation()))
    bench.expect_accepted(await bench.wire.post(following), "an update on the one version")


@check("IRA-HUB-21", title="Other events than a report's are processed: a study becomes current")
async def study_becomes_current(bench: Bench) -> None:
    a = await bench.join("A", [*REPORT, "ImagingStudy-open", "ImagingStudy-close"])
    report = new_case()
    await seen(bench, a, report.opens(bench.topic))
    await require_current(bench, report.report)
    event = new_case().opens_study(bench.topic)
    bench.expect_accepted(await bench.wire.post(event), "an ImagingStudy-open")
    await bench.expect_frame(a, event)
    kind = (await bench.context())["context.type"]
    expect(kind == "ImagingStudy", f"the current context is a {kind or 'none'}")


@check("IRA-HUB-21", title="The hub itself neither closes a context nor changes the current one")
async def hub_changes_no_context_itself(bench: Bench) -> None:
    a, first, _ = await open_report(bench)
    await require_current(bench, first.report)
    await join_otherwise(bench, "P", ["Patient-open"])
    case = new_case()
    await seen(bench, a, case.opens(bench.topic))
    expect(shows(await bench.context(), case.report), "what was opened last is not current")
    await bench.expect_silence(a, why="nobody but the hub could have sent anything")
