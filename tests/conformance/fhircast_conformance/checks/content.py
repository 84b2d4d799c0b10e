"""Content sharing: versions, order, atomicity: section 2.10, rows CONT."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, NotApplicable, check, expect
from fhircast_conformance.messages import new_case, put, target
from fhircast_conformance.reading import content_of, name_of, prior_version_of, shows, version_of
from fhircast_conformance.steps import (
    CONTENT,
    REPORT,
    content,
    holds,
    open_report,
    require_current,
    seen,
    shared_report,
    together,
    versioned_report,
)

if TYPE_CHECKING:
    import httpx

    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Case, Json
    from fhircast_conformance.wire import Socket

_TOO_LARGE_BYTES = 4 * 1024 * 1024
_WRITERS, _UPDATES_EACH = 4, 4


@check("CONT-01", title="An open carries a version; every open carries another one")
async def every_open_has_a_version(bench: Bench) -> None:
    bench.requires_event(CONTENT)
    a, _, first = await open_report(bench)
    second = await seen(bench, a, new_case().opens(bench.topic))
    versions = [version_of(first), version_of(second)]
    expect(all(versions), f"the versions of two opens are {versions}")
    expect(versions[0] != versions[1], "two opens have the same version")


@check("CONT-01", title="The open of a patient carries a version, too")
async def patient_open_has_a_version(bench: Bench) -> None:
    bench.requires_event(CONTENT)
    p = await bench.join("P", ["Patient-open"])
    frame = await seen(bench, p, new_case().opens_patient(bench.topic))
    expect(version_of(frame), "a Patient-open without context.versionId")


@check("CONT-02", title="An update without a version is refused")
async def update_without_version_is_refused(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    update = case.updates(bench.topic, None, put(case.observation()))
    bench.expect_refused(await bench.wire.post(update), why="an update without a version")
    await seen(bench, a, case.updates(bench.topic, version, put(case.observation())))


async def _stale(bench: Bench) -> tuple[Socket, httpx.Response, Json]:
    """Post two updates on one version; return the answer to the second and its Observation."""
    a, case, version = await versioned_report(bench)
    frame = await seen(bench, a, case.updates(bench.topic, version, put(case.observation())))
    if version_of(frame) == version:
        raise Blocked("the version is still that of the open (CONT-04)")
    late = case.observation()
    answer = await bench.wire.post(case.updates(bench.topic, version, put(late)))
    return a, answer, late


@check("CONT-03", title="An update on an old version is refused with a 4xx")
async def stale_update_is_refused(bench: Bench) -> None:
    _, answer, _ = await _stale(bench)
    got = answer.status_code
    expect(400 <= got < 500, f"the hub answered {got}")


@check("CONT-03", title="An update on an old version is not broadcast")
async def stale_update_is_not_broadcast(bench: Bench) -> None:
    a, _, _ = await _stale(bench)
    await bench.expect_silence(a, why="the second update was based on an old version")


@check("CONT-03", title="An update on an old version changes no content")
async def stale_update_changes_nothing(bench: Bench) -> None:
    bench.requires_get()
    _, _, late = await _stale(bench)
    expect(not await holds(bench, late), "the content holds what was based on an old version")


@check("D-42", title="A wrong version is 409 (400 under IRA), in plain text with both versions")
async def stale_update_names_both_versions(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    frame = await seen(bench, a, case.updates(bench.topic, version, put(case.observation())))
    newest = version_of(frame)
    if newest == version:
        raise Blocked("the version is still that of the open (CONT-04)")
    answer = await bench.wire.post(case.updates(bench.topic, version, put(case.observation())))
    due = 400 if bench.is_ira else 409
    expect(answer.status_code == due, f"the hub answered {answer.status_code}, not {due}")
    kind = answer.headers.get("content-type", "")
    expect(kind.startswith("text/plain"), f"the content type is {kind}")
    expect(version in answer.text and newest in answer.text, f"the text says: {answer.text[:200]}")


@check("CONT-04", title="An update gets a new version and names the prior one")
async def update_moves_the_version(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    update = case.updates(bench.topic, version, put(case.observation()))
    await bench.publish(update)
    frame = await bench.expect_frame(a, update)
    prior = prior_version_of(frame)
    expect(version_of(frame) not in {"", version}, "the version of the update is not a new one")
    expect(prior == version, f"priorVersionId is {prior or 'missing'}, not {version}")


@check("CONT-04", title="The next update can be based on the version of the last one")
async def versions_connect(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    frame = await seen(bench, a, case.updates(bench.topic, version, put(case.observation())))
    update = case.updates(bench.topic, version_of(frame), put(case.observation()))
    bench.expect_accepted(await bench.wire.post(update), "an update on the newest version")


async def _partly_bad(bench: Bench) -> tuple[Socket, Json]:
    """Post a Bundle of two good entries and a bad one; return the first good resource.

    Raises:
        Blocked: The hub took it, so that it says nothing about refused ones.
    """
    a, case, version = await versioned_report(bench)
    good, bad = case.observation(), case.observation()
    del bad["id"]
    broken = {"request": {"method": "PUT", "url": "Observation"}, "resource": bad}
    entries = [put(good), put(case.observation()), broken]
    answer = await bench.wire.post(case.updates(bench.topic, version, *entries))
    if answer.is_success:
        raise Blocked("the hub accepted a resource without an id (CONT-10)")
    return a, good


@check("CONT-05", title="A Bundle with one bad entry is not broadcast")
async def partly_bad_bundle_is_not_broadcast(bench: Bench) -> None:
    a, _ = await _partly_bad(bench)
    await bench.expect_silence(a, why="one entry of the Bundle was refused")


@check("CONT-05", title="Of a Bundle with one bad entry nothing is applied")
async def partly_bad_bundle_changes_nothing(bench: Bench) -> None:
    bench.requires_get()
    await _partly_bad(bench)
    found = await content(bench)
    expect(not found, f"{len(found)} resources of a refused Bundle are in the content")


class _Race:
    """Writers that share Observations at once, each on the newest version that it knows of."""

    def __init__(self, bench: Bench, case: Case, version: str) -> None:
        self._bench = bench
        self._case = case
        self._newest = version
        self._moved = asyncio.Condition()
        self.based_on: dict[str, str] = {}

    async def write(self) -> list[tuple[str, str]]:
        """Share some Observations; once more when another writer was first."""
        for _ in range(_UPDATES_EACH):
            while not await self._attempt(self._newest):
                pass
        return []

    async def _attempt(self, version: str) -> bool:
        update = self._case.updates(self._bench.topic, version, put(self._case.observation()))
        answer = await self._bench.wire.post(update)
        if answer.is_success:
            self.based_on[update["id"]] = version
        elif answer.status_code >= 500:
            raise Blocked(f"an update was answered {answer.status_code}")
        async with self._moved:
            await self._moved.wait_for(lambda: self._newest != version)
        return answer.is_success

    async def follow(self, socket: Socket, *, tells: bool) -> list[tuple[str, str]]:
        """Return (id, version) of every update in the order in which a subscriber gets them."""
        found: list[tuple[str, str]] = []
        while len(found) < _WRITERS * _UPDATES_EACH:
            frame = await self._bench.frame(socket)
            if name_of(frame) != CONTENT.lower():  # other contexts may be open, and be replayed
                continue
            found.append((frame["id"], version_of(frame)))
            if tells:
                async with self._moved:
                    self._newest = version_of(frame)
                    self._moved.notify_all()
        return found


@check("CONT-06", title="Updates of several clients at once: one chain, the same for everybody")
async def concurrent_updates_make_one_chain(bench: Bench) -> None:
    a, answer, _ = await _stale(bench)
    if answer.is_success:
        raise Blocked("even one after the other, an update on an old version is accepted (CONT-03)")
    await bench.leave(a)
    a, case, version = await versioned_report(bench)
    b = await bench.join("B", REPORT)
    await bench.frame(b)
    race = _Race(bench, case, version)
    following = (race.follow(a, tells=True), race.follow(b, tells=False))
    by_a, by_b, *_ = await together(*following, *(race.write() for _ in range(_WRITERS)))
    expect(by_a == by_b, "two subscribers saw the updates in different orders")
    versions = [version, *(new for _, new in by_a)]
    expect(len(set(versions)) == len(versions), "a version was given twice")
    bases = [race.based_on[event_id] for event_id, _ in by_a]
    expect(bases == versions[:-1], "an update was accepted that was not based on the one before")


@check("CONT-07", title="The Bundle is broadcast as it was sent, with its id")
async def bundle_is_broadcast_unchanged(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    update = case.updates(bench.topic, version, put(case.observation()), put(case.observation()))
    await bench.publish(update)
    frame = await bench.expect_frame(a, update)
    sent, got = (
        next(it["resource"] for it in each["event"]["context"] if it["key"] == "updates")
        for each in (update, frame)
    )
    expect(got.get("id") == sent["id"], f"the Bundle's id is {got.get('id')}, not {sent['id']}")
    expect(got == sent, "the Bundle has changed on its way")


@check("CONT-22", title="Odd but harmless FHIR is passed on as it is, to the digits of a number")
async def odd_resource_is_passed_on(bench: Bench) -> None:
    a, case, version = await versioned_report(bench)
    odd = case.observation() | {"valueQuantity": {"value": "@8.20@"}, "notInFhir": {"x": [None]}}
    del odd["valueString"]
    update = case.updates(bench.topic, version, put(odd))
    answer = await bench.wire.post(json.dumps(update).replace('"@8.20@"', "8.20").encode())
    if not answer.is_success:
        return await bench.expect_silence(a, why="what is refused is refused as a whole")
    frame = await bench.expect_frame(a, update)
    got = frame["event"]["context"][-1]["resource"]["entry"][0]["resource"]
    expect(got == odd | {"valueQuantity": {"value": 8.2}}, "the resource has changed")
    expect("8.20" in a.text, "8.20 has lost a digit, and with it its precision")


@check("CONT-19", title="Too large a request is answered 413 and changes nothing")
async def too_large_request_is_413(bench: Bench) -> None:
    _, case, version = await versioned_report(bench)
    large = case.observation("x" * _TOO_LARGE_BYTES)
    answer = await bench.wire.post(case.updates(bench.topic, version, put(large)))
    if answer.is_success:
        raise NotApplicable(f"the hub takes {_TOO_LARGE_BYTES >> 20} MiB")
    expect(answer.status_code == 413, f"the hub answered {answer.status_code}")
    small = case.updates(bench.topic, version, put(case.observation()))
    bench.expect_accepted(await bench.wire.post(small), "an update on the version before")


@check("CONT-23", title="Contexts that are not current are updated if, and only if, it is declared")
async def support_for_other_contexts_is_declared(bench: Bench) -> None:
    a, first, version = await versioned_report(bench)
    await seen(bench, a, new_case().opens(bench.topic))
    update = first.updates(bench.topic, version, put(first.observation()))
    answer = await bench.wire.post(update)
    if bench.declares("supportsNonCurrentContextUpdates"):
        return bench.expect_accepted(answer, "supportsNonCurrentContextUpdates is declared")
    bench.expect_refused(answer, why="supportsNonCurrentContextUpdates is not declared")


@check("CONT-23", title="The update of another context moves its own version, not the current one")
async def update_of_another_context_stays_there(bench: Bench) -> None:
    if not bench.declares("supportsNonCurrentContextUpdates"):
        raise NotApplicable("supportsNonCurrentContextUpdates is not declared")
    a, first, _, before = await shared_report(bench)
    second, shared = new_case(), first.observation()
    await seen(bench, a, second.opens(bench.topic))
    await require_current(bench, second.report)
    current = (await bench.context())["context.versionId"]
    update = first.updates(bench.topic, version_of(before), put(shared))
    frame = await seen(bench, a, update)
    expect(version_of(frame) != version_of(before), "the version of the other one has not moved")
    after = await bench.context()
    expect(shows(after, second.report), "the current context has changed")
    expect(target(shared) not in content_of(after), "the content went to the current context")
    expect(after["context.versionId"] == current, "the version of the current context has moved")
