"""Events about the session itself: sections 3.2.2, 3.2.3 and 3.2.5, rows INF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, check, expect
from fhircast_conformance.messages import item, message, new_case
from fhircast_conformance.reading import is_empty, name_of, shows
from fhircast_conformance.steps import (
    REPORT,
    collected,
    holds,
    open_report,
    require_current,
    seen,
    shared_report,
)

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json

_REASONS = "http://fhircast.hl7.org/CodeSystem/fhircast-codesystem"


def _parameters(bench: Bench, event: str) -> Json:
    """Return a UserLogout or UserHibernate with its reason."""
    reason = {"name": "code", "valueCoding": {"system": _REASONS, "code": "user-initiated"}}
    resource = {"resourceType": "Parameters", "parameter": [reason]}
    return message(bench.topic, event, [item("parameters", resource)])


def _home(bench: Bench) -> Json:
    return message(bench.topic, "Home-open", [])


async def _is_distributed(bench: Bench, event: str) -> None:
    bench.requires_event(event)
    a, b = await bench.join("A", [event]), await bench.join("B", [event])
    sent = _parameters(bench, event)
    bench.expect_accepted(await bench.wire.post(sent), event)
    for socket in (a, b):
        frame = await bench.expect_frame(socket, sent)
        same = frame["event"]["context"] == sent["event"]["context"]
        expect(same, f"{socket.name} got another context than was sent")


@check("INF-01", title="UserLogout goes to its subscribers as it was sent")
async def logout_is_distributed(bench: Bench) -> None:
    await _is_distributed(bench, "UserLogout")


@check("D-35", title="UserLogout with an empty context, or another code, is passed on")
async def older_logout_is_distributed(bench: Bench) -> None:
    bench.requires_event("UserLogout")
    a = await bench.join("A", ["UserLogout"])
    coded = _parameters(bench, "UserLogout")
    reason = coded["event"]["context"][0]["resource"]["parameter"][0]
    reason["valueCoding"] = {"system": "urn:oid:2.999.1", "code": "end-of-shift"}
    for event in (message(bench.topic, "UserLogout", []), coded):
        bench.expect_accepted(await bench.wire.post(event), "a logout")
        await bench.expect_frame(a, event)


@check("INF-03", title="UserHibernate goes to its subscribers as it was sent")
async def hibernate_is_distributed(bench: Bench) -> None:
    await _is_distributed(bench, "UserHibernate")


@check("INF-03", title="Open context and content survive a hibernation")
async def context_survives_hibernation(bench: Bench) -> None:
    bench.requires_event("UserHibernate")
    a, case, observation, _ = await shared_report(bench, [*REPORT, "UserHibernate"])
    await require_current(bench, case.report)
    await seen(bench, a, _parameters(bench, "UserHibernate"))
    expect(shows(await bench.context(), case.report), "the report is no longer current")
    expect(await holds(bench, observation), "the shared Observation is gone")


@check("INF-04", title="Home-open goes to its subscribers and leaves no current context")
async def home_leaves_no_current_context(bench: Bench) -> None:
    bench.requires_event("Home-open")
    a, case, _ = await open_report(bench, [*REPORT, "Home-open"])
    await require_current(bench, case.report)
    event = _home(bench)
    bench.expect_accepted(await bench.wire.post(event), "Home-open with an empty context")
    await bench.expect_frame(a, event)
    view = await bench.context()
    shown = view["context.type"]
    expect(is_empty(view, is_ira=bench.is_ira), f"after Home-open GET shows {shown!r}")


@check("INF-04", title="Home-open closes nothing: content is there when the report is opened again")
async def home_closes_nothing(bench: Bench) -> None:
    bench.requires_event("Home-open")
    a, case, observation, _ = await shared_report(bench, [*REPORT, "Home-open"])
    await seen(bench, a, case.opens(bench.topic))
    if not await holds(bench, observation):
        raise Blocked("the content does not outlive a re-open even without a Home-open")
    await seen(bench, a, _home(bench))
    await seen(bench, a, case.opens(bench.topic))
    expect(await holds(bench, observation), "the shared Observation is gone")


@check("D-21", title="Home-open is replayed while it is the latest open of the topic")
async def latest_home_is_replayed(bench: Bench) -> None:
    bench.requires_event("Home-open")
    h = await bench.join("H", ["Home-open"])
    event = _home(bench)
    await seen(bench, h, event)
    late = await bench.join("L", ["Home-open"])
    await bench.expect_frame(late, event, "the latest open must be replayed")


@check("D-21", title="An older Home-open is not replayed after another open")
async def older_home_is_not_replayed(bench: Bench) -> None:
    bench.requires_event("Home-open")
    h = await bench.join("H", [*REPORT, "Home-open"])
    await seen(bench, h, _home(bench))
    await seen(bench, h, new_case().opens(bench.topic))
    late = await bench.join("L", [*REPORT, "Home-open"])
    replayed = [name_of(it) for it in await collected(bench, late)]
    if "diagnosticreport-open" not in replayed:
        raise Blocked("the report that is open is not replayed (REP-01)")
    expect("home-open" not in replayed, "a report has been opened since the Home-open")
