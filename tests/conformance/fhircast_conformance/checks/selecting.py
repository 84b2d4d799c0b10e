"""Selections: sections 2.10 and 3.6.4, rows SEL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.check import check, expect
from fhircast_conformance.messages import message, new_case, new_id, put, ref, target
from fhircast_conformance.reading import prior_version_of, version_of
from fhircast_conformance.steps import open_report, seen, shared_report

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Case, Json
    from fhircast_conformance.wire import Socket

SELECT = "DiagnosticReport-select"


async def _two_shared(bench: Bench) -> tuple[Socket, Case, list[str], Json]:
    """Share two Observations; return A, the case, their references and the last frame."""
    bench.requires_event(SELECT)
    a, case, first, frame = await shared_report(bench)
    second = case.observation()
    frame = await seen(bench, a, case.updates(bench.topic, version_of(frame), put(second)))
    return a, case, [target(first), target(second)], frame


@check("SEL-01", title="A selection of two resources is passed on as it was sent")
async def selection_is_passed_on(bench: Bench) -> None:
    a, case, references, _ = await _two_shared(bench)
    select = case.selects(bench.topic, *references)
    bench.expect_accepted(await bench.wire.post(select), "a selection of what was shared")
    frame = await bench.expect_frame(a, select)
    same = frame["event"]["context"] == select["event"]["context"]
    expect(same, "the selection has changed on its way")


@check("SEL-03", title="A selection in a context that is not current is refused")
async def selection_elsewhere_is_refused(bench: Bench) -> None:
    bench.requires_event(SELECT)
    a, first, _ = await open_report(bench)
    second = new_case()
    await seen(bench, a, second.opens(bench.topic))
    select = first.selects(bench.topic, target(first.study))
    bench.expect_refused(await bench.wire.post(select), why="another report is current")
    await seen(bench, a, second.selects(bench.topic, target(second.study)))


@check("SEL-04", title="A selection is passed on and makes no version of the content")
async def selection_makes_no_version(bench: Bench) -> None:
    a, case, references, frame = await _two_shared(bench)
    await bench.publish(select := case.selects(bench.topic, references[0]))
    await bench.expect_frame(a, select)
    update = case.updates(bench.topic, version_of(frame), put(case.observation()))
    bench.expect_accepted(await bench.wire.post(update), "an update on the version before")


@check("D-10", title="A selection shows the current version, and no prior one")
async def selection_shows_the_version(bench: Bench) -> None:
    a, case, references, before = await _two_shared(bench)
    frame = await seen(bench, a, case.selects(bench.topic, references[0]))
    shown, due = version_of(frame), version_of(before)
    expect(shown == due, f"the version is {shown or 'missing'}, not {due}")
    expect(not prior_version_of(frame), "a selection has no prior version")


async def _is_read(bench: Bench, *select: Json) -> None:
    """Judge that this spelling of a selection is accepted and passed on."""
    bench.requires_event(SELECT)
    a, case, _ = await open_report(bench)
    context = [ref("report", target(case.report)), *select]
    event = message(bench.topic, SELECT, context)
    bench.expect_accepted(await bench.wire.post(event), f"a selection spelled {select}")
    await bench.expect_frame(a, event)


@check("D-09", title="An empty selection: `reference` is an empty array")
async def empty_reference_clears(bench: Bench) -> None:
    await _is_read(bench, {"key": "select", "reference": []})


@check("D-09", title="An empty selection: no `select` item at all", only="base")
async def absent_select_clears(bench: Bench) -> None:
    await _is_read(bench)


@check("D-09", title="An empty selection: `resource` is an empty array")
async def empty_resource_clears(bench: Bench) -> None:
    await _is_read(bench, {"key": "select", "resource": []})


@check("D-09", title="An empty selection: an item with nothing but its key")
async def item_without_value_clears(bench: Bench) -> None:
    await _is_read(bench, {"key": "select"})


@check("D-09", title="An older selection: one item with an array of references")
async def one_item_with_an_array_is_read(bench: Bench) -> None:
    references = [{"reference": f"Observation/{new_id()}"} for _ in range(2)]
    await _is_read(bench, {"key": "select", "reference": references})


@check("D-09", title="Unknown references are passed on as they are", only="base")
async def unknown_reference_is_passed_on(bench: Bench) -> None:
    a, case, references, _ = await _two_shared(bench)
    select = case.selects(bench.topic, references[0], f"Observation/{new_id()}")
    bench.expect_accepted(await bench.wire.post(select), "a selection of what may be elsewhere")
    frame = await bench.expect_frame(a, select)
    same = frame["event"]["context"] == select["event"]["context"]
    expect(same, "the selection has changed on its way")


@check("D-09", title="Unknown references are dropped, the known ones passed on", only="ira")
async def unknown_reference_is_dropped(bench: Bench) -> None:
    a, case, references, _ = await _two_shared(bench)
    unknown = f"Observation/{new_id()}"
    frame = await seen(bench, a, case.selects(bench.topic, references[0], unknown))
    chosen = [it["reference"] for it in frame["event"]["context"] if it["key"] == "select"]
    due = [{"reference": references[0]}]
    expect(chosen == due, f"{len(chosen)} references are passed on, or another one")
