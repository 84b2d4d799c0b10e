"""The hub's configuration document: section 2.7 of the standard, rows WK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhircast_conformance.check import Blocked, NotApplicable, check, expect
from fhircast_conformance.messages import new_case, put
from fhircast_conformance.watching import events_in, next_of, version_of

if TYPE_CHECKING:
    import httpx

    from fhircast_conformance.bench import Bench

_VERSIONS = {"STU1": "an older version", "STU2": "an older version", "STU3": "3.0.0"}
_NON_CURRENT = "supportsNonCurrentContextUpdates"


def _url(bench: Bench) -> str:
    return f"{bench.hub.url}/.well-known/fhircast-configuration"


async def _answer(bench: Bench) -> httpx.Response:
    """Return the answer to a reader without a token."""
    reader = await bench.client("reader", token="")  # nobody in particular
    return await reader.http.get(_url(bench))


async def _document(bench: Bench) -> dict[str, Any]:
    """Return the document; with a token, in case that the hub wrongly wants one."""
    answer = await bench.wire.http.get(_url(bench))
    if answer.status_code != 200:
        raise Blocked(f"the configuration document was answered {answer.status_code}")
    document = answer.json()
    if not isinstance(document, dict):
        raise Blocked("the configuration document is no JSON object")
    return document


@check("WK-01", title="The configuration document is served below hub.url, without a token")
async def document_is_served(bench: Bench) -> None:
    answer = await _answer(bench)
    expect(answer.status_code == 200, f"the hub answered {answer.status_code}")


@check("WK-01", title="The configuration document is a JSON object, served as application/json")
async def document_is_json(bench: Bench) -> None:
    answer = await _answer(bench)
    kind = answer.headers.get("content-type", "")
    expect(kind.startswith("application/json"), f"it is served as {kind or 'nothing'}")
    try:
        expect(isinstance(answer.json(), dict), "it is no JSON object")
    except ValueError:
        expect(condition=False, otherwise="it is no JSON")


@check("WK-02", title="eventsSupported is an array of names")
async def events_supported_is_an_array(bench: Bench) -> None:
    events = (await _document(bench)).get("eventsSupported")
    expect(isinstance(events, list) and events, "eventsSupported is no array, or empty")
    expect(all(isinstance(it, str) and it for it in events or []), "it holds what is no name")


@check("WK-02", title="Every event of eventsSupported can be subscribed")
async def supported_events_can_be_subscribed(bench: Bench) -> None:
    events = [str(it) for it in (await _document(bench))["eventsSupported"]]
    answer = await bench.wire.subscribe(bench.topic, events, name="A")
    bench.expect_accepted(answer, "subscribing to everything that is supported")
    a = await bench.join("A", events)
    missing = {it.lower() for it in events} - events_in(a.confirmation)
    expect(not missing, f"supported, but not granted: {sorted(missing)}")


@check("WK-03", title="websocketSupport is true")
async def websocket_support_is_true(bench: Bench) -> None:
    found = (await _document(bench)).get("websocketSupport")
    expect(found is True, f"websocketSupport is {found!r}")


@check("WK-04", title="fhircastVersion is 3.0.0")
async def version_is_declared(bench: Bench) -> None:
    found = (await _document(bench)).get("fhircastVersion")
    hint = _VERSIONS.get(str(found))
    expect(found == "3.0.0", f"fhircastVersion is {found!r}" + (f": {hint}" if hint else ""))


@check("WK-04", title="fhirVersion, if it is declared, names a version of FHIR")
async def fhir_version_is_a_version(bench: Bench) -> None:
    found = (await _document(bench)).get("fhirVersion", "R4")
    known = {"R4", "R4B", "R5", "R6", "DSTU2", "STU3"}
    expect(found in known or str(found)[:1].isdigit(), f"fhirVersion is {found!r}")


@check("WK-05", title="Support for reading the current context is declared in both places")
async def get_current_is_declared_twice(bench: Bench) -> None:
    document = await _document(bench)
    old = document.get("getCurrentSupport")
    new = (document.get("capabilities") or {}).get("supportsGetCurrentContext")
    expect(isinstance(old, bool), f"getCurrentSupport is {old!r}")
    expect(old == new, f"getCurrentSupport is {old}, supportsGetCurrentContext {new}")


@check("WK-05", title="The current context can be read if, and only if, that is declared")
async def get_current_is_as_declared(bench: Bench) -> None:
    flags = (await _document(bench)).get("capabilities") or {}
    if "supportsGetCurrentContext" not in flags:
        raise NotApplicable("the hub does not declare whether it can be read")
    await bench.join("A", ["Encounter-close"], fence=False)
    answer = await bench.wire.get(bench.topic)
    declared = flags["supportsGetCurrentContext"]
    expect(answer.is_success == declared, f"declared {declared}; GET is {answer.status_code}")


@check("WK-05", title="Contexts that are not current can be updated if, and only if, declared")
async def non_current_updates_are_as_declared(bench: Bench) -> None:
    flags = (await _document(bench)).get("capabilities") or {}
    expect(isinstance(flags.get(_NON_CURRENT), bool), f"{_NON_CURRENT} is not declared")
    a, case = await bench.join("A", ["DiagnosticReport-open"]), new_case()
    await bench.publish(case.opens(bench.topic))
    frame = await next_of(bench, a, "DiagnosticReport-open")
    if not version_of(frame):
        raise NotApplicable("the hub assigns no versions, so it shares no content")
    await a.acknowledge(frame)
    await bench.publish(new_case().opens(bench.topic))
    update = case.updates(bench.topic, version_of(frame), put(case.observation()))
    answer = await bench.wire.post(update)
    declared = flags[_NON_CURRENT]
    expect(answer.is_success == declared, f"declared {declared}; it is {answer.status_code}")
