"""Transport, format and names: sections 2, 2.3 and 2.8 of the standard, rows GEN."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
from websockets.exceptions import InvalidHandshake

from fhircast_conformance.check import NotApplicable, check, expect, fail
from fhircast_conformance.messages import item, message, new_case
from fhircast_conformance.refusing import endpoint_of, expect_events_refused
from fhircast_conformance.watching import FENCE_SCOPE, delivered, events_in, hears, only, received

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench

_LOOPBACK = {"127.0.0.1", "localhost", "::1", "[::1]"}


def _requires_tls(bench: Bench) -> None:
    parts = urlsplit(bench.hub.url)
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        raise NotApplicable(
            "the hub is reached over plain http on loopback; give its https address"
        )


@check("GEN-01", title="A request over plain http is not processed")
async def plain_http_is_not_processed(bench: Bench) -> None:
    _requires_tls(bench)
    a = await bench.join("A", ["Patient-open"])
    event = new_case().opens_patient(bench.topic)
    bench.wire.hub_url = bench.hub.url.replace("https://", "http://", 1)
    try:
        answer = await bench.wire.post(event)
        expect(not answer.is_success, f"plain http was answered {answer.status_code}")
    except httpx.HTTPError:
        pass  # nobody listens there
    bench.wire.hub_url = bench.hub.url
    expect(not only(await received(bench, a), "Patient-open"), "the event of plain http came")


@check("GEN-02", title="The endpoint is reached by TLS only")
async def endpoint_needs_tls(bench: Bench) -> None:
    _requires_tls(bench)
    endpoint = endpoint_of(await bench.wire.subscribe(bench.topic, ["Patient-open"], name="A"))
    expect(endpoint.startswith("wss://"), "the endpoint is no wss URL")
    try:
        await bench.wire.connect(endpoint.replace("wss://", "ws://", 1), "plain")
    except (OSError, InvalidHandshake, TimeoutError):
        return
    fail("the endpoint takes a WebSocket without TLS")


@check("GEN-02", title="Confirmation, event and denial are each one JSON object in a text frame")
async def frames_are_json_objects(bench: Bench) -> None:
    endpoint = endpoint_of(await bench.wire.subscribe(bench.topic, ["Patient-open"], name="A"))
    a = await bench.wire.connect(endpoint, "A")
    frames = [await a.raw(within=bench.timers.answer)]
    await bench.publish(new_case().opens_patient(bench.topic))
    frames.append(await a.raw(within=bench.timers.answer))
    await bench.wire.unsubscribe(bench.topic, endpoint)
    frames.append(await a.raw(within=bench.timers.answer))
    for frame in frames:
        expect(isinstance(frame, str), "a frame is binary")
        expect(_is_json_object(frame), "a frame is not one JSON object")


@check("GEN-02", title="Broken frames of one subscriber do not disturb the others")
async def broken_frames_harm_nobody_else(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    b = await bench.join("B", ["Patient-close"])
    await hears(bench, a)
    for broken in (b"\x00\xff", '{"id": "x", "sta', "[]", "no JSON at all"):
        await b.send(broken)
    event = new_case().opens_patient(bench.topic)
    bench.expect_accepted(await bench.wire.post(event), "an event after broken frames")
    expect(only(await received(bench, a), "Patient-open"), "A gets no events any more")


@check("GEN-03", title="A subscription in another case gets the event")
async def subscribed_in_another_case(bench: Bench) -> None:
    a, b = await bench.join("A", ["patient-OPEN"]), await bench.join("B", ["Patient-open"])
    await hears(bench, b)
    expect(only(await received(bench, a), "Patient-open"), "patient-OPEN was subscribed")


@check("GEN-03", title="An event in another case reaches its subscribers")
async def requested_in_another_case(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    await hears(bench, a)
    event = message(bench.topic, "PATIENT-open", [item("patient", new_case().patient)])
    bench.expect_accepted(await bench.wire.post(event), "PATIENT-open")
    expect(only(await received(bench, a), "Patient-open"), "PATIENT-open was requested")


@check("GEN-03", title="A scope in another case gives the right to subscribe")
async def read_scope_in_another_case(bench: Bench) -> None:
    wire = await bench.client("A", scope=f"fhircast/PATIENT-open.read {FENCE_SCOPE}")
    answer = await wire.subscribe(bench.topic, ["Patient-open"], name="A")
    bench.expect_accepted(answer, "Patient-open with fhircast/PATIENT-open.read")
    a = await bench.join("A", ["Patient-open"], wire=wire)
    expect("patient-open" in events_in(a.confirmation), "Patient-open was not granted")


@check("GEN-03", title="A scope in another case gives the right to request")
async def write_scope_in_another_case(bench: Bench) -> None:
    await bench.join("A", ["Patient-close"])
    wire = await bench.client("writer", scope="fhircast/patient-OPEN.write")
    answer = await wire.post(new_case().opens_patient(bench.topic))
    bench.expect_accepted(answer, "Patient-open with fhircast/patient-OPEN.write")


@check("GEN-04", title="An item `extension` is passed through unchanged")
async def extension_is_passed_through(bench: Bench) -> None:
    extension = {"key": "extension", "data": {"user-timezone": "+1:00", "deep": {"x": [1, None]}}}
    a = await bench.join("A", ["Patient-open"])
    context = [item("patient", new_case().patient), extension]
    answer = await bench.wire.post(message(bench.topic, "Patient-open", context))
    bench.expect_accepted(answer, "an event with an extension")
    [frame, *_] = await delivered(bench, a, "Patient-open")
    expect(extension in frame["event"]["context"], "the extension was changed or lost")


@check("GEN-05", title="What is no FHIR resource is refused in a context")
async def no_fhir_resource_is_refused(bench: Bench) -> None:
    patient = new_case().patient
    untyped = {key: value for key, value in patient.items() if key != "resourceType"}
    faulty = [
        message(bench.topic, "Patient-open", [{"key": "patient", "resource": wrong}])
        for wrong in (untyped, "Patient/1", 7)
    ]
    await expect_events_refused(bench, *faulty, why="a resource that is no FHIR JSON")


@check("GEN-05", title="A FHIR resource reaches the subscribers as it was sent")
async def resource_is_untouched(bench: Bench) -> None:
    rich = new_case().patient | {
        "meta": {"tag": [{"system": "urn:example:tags", "code": "x"}]},
        "contained": [{"resourceType": "Organization", "id": "o", "name": "Made-up"}],
        "extension": [{"url": "http://example.org/height", "valueDecimal": 1.75}],
        "_birthDate": {"extension": [{"url": "http://example.org/e", "valueString": "äß漢"}]},
    }
    a = await bench.join("A", ["Patient-open"])
    await bench.publish(message(bench.topic, "Patient-open", [item("patient", rich)]))
    [frame, *_] = await delivered(bench, a, "Patient-open")
    expect(frame["event"]["context"][0]["resource"] == rich, "the resource was changed")


def _is_json_object(frame: str | bytes) -> bool:
    try:
        return isinstance(json.loads(frame), dict)
    except ValueError:
        return False
