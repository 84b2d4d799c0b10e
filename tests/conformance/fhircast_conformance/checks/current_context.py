"""The current context on request: section 2.9, rows CTX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, check, expect
from fhircast_conformance.messages import new_case, new_id, put, target
from fhircast_conformance.reading import (
    bundle_of,
    content_of,
    is_empty,
    items_of,
    shows,
    version_of,
)
from fhircast_conformance.steps import CONTENT, REPORT, content, open_report, require_current, seen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Case, Json
    from fhircast_conformance.wire import Socket


async def _current_report(
    bench: Bench, events: Iterable[str] = REPORT
) -> tuple[Socket, Case, Json]:
    bench.requires_get()
    return await open_report(bench, events)


@check("CTX-01", title="GET hub.url/{topic} answers 200 with JSON")
async def get_answers_with_json(bench: Bench) -> None:
    await _current_report(bench)
    answer = await bench.wire.get(bench.topic)
    expect(answer.status_code == 200, f"the hub answered {answer.status_code}")
    kind = answer.headers.get("content-type", "")
    expect(kind.partition(";")[0] == "application/json", f"the content type is {kind}")


@check("CTX-02", title="The answer is the type and the items of the most recent open")
async def get_shows_the_open(bench: Bench) -> None:
    a, _, _ = await _current_report(bench)
    case = new_case()
    await seen(bench, a, case.opens(bench.topic))
    view = await bench.context()
    kind = view["context.type"]
    expect(kind == "DiagnosticReport", f"context.type is {kind!r}")
    expect(items_of(view) == case.items(), "the items are not those of the open")


@check("CTX-02", title="The type of the answer follows the type of the most recent open")
async def get_follows_the_anchor_type(bench: Bench) -> None:
    a, _, _ = await _current_report(bench, [*REPORT, "Patient-open"])
    await seen(bench, a, new_case().opens_patient(bench.topic))
    kind = (await bench.context())["context.type"]
    expect(kind == "Patient", f"context.type is {kind!r} after a Patient-open")


@check("CTX-03", title="Before any open the type is empty and the context, too")
async def get_of_a_new_topic_is_empty(bench: Bench) -> None:
    bench.requires_get()
    a = await bench.join("A", REPORT)
    view = await bench.context()
    expect(is_empty(view, is_ira=bench.is_ira), f"a topic without an open shows {str(view)[:200]}")
    await seen(bench, a, new_case().opens(bench.topic))
    if is_empty(await bench.context(), is_ira=bench.is_ira):
        raise Blocked("the answer is empty whatever is open (CTX-02)")


@check("D-32", title="The empty answer has a version, too")
async def empty_answer_has_a_version(bench: Bench) -> None:
    bench.requires_get()
    await bench.join("A", REPORT)
    expect((await bench.context()).get("context.versionId"), "context.versionId is missing")


@check("CTX-04", title="Closing the current context leaves none, though another one is open")
async def close_leaves_no_current_context(bench: Bench) -> None:
    a, _, _ = await _current_report(bench)
    second = new_case()
    await seen(bench, a, second.opens(bench.topic))
    await require_current(bench, second.report)
    await seen(bench, a, second.closes(bench.topic))
    view = await bench.context()
    expect(
        is_empty(view, is_ira=bench.is_ira), f"after the close GET shows {view['context.type']!r}"
    )


@check("CTX-05", title="The version differs after every change of context or content")
async def every_change_has_a_version(bench: Bench) -> None:
    a, case, frame = await _current_report(bench)
    versions = [(await bench.context()).get("context.versionId")]
    update = case.updates(bench.topic, version_of(frame), put(case.observation()))
    for event in (update, case.closes(bench.topic), new_case().opens(bench.topic)):
        await seen(bench, a, event)
        versions.append((await bench.context()).get("context.versionId"))
    expect(all(versions), f"context.versionId is missing: {versions}")
    expect(len(set(versions)) == len(versions), f"a version occurs twice: {versions}")


@check("CTX-05", title="The version is that of the last event")
async def version_is_that_of_the_last_event(bench: Bench) -> None:
    a, case, frame = await _current_report(bench)
    if not version_of(frame):
        raise Blocked("the open has no version (CONT-01)")
    shown = (await bench.context()).get("context.versionId")
    expect(shown == version_of(frame), f"after the open: {shown}, not {version_of(frame)}")
    update = case.updates(bench.topic, version_of(frame), put(case.observation()))
    frame = await seen(bench, a, update)
    shown = (await bench.context()).get("context.versionId")
    expect(shown == version_of(frame), f"after the update: {shown}, not {version_of(frame)}")


@check("CTX-06", title="The content is one Bundle of type collection, empty after the open")
async def fresh_content_is_an_empty_bundle(bench: Bench) -> None:
    bench.requires_event(CONTENT)
    await _current_report(bench)
    view = await bench.context()
    keys = [it.get("key") for it in view["context"]]
    expect(keys.count("content") == 1, f"the keys are {keys}")
    bundle = bundle_of(view)
    expect(bundle.get("resourceType") == "Bundle", "content is no Bundle")
    expect(bundle.get("type") == "collection", f"its type is {bundle.get('type')}")
    expect(not bundle.get("entry"), "there is content that nobody shared")


@check("CTX-06", title="The content is the union of what was shared, without requests")
async def content_is_the_union_of_updates(bench: Bench) -> None:
    bench.requires_event(CONTENT)
    a, case, frame = await _current_report(bench)
    shared = [case.observation("first"), case.observation("second")]
    for resource in shared:
        update = case.updates(bench.topic, version_of(frame), put(resource))
        frame = await seen(bench, a, update)
    view = await bench.context()
    found = list(content_of(view).values())
    expect(
        sorted(found, key=lambda it: str(it["id"])) == sorted(shared, key=lambda it: str(it["id"])),
        f"{len(found)} resources, or changed ones, instead of the 2 that were shared",
    )
    bundle = bundle_of(view)
    expect("link" not in bundle, "the Bundle has a link")
    extra = {"request", "response", "search"}.intersection(*bundle["entry"][:1])
    expect(not extra, f"an entry of the Bundle has {extra}")


@check("CTX-07", title="An open's resources stay as they were; a change is in the content")
async def opened_resources_stay_as_opened(bench: Bench) -> None:
    bench.requires_event(CONTENT)
    a, case, frame = await _current_report(bench)
    await require_current(bench, case.report)
    final = case.report | {"status": "final"}
    await seen(bench, a, case.updates(bench.topic, version_of(frame), put(final)))
    expect(items_of(await bench.context()) == case.items(), "the items of the open have changed")
    shared = (await content(bench)).get(target(case.report), {})
    expect(shared.get("status") == "final", "the content does not hold the changed report")


async def _readable(bench: Bench, scope: str) -> tuple[Case, str, Json]:
    """Return a case whose report is open, and what a client with this scope is answered."""
    _, case, _ = await _current_report(bench)
    await require_current(bench, case.report)
    reader = await bench.client("reader", scope=scope, topic=bench.topic, subject="reader")
    answer = await reader.get(bench.topic)
    return case, answer.text, answer.json() if answer.is_success else {}


@check("CTX-08", title="A client that may not read a report's open is not shown the report")
async def get_respects_the_rights(bench: Bench) -> None:
    case, text, _ = await _readable(bench, "fhircast/Patient-open.read")
    expect(case.report["id"] not in text, "the report is shown to who may not read it")


@check("D-33", title="A client that may read patients alone is shown the patient, without content")
async def get_shows_the_readable_part(bench: Bench) -> None:
    case, _, view = await _readable(bench, "fhircast/Patient-open.read")
    expect(view.get("context.type") == "Patient", f"context.type is {view.get('context.type')!r}")
    keys = [it.get("key") for it in view["context"]]
    expect(keys == ["patient"], f"the keys are {keys}")
    expect(shows(view, case.patient), "another patient is shown")


@check("D-33", title="GET of a topic that nobody made is 404")
async def get_of_an_unknown_topic_is_404(bench: Bench) -> None:
    await _current_report(bench)
    await bench.context()  # so that 404 is not the answer to every GET
    answer = await bench.wire.get(new_id())
    expect(answer.status_code == 404, f"the hub answered {answer.status_code}")
