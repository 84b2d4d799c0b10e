"""The entries of an update's Bundle: sections 2.10 and 3.6.3, rows CONT-08 to CONT-15.

These rows bind who requests an update; here it is judged that the hub takes what is right, and
refuses what is not instead of passing it on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.check import check, expect
from fhircast_conformance.messages import bundle, delete, item, new_case, new_id, put, target
from fhircast_conformance.reading import shows, version_of
from fhircast_conformance.steps import content, holds, seen, shared_report, versioned_report

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json


async def _expect_refused(bench: Bench, why: str, *entries: Json) -> None:
    """Judge that an update with these entries is refused, where a right one is accepted."""
    a, case, version = await versioned_report(bench)
    bench.expect_refused(
        await bench.wire.post(case.updates(bench.topic, version, *entries)), why=why
    )
    await seen(bench, a, case.updates(bench.topic, version, put(case.observation())))


async def _expect_context_refused(bench: Bench, why: str, left_out: str, *extra: Json) -> None:
    """Judge that an update without one item, and with others, is refused."""
    a, case, version = await versioned_report(bench)
    update = case.updates(bench.topic, version, put(case.observation()))
    context = [it for it in update["event"]["context"] if it["key"] != left_out]
    update["event"]["context"] = [*context, *extra]
    bench.expect_refused(await bench.wire.post(update), why=why)
    await seen(bench, a, case.updates(bench.topic, version, put(case.observation())))


async def _expect_deleted(bench: Bench, named_by: Callable[[str], Json]) -> None:
    """Judge that a shared Observation is deleted by an entry that names it so."""
    a, case, observation, frame = await shared_report(bench)
    entry = named_by(target(observation))
    update = case.updates(bench.topic, version_of(frame), entry)
    bench.expect_accepted(await bench.wire.post(update), "a DELETE of what was shared")
    await bench.expect_frame(a, update)
    expect(not await holds(bench, observation), "the content still holds what was deleted")


@check("CONT-08", title="An update without its anchor is refused")
async def update_without_anchor_is_refused(bench: Bench) -> None:
    await _expect_context_refused(bench, "an update without `report`", "report")


@check("CONT-08", title="An update without a Bundle is refused")
async def update_without_bundle_is_refused(bench: Bench) -> None:
    await _expect_context_refused(bench, "an update without `updates`", "updates")


@check("CONT-08", title="An update with two Bundles is refused")
async def update_with_two_bundles_is_refused(bench: Bench) -> None:
    second = item("updates", bundle(put(new_case().observation())))
    await _expect_context_refused(bench, "an update with two `updates`", "", second)


@check("CONT-09", title="A Bundle of another type than transaction is refused")
async def batch_is_refused(bench: Bench) -> None:
    batch = item("updates", bundle(put(new_case().observation()), type="batch"))
    await _expect_context_refused(bench, "a Bundle of type batch", "updates", batch)


@check("CONT-09", title="A Bundle that puts a resource twice is refused")
async def resource_twice_is_refused(bench: Bench) -> None:
    resource = new_case().observation()
    await _expect_refused(bench, "one resource put twice", put(resource), put(resource))


@check("CONT-09", title="A Bundle that puts and deletes a resource is refused")
async def put_and_delete_is_refused(bench: Bench) -> None:
    resource = new_case().observation()
    await _expect_refused(bench, "put and deleted", put(resource), delete(target(resource)))


@check("CONT-10", title="A PUT of a new resource shares it")
async def put_shares_a_resource(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    observation = case.observation()
    await seen(bench, a, case.updates(bench.topic, version, put(observation)))
    shared = (await content(bench)).get(target(observation))
    expect(shared == observation, "the content does not hold the Observation as it was put")


@check("CONT-10", title="A PUT of a known resource replaces it as a whole")
async def put_replaces_a_resource(bench: Bench) -> None:
    a, case, observation, frame = await shared_report(bench)
    newer = {key: it for key, it in observation.items() if key != "valueString"}
    newer |= {"note": [{"text": "measured anew"}]}
    await seen(bench, a, case.updates(bench.topic, version_of(frame), put(newer)))
    shared = (await content(bench)).get(target(observation))
    expect(shared == newer, "the content does not hold what was put last, and that alone")


@check("CONT-10", title="A PUT of a resource without an id is refused")
async def put_without_id_is_refused(bench: Bench) -> None:
    resource = new_case().observation()
    del resource["id"]
    entry = {"request": {"method": "PUT", "url": "Observation"}, "resource": resource}
    await _expect_refused(bench, "a resource without an id", entry)


@check("CONT-11", title="A DELETE removes a resource, and everybody is told")
async def delete_removes_a_resource(bench: Bench) -> None:
    await _expect_deleted(bench, delete)


@check("CONT-11", title="A DELETE without a target is refused")
async def delete_without_target_is_refused(bench: Bench) -> None:
    await _expect_refused(bench, "a DELETE of nothing", {"request": {"method": "DELETE"}})


@check("CONT-12", title="Neither GET nor PATCH is a method of an update")
async def other_methods_are_refused(bench: Bench) -> None:
    resource = new_case().observation()
    for method in ("GET", "PATCH"):
        entry = put(resource) | {"request": {"method": method, "url": target(resource)}}
        await _expect_refused(bench, f"an entry with {method}", entry)


@check("D-05", title="A POST of a resource with an id is a PUT, and is passed on unchanged")
async def post_is_read_as_put(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    observation = case.observation()
    entry = put(observation) | {"request": {"method": "POST", "url": "Observation"}}
    update = case.updates(bench.topic, version, entry)
    bench.expect_accepted(await bench.wire.post(update), "a POST with an id")
    frame = await bench.expect_frame(a, update)
    sent, got = (it["event"]["context"][-1]["resource"]["entry"] for it in (update, frame))
    expect(got == sent, "the entry has changed on its way")
    expect(await holds(bench, observation), "the content does not hold what was posted")


@check("D-05", title="A POST of a resource without an id is refused")
async def post_without_id_is_refused(bench: Bench) -> None:
    resource = new_case().observation()
    del resource["id"]
    entry = {"request": {"method": "POST", "url": "Observation"}, "resource": resource}
    await _expect_refused(bench, "a POST without an id", entry)


@check("D-06", title="A PUT without a url names its resource by type and id")
async def put_without_url_is_accepted(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    observation = case.observation()
    entry = {"request": {"method": "PUT"}, "resource": observation}
    update = case.updates(bench.topic, version, entry)
    bench.expect_accepted(await bench.wire.post(update), "a PUT without a url")
    await bench.expect_frame(a, update)
    expect(await holds(bench, observation), "the content does not hold what was put")


@check("D-06", title="A DELETE may name its resource by fullUrl alone")
async def delete_by_full_url(bench: Bench) -> None:
    await _expect_deleted(bench, lambda it: {"fullUrl": it, "request": {"method": "DELETE"}})


@check("D-06", title="A DELETE may name its resource by request.url alone")
async def delete_by_url(bench: Bench) -> None:
    await _expect_deleted(bench, lambda it: {"request": {"method": "DELETE", "url": it}})


@check("D-06", title="A DELETE of what is not there is accepted and does nothing")
async def delete_of_the_unknown_is_accepted(bench: Bench) -> None:
    a, case, observation, frame = await shared_report(bench)
    update = case.updates(bench.topic, version_of(frame), delete(f"Observation/{new_id()}"))
    bench.expect_accepted(await bench.wire.post(update), "a DELETE of what is not there")
    await bench.expect_frame(a, update)
    expect(await holds(bench, observation), "another resource is gone")


@check("CONT-13", title="What the open brought cannot be deleted")
async def opened_resources_cannot_be_deleted(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    for resource in (case.report, case.patient, case.study):
        update = case.updates(bench.topic, version, delete(target(resource)))
        why = f"a DELETE of the open's {resource['resourceType']}"
        bench.expect_refused(await bench.wire.post(update), why=why)
    await seen(bench, a, case.updates(bench.topic, version, put(case.observation())))


@check("CONT-15", title="A comparison study can be added to the content and removed again")
async def comparison_study_comes_and_goes(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    study = new_case(patient=case.patient).study
    added = case.updates(bench.topic, version, put(study))
    bench.expect_accepted(await bench.wire.post(added), "a comparison study")
    version = version_of(await bench.expect_frame(a, added))
    expect(await holds(bench, study), "the content does not hold the comparison study")
    expect(not shows(await bench.context(), study), "the study is among the items of the open")
    removed = case.updates(bench.topic, version, delete(target(study)))
    bench.expect_accepted(await bench.wire.post(removed), "the removal of a comparison study")
