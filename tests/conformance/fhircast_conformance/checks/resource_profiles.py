"""What a hub checks of an open's resources: rows PROF; the others bind who requests it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.check import check, expect
from fhircast_conformance.messages import item, new_case
from fhircast_conformance.steps import REPORT, seen

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench


@check("PROF-09", title="An open of a report without its report or its patient is refused")
async def incomplete_open_is_refused(bench: Bench) -> None:
    a = await bench.join("A", REPORT)
    case = new_case()
    for left_out in ("report", "patient"):
        event = case.opens(bench.topic)
        event["event"]["context"] = [it for it in case.items() if it["key"] != left_out]
        bench.expect_refused(await bench.wire.post(event), why=f"an open without {left_out}")
    await seen(bench, a, case.opens(bench.topic))


@check("PROF-09", title="An open of a report may hold two studies", only="base")
async def two_studies_are_accepted(bench: Bench) -> None:
    a = await bench.join("A", REPORT)
    case = new_case()
    event = case.opens(bench.topic)
    second = new_case(patient=case.patient).study
    event["event"]["context"].append(item("study", second))
    bench.expect_accepted(await bench.wire.post(event), "an open with two studies")
    await bench.expect_frame(a, event)


@check("D-37", title="A report names its study by `study` or by `imagingStudy`, and stays so")
async def either_reference_to_the_study_is_accepted(bench: Bench) -> None:
    a = await bench.join("A", REPORT)
    for left_out in ("study", "imagingStudy"):
        case = new_case()
        del case.report[left_out]
        event = case.opens(bench.topic)
        bench.expect_accepted(await bench.wire.post(event), f"a report without {left_out}")
        frame = await bench.expect_frame(a, event)
        same = frame["event"]["context"] == event["event"]["context"]
        expect(same, "the hub has rewritten the report")
