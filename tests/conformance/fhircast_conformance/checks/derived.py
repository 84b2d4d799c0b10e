"""Opens that the hub derives for who does not follow the source: section 2.5, rows DER."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, check, expect
from fhircast_conformance.messages import item, message, new_case, new_id, target
from fhircast_conformance.reading import name_of, shows, version_of
from fhircast_conformance.steps import REPORT, join_otherwise, seen

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Case, Json
    from fhircast_conformance.wire import Socket

_PATIENTS = ("Patient-open", "Patient-close")
_STUDIES = ("ImagingStudy-open", "ImagingStudy-close")


async def _reporting(bench: Bench, others: tuple[str, ...] = _PATIENTS) -> tuple[Socket, Socket]:
    """Return A, who follows reports, and P, who follows something else.

    Raises:
        NotApplicable: The hub wants one common set of events.
    """
    a = await bench.join("A", REPORT)
    return a, await join_otherwise(bench, "P", others)


async def _derived(bench: Bench, a: Socket, p: Socket, case: Case) -> tuple[Json, Json]:
    """Open a report and return the request and the open that P gets instead; for set-up."""
    event = case.opens(bench.topic)
    await seen(bench, a, event)
    frame = await bench.frame(p)
    if not name_of(frame).endswith("-open") or name_of(frame) == name_of(event):
        raise Blocked("P got no derived open")
    return event, frame


def _holds(frame: Json, key: str, resource: Json) -> bool:
    """Whether a frame holds this resource under a key, whole or as a reference."""
    for it in frame["event"]["context"]:
        if it.get("key") == key:
            found = it.get("resource") or {}
            named = (it.get("reference") or {}).get("reference") or ""
            return found.get("id") == resource["id"] or named == target(resource)
    return False


def _with_encounter(bench: Bench, case: Case) -> tuple[Json, Json]:
    """Return an Encounter-open of the case's patient, and the encounter."""
    encounter = {
        "resourceType": "Encounter",
        "id": new_id(),
        "identifier": [{"system": "urn:oid:2.16.840.1.113883.19.7", "value": new_id()}],
        "status": "unknown",
        "class": {"code": "AMB"},
        "subject": {"reference": target(case.patient)},
    }
    context = [item("encounter", encounter), item("patient", case.patient)]
    return message(bench.topic, "Encounter-open", context), encounter


@check("DER-03", title="The hub derives opens, or wants one common set of events")
async def derives_or_wants_one_set(bench: Bench) -> None:
    a = await bench.join("A", REPORT)
    answer = await bench.wire.subscribe(bench.topic, _PATIENTS, name="P")
    if not answer.is_success:
        return
    p = await bench.join("P", _PATIENTS)
    await seen(bench, a, new_case().opens(bench.topic))
    await bench.expect_frame(p, "Patient-open", "differing events were granted; P must follow")


@check("DER-01", title="Who follows patients alone gets the patient of a report's open")
async def patient_of_a_report_is_derived(bench: Bench) -> None:
    a, p = await _reporting(bench)
    case = new_case()
    await seen(bench, a, case.opens(bench.topic))
    frame = await bench.expect_frame(p, "Patient-open", "P must get a derived Patient-open")
    expect(_holds(frame, "patient", case.patient), "the derived open is of another patient")


@check("DER-01", title="Who follows studies alone gets the study of a report's open")
async def study_of_a_report_is_derived(bench: Bench) -> None:
    a, s = await _reporting(bench, _STUDIES)
    case = new_case()
    await seen(bench, a, case.opens(bench.topic))
    frame = await bench.expect_frame(s, "ImagingStudy-open", "a derived ImagingStudy-open is due")
    expect(_holds(frame, "study", case.study), "the derived open is of another study")


@check("DER-02", title="Who gets the report's open gets no derived open beside it")
async def no_derived_open_beside_the_source(bench: Bench) -> None:
    a, p = await _reporting(bench)
    both = await join_otherwise(bench, "B", [*REPORT, *_PATIENTS])
    event, _ = await _derived(bench, a, p, new_case())
    await bench.expect_frame(both, event)
    await bench.expect_silence(both, why="B understands the source itself")


@check("DER-02", "D-14", title="A patient that a subscriber knows is not derived once more")
async def known_patient_is_not_derived_again(bench: Bench) -> None:
    a, p = await _reporting(bench)
    case = new_case()
    await _derived(bench, a, p, case)
    await seen(bench, a, new_case(patient=case.patient).opens(bench.topic))
    await bench.expect_silence(p, why="P knows this patient already")


@check("DER-02", "D-14", title="A Patient-open that a subscriber got is not derived again")
async def opened_patient_is_not_derived_again(bench: Bench) -> None:
    a = await bench.join("A", ["Encounter-open"])
    p = await join_otherwise(bench, "P", _PATIENTS)
    case, other = new_case(), new_case()
    await seen(bench, a, _with_encounter(bench, other)[0])
    if not _holds(await bench.frame(p), "patient", other.patient):
        raise Blocked("P got no derived open")
    await seen(bench, p, case.opens_patient(bench.topic))
    await seen(bench, a, _with_encounter(bench, case)[0])
    await bench.expect_silence(p, why="P has got this patient by a Patient-open")


@check("D-14", title="Another patient, and the first one again, are derived each time")
async def change_of_patient_is_derived(bench: Bench) -> None:
    a, p = await _reporting(bench)
    first, second = new_case(), new_case()
    await _derived(bench, a, p, first)
    for case in (second, first):
        await seen(bench, a, case.opens(bench.topic))
        frame = await bench.expect_frame(p, "Patient-open", "P must follow to the other patient")
        expect(_holds(frame, "patient", case.patient), "P was led to another patient")


@check("DER-04", title="A derived open has an id of its own and the moment of its source")
async def derived_open_has_id_and_moment(bench: Bench) -> None:
    a, p = await _reporting(bench)
    event, frame = await _derived(bench, a, p, new_case())
    expect(frame["id"] and frame["id"] != event["id"], "the derived open reuses the source's id")
    moments = [datetime.fromisoformat(it["timestamp"]) for it in (event, frame)]
    expect(moments[0] == moments[1], "the timestamp is not that of the source")


@check("DER-04", title="A derived open holds its own event's keys and no version")
async def derived_open_stands_alone(bench: Bench) -> None:
    a, p = await _reporting(bench)
    _, frame = await _derived(bench, a, p, new_case())
    keys = [it.get("key") for it in frame["event"]["context"]]
    expect(keys == ["patient"], f"the keys of the derived Patient-open are {keys}")
    expect(not version_of(frame), "a derived open has no version, as it has no content")


@check("DER-04", title="A close is not derived")
async def close_is_not_derived(bench: Bench) -> None:
    a, p = await _reporting(bench)
    case = new_case()
    await _derived(bench, a, p, case)
    await seen(bench, a, case.closes(bench.topic))
    await bench.expect_silence(p, why="nobody closed the patient")


@check("DER-04", "D-15", title="When the source has closed, its derived open is not replayed")
async def derived_open_ends_with_its_source(bench: Bench) -> None:
    a, p = await _reporting(bench)
    case = new_case()
    await _derived(bench, a, p, case)
    await seen(bench, a, case.closes(bench.topic))
    late = await bench.join("L", _PATIENTS)
    await bench.expect_silence(late, why="the report is closed, and its patient with it")


@check("D-15", title="A report with two studies makes one derived ImagingStudy-open, of the first")
async def one_study_is_derived(bench: Bench) -> None:
    a, s = await _reporting(bench, _STUDIES)
    case = new_case()
    event = case.opens(bench.topic)
    event["event"]["context"].append(item("study", new_case(patient=case.patient).study))
    await seen(bench, a, event)
    frame = await bench.frame(s)
    expect(_holds(frame, "study", case.study), "the derived open is not of the first study")
    await bench.expect_silence(s, why="one ImagingStudy-open is due")


@check("D-15", title="A derived open does not become the current context")
async def derived_open_is_not_current(bench: Bench) -> None:
    a, p = await _reporting(bench)
    case = new_case()
    await _derived(bench, a, p, case)
    view = await bench.context()
    expect(view["context.type"] == "DiagnosticReport", f"the type is {view['context.type']!r}")
    expect(shows(view, case.report), "the report is no longer the current context")


@check("D-13", title="A late joiner that follows patients alone gets the derived open, as it was")
async def derived_open_is_replayed(bench: Bench) -> None:
    a, p = await _reporting(bench)
    _, frame = await _derived(bench, a, p, new_case())
    late = await bench.join("L", _PATIENTS)
    replayed = await bench.expect_frame(late, "Patient-open", "the derived open must be replayed")
    expect(replayed["id"] == frame["id"], "the replayed open has another id than the first time")
