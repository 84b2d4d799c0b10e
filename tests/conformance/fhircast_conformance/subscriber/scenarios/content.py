"""Shared content and selections from others (2.10, 3.6.3, 3.6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.messages import delete, new_case, put, ref, target
from fhircast_conformance.subscriber.stage import Stage, scenario

if TYPE_CHECKING:
    from fhircast_conformance.messages import Case
    from fhircast_conformance.subscriber.record import Json

OPEN, UPDATE, SELECT = (f"DiagnosticReport-{it}" for it in ("open", "update", "select"))


@scenario("CONT-19", title="a large update is followed, or refused with 413")
async def answers_a_large_update(stage: Stage) -> None:
    """Share content of 600 kB at once."""
    case = await _opened(stage, UPDATE)
    entries = [put({**case.observation(), "note": [{"text": "n" * 2000}]}) for _ in range(300)]
    status = await _update(stage, case, *entries)
    fine = status < 300 or status == 413
    wrong = f"an update of 600 kB was answered {status}, neither 2xx nor 413"
    stage.findings.judge("CONT-19", "" if fine else wrong)


@scenario("CONT-18", "IRA-SUB-04", title="after a gap in the versions it reads the context again")
async def reads_after_a_gap(stage: Stage) -> None:
    """Lose an update, then send the next one."""
    case = await _opened(stage, UPDATE)
    await _update(stage, case, put(case.observation()))
    hub = stage.hub
    version = hub.session.contexts[target(case.report)].version
    await stage.send(case.updates(hub.topic, version, put(case.observation())), skip=True)
    since = hub.now()
    await _update(stage, case, put(case.observation()))
    record = hub.record
    has_read = await record.until(lambda: record.reads("context", since), stage.waits.ack)
    if has_read:
        stage.findings.judge("CONT-18")
    else:
        stage.findings.not_applicable("CONT-18", "it did not read again, as it may")
    wrong = "a priorVersionId that it does not know, and no GET of the current context"
    stage.findings.judge("IRA-SUB-04", "" if has_read else wrong)


@scenario("IRA-SUB-04", title="content that an update only refers to is fetched, if it is wanted")
async def fetches_what_is_only_referred_to(stage: Stage) -> None:
    """Share an Observation by its address."""
    case = await _opened(stage, UPDATE)
    hub, observation = stage.hub, case.observation()
    name = target(observation)
    hub.shared[name] = observation
    entry = {
        "fullUrl": f"{hub.hub_url}/shared/{name}",
        "request": {"method": "PUT", "url": name},
    }
    since = hub.now()
    await _update(stage, case, entry)
    record = hub.record
    if await record.until(lambda: record.reads("shared", since), stage.waits.quiet):
        stage.findings.judge("IRA-SUB-04")
    else:
        stage.findings.not_applicable("IRA-SUB-04", "it did not want content by reference")


@scenario("CONT-24", title="an update of a context that is not current gets an answer")
async def answers_an_update_out_of_context(stage: Stage) -> None:
    """Open r1, then r2, and update r1."""
    first = await _opened(stage, UPDATE)
    await stage.follow(new_case().opens(stage.hub.topic))
    status = await _update(stage, first, put(first.observation()))
    fine = 200 <= status < 300 or 400 <= status < 500
    wrong = f"an update of a context that is not current was answered {status}"
    stage.findings.judge("CONT-24", "" if fine else wrong)


@scenario("IRA-SUB-05", title="it follows selections of known, unknown and no resources")
async def follows_selections(stage: Stage) -> None:
    """Select known and unknown resources, then clear the selection in every form (D-09)."""
    case = await _opened(stage, SELECT)
    known = case.observation()
    if stage.hub.wants(UPDATE):
        await _update(stage, case, put(known))
    nowhere = "Observation/00000000-0000-4000-8000-000000000000"
    forms: dict[str, list[Json]] = {
        "a known and an unknown resource": [ref("select", target(known)), ref("select", nowhere)],
        "only an unknown resource": [ref("select", nowhere)],
        "an empty reference": [{"key": "select", "reference": []}],
        "no item select": [],
        "an empty resource": [{"key": "select", "resource": []}],
        "an item without a value": [{"key": "select"}],
        "an array in one item": [
            {"key": "select", "reference": [{"reference": target(known)}]},
        ],
    }
    for words, chosen in forms.items():
        context = [ref("report", target(case.report)), *chosen]
        status = await stage.follow(stage.hub.message(SELECT, context))
        wrong = f"a selection with {words} was answered {status}"
        stage.findings.judge("IRA-SUB-05", wrong if status >= 300 else "")


@scenario("SYNC-11", title="an update that it cannot use is no reason for a SyncError")
async def takes_an_update_it_cannot_use(stage: Stage) -> None:
    """Share resources that nobody asked for, and remove one that is not there."""
    case = await _opened(stage, UPDATE)
    since = stage.hub.now()
    odd = {"resourceType": "Basic", "id": "odd", "code": {"text": "?"}, "x": None}
    status = await _update(stage, case, put(odd), delete("Observation/never-there"))
    await stage.quiet()
    about = stage.hub.record.posts(since, "SyncError")
    stage.findings.judge("SYNC-11", "a SyncError after an update" if about else "")
    refused = status >= 400 and status != 413
    stage.findings.judge("SYNC-11", f"an update was refused with {status}" if refused else "")


async def _opened(stage: Stage, *events: str) -> Case:
    """Open a report whose events the application follows."""
    stage.need(OPEN, *events)
    case = new_case()
    await stage.follow(case.opens(stage.hub.topic))
    return case


async def _update(stage: Stage, case: Case, *entries: Json) -> int:
    version = stage.hub.session.contexts[target(case.report)].version
    return await stage.follow(case.updates(stage.hub.topic, version, *entries))
