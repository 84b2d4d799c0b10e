"""Following a session: answers, order, several contexts, odd but valid events (2.3, 2.5)."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fhircast_conformance.check import NotApplicable
from fhircast_conformance.messages import item, new_case, new_id, put, stamp, sync_error, target
from fhircast_conformance.subscriber.session import anchor_of
from fhircast_conformance.subscriber.stage import Stage, scenario

if TYPE_CHECKING:
    from fhircast_conformance.messages import Case
    from fhircast_conformance.subscriber.record import Json

LOGOUT_CODES = "http://fhircast.hl7.org/CodeSystem/fhircast-codesystem"


@scenario(title="it answers every notification, with its id", gives=("ACK-01", "ACK-02", "GEN-02"))
async def answers_everything(stage: Stage) -> None:
    """Send twenty notifications of all sorts, with fields that nobody knows."""
    hub = stage.hub
    for number in range(4):
        case = new_case()
        await stage.send({**stage.opening(case, x__unknown=1), "x-unknown": {"a": [number]}})
        if hub.wants("DiagnosticReport-update") and stage.kind == "DiagnosticReport":
            version = hub.session.contexts[stage.anchor(case)].version
            shared = case.observation()
            await stage.send(case.updates(hub.topic, version, put(shared)))
            await stage.send(case.selects(hub.topic, target(shared)))
        await stage.send(stage.closing(stage.anchor(case)))
    failed = sync_error(hub.topic, new_id(), "Patient-open", "Somebody Else")
    await stage.send(failed)
    await stage.send(hub.message("Home-open", []))
    await stage.send(hub.message("UserHibernate", [left("user-initiated")]))
    extended = hub.message("org.example.marker", [{"key": "extension", "data": {"x": 1}}])
    await hub.notify(extended, unasked=True)
    await hub.notify(hub.message("org.example.other", []), unasked=True)


def left(code: str) -> Json:
    """Return the context item of a UserLogout or UserHibernate."""
    parameter = {"name": "code", "valueCoding": {"system": LOGOUT_CODES, "code": code}}
    return item("parameters", {"resourceType": "Parameters", "parameter": [parameter]})


@scenario(
    title="it answers duplicates, and different events with one id", gives=("ACK-01", "ACK-02")
)
async def answers_duplicates(stage: Stage) -> None:
    """Send an open twice, then another event with its id."""
    first = stage.opening(new_case())
    await stage.follow(first)
    await stage.hub.notify(first)
    await stage.send(stage.opening(new_case(), id=first["id"]))


@scenario("EVT-10", title="an open that is older than the current one is passed over")
async def passes_over_an_older_open(stage: Stage) -> None:
    """Open one context now, then another with an earlier time; the first one stays."""
    newer, older = new_case(), new_case()
    await stage.follow(stage.opening(newer))
    status = await stage.follow(stage.opening(older, timestamp=stamp(ahead_seconds=-60)))
    if status >= 400:
        stage.findings.judge("EVT-10", f"the older open was refused ({status}) and not ignored")
        return
    await _judge_shown(stage, newer, "EVT-10", "it follows an older open")


@scenario("TAB-04", title="several opens in a row and switching back are no error")
async def follows_several_opens(stage: Stage) -> None:
    """Open p1, p2, and p1 again, without a close."""
    first, second = new_case(), new_case()
    since = stage.hub.now()
    for case in (first, second, first):
        status = await stage.follow(stage.opening(case))
        wrong = f"an open beside another one was refused ({status})" if status >= 400 else ""
        stage.findings.judge("TAB-04", wrong)
    await stage.quiet()
    for suffix, what in (("-close", "a close"), ("SyncError", "a SyncError")):
        sent = stage.hub.record.posts(since, suffix)
        stage.findings.judge("TAB-04", f"it sent {what} because another open came" if sent else "")


@scenario("PROF-12", title="a missing name, gender or birth date is no error")
async def follows_a_sparse_open(stage: Stage) -> None:
    """Open with nothing but what is required."""
    case = new_case()
    kept = {"resourceType", "id", "identifier"}
    bare = new_case(patient={key: it for key, it in case.patient.items() if key in kept})
    status = await stage.follow(stage.opening(bare))
    wrong = f"an open of a patient without name, gender, birth date was refused ({status})"
    stage.findings.judge("PROF-12", wrong if status >= 400 else "")


@scenario("EVT-18", title="a full resource is accepted where a few elements would do")
async def follows_a_huge_open(stage: Stage) -> None:
    """Open with a Patient of 300 kB, with extensions and contained resources."""
    status = await stage.follow(stage.opening(new_case(patient=_huge_patient(new_case()))))
    wrong = f"an open with a Patient of 300 kB was refused ({status})" if status >= 400 else ""
    stage.findings.judge("EVT-18", wrong)


async def _judge_shown(stage: Stage, case: Case, row: str, wrong: str) -> None:
    """Judge that the application shows a case: by looking, else by where it shares content."""
    anchor = stage.anchor(case)
    name = case.patient["name"][0]
    words = f"patient {name['given'][0]} {name['family']} ({anchor})"
    shown = await stage.app.shows(anchor, words)
    if shown is None and stage.hub.wants(f"{stage.kind}-update"):
        try:
            since = await stage.act("update")
        except NotApplicable:
            raise NotApplicable("needs somebody who sees what the application shows") from None
        shown = anchor_of((await stage.posted("-update", since)).event) == anchor
    if shown is None:
        raise NotApplicable("needs somebody who sees what the application shows")
    stage.findings.judge(row, "" if shown else wrong)


def _huge_patient(case: Case) -> Json:
    patient = deepcopy(case.patient)
    at = datetime.now(UTC) - timedelta(days=1)
    patient["extension"] = [
        {"url": f"https://example.org/extension/{number}", "valueString": "x" * 200}
        for number in range(1000)
    ]
    organization = {"resourceType": "Organization", "id": "o1", "name": "Sample " + "y" * 60_000}
    patient["contained"] = [organization]
    patient["managingOrganization"] = {"reference": "#o1"}
    patient["meta"] = {"lastUpdated": at.isoformat(timespec="seconds"), "versionId": "7"}
    return patient
