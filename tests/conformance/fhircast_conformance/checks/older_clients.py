"""Clients of older versions and those in the field: rows OLD, decision D-47."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from fhircast_conformance.check import Blocked, check, expect
from fhircast_conformance.messages import new_case, new_id
from fhircast_conformance.refusing import endpoint_of, expect_dead, form
from fhircast_conformance.watching import (
    confirmed,
    events_in,
    lease_of,
    next_of,
    only,
    quiet_session,
    received,
)
from fhircast_conformance.wire import Wire

if TYPE_CHECKING:
    import httpx

    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json


async def _post(bench: Bench, event: Json, topic: str = "", kind: str = "") -> httpx.Response:
    """Post an event to hub.url, or to hub.url/{topic}."""
    url = f"{bench.hub.url}/{quote(topic, safe='')}" if topic else bench.hub.url
    headers = {"Content-Type": kind or "application/json"}
    return await bench.wire.http.post(url, content=json.dumps(event).encode(), headers=headers)


def _at(bench: Bench, path: str) -> str:
    """Return hub.url with another path."""
    return urlsplit(bench.hub.url)._replace(path=path).geturl()


@check("OLD-01", title="Lower-case names and no subscriber.name are taken", only="base")
async def older_client_subscribes(bench: Bench) -> None:
    fields = form(bench, hub__events="patient-open", subscriber__name=None)
    answer = await bench.wire.form(fields | {"hub.lease_seconds": "7200"})
    bench.expect_accepted(answer, "a subscription of an older client")
    a = await bench.wire.connect(endpoint_of(answer), "A")
    listed = events_in(await confirmed(bench, a))
    expect("patient-open" in listed, f"the confirmation lists {sorted(listed)}")
    await bench.publish(new_case().opens_patient(bench.topic))
    await next_of(bench, a, "Patient-open")


@check("OLD-01", title="An unsubscribe with events and a lease is taken")
async def older_client_unsubscribes(bench: Bench) -> None:
    a = await bench.join("A", ["patient-open"])
    fields = form(bench, hub__mode="unsubscribe", hub__channel__endpoint=a.endpoint)
    answer = await bench.wire.form(fields | {"hub.lease_seconds": "not a number"})
    bench.expect_accepted(answer, "an unsubscribe of an older client")


@check("OLD-02", title="An event is taken at hub.url/{topic}, too")
async def event_is_taken_at_the_topic(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    answer = await _post(bench, new_case().opens_patient(bench.topic), bench.topic)
    bench.expect_accepted(answer, "an event posted to hub.url/{topic}")
    expect(only(await received(bench, a), "Patient-open"), "the event did not come")


@check("OLD-02", title="An event for another topic than that of the URL is refused")
async def event_of_another_topic_is_refused(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    answer = await _post(bench, new_case().opens_patient(bench.topic), new_id())
    bench.expect_refused(answer, why="the topic of the URL is another one")
    expect(not only(await received(bench, a), "Patient-open"), "the event was passed on")


@check("OLD-02", title="An event is taken as application/fhir+json, too")
async def event_is_taken_as_fhir_json(bench: Bench) -> None:
    await quiet_session(bench)
    for kind in ("application/fhir+json", "application/json; charset=utf-8"):
        answer = await _post(bench, new_case().opens_patient(bench.topic), kind=kind)
        bench.expect_accepted(answer, f"an event as {kind}")


@check("OLD-02", title="An event as text is refused with 415")
async def event_as_text_is_refused(bench: Bench) -> None:
    await quiet_session(bench)
    await bench.publish(new_case().opens_patient(bench.topic))
    answer = await _post(bench, new_case().opens_patient(bench.topic), kind="text/plain")
    bench.expect_refused(answer, 415, why="an event as text/plain")


@check("OLD-03", title="A webhook subscription is refused")
async def webhook_is_refused(bench: Bench) -> None:
    endpoint_of(await bench.wire.form(form(bench)))
    callback = {"hub.callback": "https://app.example.org/callback", "hub.secret": "made-up"}
    for kind in ("webhook", None):
        answer = await bench.wire.form(form(bench, hub__channel__type=kind) | callback)
        bench.expect_refused(answer, why="hub.callback without a WebSocket")


@check("D-47", title="The hub also answers at /fhircast/STU3 and /fhircast/STU2")
async def hub_answers_at_its_aliases(bench: Bench) -> None:
    for path in ("/fhircast/STU3", "/fhircast/STU2"):
        a = await bench.join("A", ["Patient-open"])
        answer = await bench.wire.http.post(
            _at(bench, path), json=new_case().opens_patient(bench.topic)
        )
        bench.expect_accepted(answer, f"an event posted to {path}")
        expect(only(await received(bench, a), "Patient-open"), f"the event of {path} did not come")
        await bench.leave(a)


@check("D-47", title="At /fhircast/STU2 a GET is answered with an array")
async def stu2_context_is_an_array(bench: Bench) -> None:
    await quiet_session(bench)
    url = f"{_at(bench, '/fhircast/STU2')}/{bench.topic}"
    none = await bench.wire.http.get(url)
    expect(none.is_success and none.json() == [], f"without a context: {none.status_code}")
    case = new_case()
    await bench.publish(case.opens_patient(bench.topic))
    [only_one] = (await bench.wire.http.get(url)).json()
    kind = only_one.get("contextType")
    expect(kind == "Patient", f"contextType is {kind}")
    expect(only_one.get("context.versionId"), "context.versionId is missing")
    resources = [it.get("resource") for it in only_one.get("context", [])]
    expect(case.patient in resources, "the context does not hold the patient")


@check("D-47", title="Unknown form fields, hub.callback among them, are passed over")
async def unknown_fields_are_passed_over(bench: Bench) -> None:
    further = {
        "hub.callback": "",
        "hub.secret": "made-up",
        "hub.subscriber": "PowerCast",
        "subscriber.product.name": "Made-up",
    }
    answer = await bench.wire.form(form(bench) | further)
    bench.expect_accepted(answer, "a subscription with unknown fields")


@check("D-47", title="The older spelling `endpoint` is read when unsubscribing")
async def older_endpoint_field_is_read(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    fields = form(bench, hub__mode="unsubscribe", subscriber__name=None)
    answer = await bench.wire.form(fields | {"endpoint": a.endpoint})
    bench.expect_accepted(answer, "an unsubscribe with `endpoint`")
    await expect_dead(bench, a.endpoint, "its subscription was cancelled")


@check("D-47", title="The spelling `hub.lease` is read as hub.lease_seconds")
async def older_lease_field_is_read(bench: Bench) -> None:
    answer = await bench.wire.form(form(bench) | {"hub.lease": "77"})
    a = await bench.wire.connect(endpoint_of(answer), "A")
    lease = lease_of(await confirmed(bench, a))
    expect(lease == 77, f"asked for were 77 s; the lease is {lease:g} s")


@check("D-47", title="A client that subscribed at an alias joins there")
async def alias_gives_a_working_endpoint(bench: Bench) -> None:
    token = await bench.hub.tokens.get(scope="fhircast/*.*", topic="", seconds=3600, subject="")
    url = _at(bench, "/fhircast/STU3")
    async with Wire(url, token=token, name="A", verify=bench.hub.verify, trace=bench.trace) as wire:
        answer = await wire.subscribe(bench.topic, ["Patient-open"], name="A")
        if not answer.is_success:
            raise Blocked(f"subscribing at an alias was answered {answer.status_code}")
        a = await wire.connect(endpoint_of(answer), "A")
        frame = await a.next(within=bench.timers.answer)
        expect(frame.get("hub.mode") != "denied", "the endpoint is denied")
