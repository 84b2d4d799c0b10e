"""Subscription request and response: section 2.4 of the standard, rows SUB."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, NotApplicable, check, expect
from fhircast_conformance.messages import message, new_case, new_id
from fhircast_conformance.refusing import (
    another_endpoint,
    endpoint_of,
    expect_dead,
    expect_events_refused,
    faulty_form,
    form,
)
from fhircast_conformance.watching import (
    delivered,
    lease_of,
    next_of,
    only,
    received,
    requires_tokens,
)

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench

_SAMPLE = 20
_RANDOM_BITS = 110
"""A version 4 UUID holds 122 random bits; a sample of 20 cannot show the last few of them."""


@check("SUB-01", title="A subscription sent as JSON is refused")
async def json_subscription_is_refused(bench: Bench) -> None:
    endpoint_of(await bench.wire.form(form(bench)))
    answer = await bench.wire.post(json.dumps(form(bench)).encode())
    bench.expect_refused(answer, why="a subscription as JSON")


@check("SUB-02", title="A subscription without hub.channel.type is refused")
async def missing_channel_type_is_refused(bench: Bench) -> None:
    answer = await faulty_form(bench, hub__channel__type=None)
    bench.expect_refused(answer, why="hub.channel.type is missing")


@check("SUB-02", title="Another channel type than websocket is refused")
async def other_channel_type_is_refused(bench: Bench) -> None:
    answer = await faulty_form(bench, hub__channel__type="webhook")
    bench.expect_refused(answer, why="hub.channel.type is webhook")


@check("SUB-03", title="An unknown or missing hub.mode is refused")
async def unknown_mode_is_refused(bench: Bench) -> None:
    for mode in ("foo", "", None):
        answer = await faulty_form(bench, hub__mode=mode)
        bench.expect_refused(answer, why=f"hub.mode is {mode or 'missing'}")


@check("SUB-03", title="An empty or missing hub.topic is refused")
async def empty_topic_is_refused(bench: Bench) -> None:
    for topic in ("", None):
        answer = await faulty_form(bench, hub__topic=topic)
        bench.expect_refused(answer, why="hub.topic is empty or missing")


@check("SUB-04", title="A subscription without hub.events is refused")
async def missing_events_are_refused(bench: Bench) -> None:
    for events in ("", None):
        answer = await faulty_form(bench, hub__events=events)
        bench.expect_refused(answer, why="hub.events is empty or missing")


@check("SUB-04", title="A renewal without hub.events is refused")
async def renewal_without_events_is_refused(bench: Bench) -> None:
    endpoint = endpoint_of(await bench.wire.form(form(bench)))
    answer = await bench.wire.form(form(bench, hub__channel__endpoint=endpoint, hub__events=None))
    bench.expect_refused(answer, why="hub.events is missing in a renewal")


@check("SUB-05", title="A parameter that occurs twice is refused")
async def repeated_parameter_is_refused(bench: Bench) -> None:
    endpoint_of(await bench.wire.form(form(bench)))
    for field, second in (("hub.topic", new_id()), ("hub.events", "Home-open")):
        answer = await bench.wire.form([*form(bench).items(), (field, second)])
        bench.expect_refused(answer, why=f"{field} occurs twice")


@check("SUB-06", title="An event named twice, in any case, is confirmed once")
async def repeated_events_are_confirmed_once(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open", "patient-open"])
    listed = str(a.confirmation["hub.events"]).lower()
    expect(listed.count("patient-open") == 1, f"the confirmation lists {listed}")


@check("SUB-06", title="An event named twice, in any case, is delivered once")
async def repeated_events_are_delivered_once(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open", "patient-open", "Patient-open"])
    b = await bench.join("B", ["Patient-open"])  # how often it comes to who names it once
    await bench.publish(new_case().opens_patient(bench.topic))
    once, twice = [len(await delivered(bench, it, "Patient-open")) for it in (b, a)]
    expect(twice <= once, f"one notification is due; {twice} came")


@check("SUB-07", title="A wildcard in hub.events subscribes to nothing")
async def wildcard_subscribes_to_nothing(bench: Bench) -> None:
    endpoint_of(await bench.wire.form(form(bench)))
    for wildcard in ("Patient-*", "*-open"):
        answer = await bench.wire.subscribe(bench.topic, [wildcard], name="A")
        if answer.is_success:
            a = await bench.join("A", [wildcard])
            await bench.publish(new_case().opens_patient(bench.topic))
            frames = only(await received(bench, a), "Patient-open")
            expect(not frames, f"{wildcard} was subscribed, and Patient-open was delivered")


@check("SUB-07", title="A wildcard as hub.event is refused")
async def wildcard_event_is_refused(bench: Bench) -> None:
    opens = new_case().opens_patient(bench.topic)["event"]["context"]
    faulty = [message(bench.topic, it, opens) for it in ("Patient-*", "*-open", "*")]
    await expect_events_refused(bench, *faulty, why="hub.event is a wildcard")


@check("SUB-08", title="A lease that is no positive whole number is refused")
async def wrong_lease_is_refused(bench: Bench) -> None:
    for lease in ("0", "-5", "1.5", "abc"):
        answer = await faulty_form(bench, hub__lease_seconds=lease)
        bench.expect_refused(answer, why=f"hub.lease_seconds is {lease}")


@check("SUB-08", title="Who asks for no lease, or a long one, is told what is granted")
async def lease_is_told(bench: Bench) -> None:
    default = await bench.join("A", ["Patient-open"])
    longest = await bench.join("B", ["Patient-open"], hub__lease_seconds="999999999")
    for socket in (default, longest):
        expect(lease_of(socket.confirmation) > 0, f"{socket.name} is told no lease")


@check("SUB-10", title="Without a token, or with a false one, a subscription is answered 401")
async def token_is_needed(bench: Bench) -> None:
    await requires_tokens(bench)
    endpoint_of(await bench.wire.form(form(bench)))
    for token in ("", "not.a.token"):
        wire = await bench.client("stranger", token=token)
        answer = await wire.form(form(bench))
        bench.expect_refused(answer, 401, why=f"a {'false' if token else 'missing'} token")


@check("SUB-10", title="The 401 says that a bearer token is wanted")
async def refusal_names_bearer(bench: Bench) -> None:
    await requires_tokens(bench)
    stranger = await bench.client("stranger", token="")  # none at all
    answer = await stranger.form(form(bench))
    if answer.status_code != 401:
        raise Blocked(f"without a token the answer is {answer.status_code}")
    wanted = answer.headers.get("www-authenticate", "")
    expect(wanted.lower().startswith("bearer"), f"WWW-Authenticate is '{wanted}'")


@check("SUB-13", title="A refused subscription is told the reason in plain text")
async def refusal_has_a_reason(bench: Bench) -> None:
    faults = {"hub__mode": "foo", "hub__topic": "", "hub__channel__type": "webhook"}
    answers = [await faulty_form(bench, **{field: wrong}) for field, wrong in faults.items()]
    refused = [it for it in answers if not it.is_success]
    if not refused:
        raise Blocked("no faulty subscription was refused")
    for answer in refused:
        kind = answer.headers.get("content-type", "")
        expect(kind.startswith("text/plain"), f"the reason is sent as {kind or 'nothing'}")
        expect(answer.text.strip(), "the refusal says nothing")


@check("SUB-13", title="A faulty subscription gets an error status")
async def faulty_subscription_gets_an_error(bench: Bench) -> None:
    answer = await faulty_form(bench, hub__mode="", hub__topic="", hub__events="")
    bench.expect_refused(answer, why="a subscription without mode, topic and events")


@check("SUB-14", title="An acceptable subscription is answered 202 with an endpoint, in JSON")
async def acceptable_subscription_gets_its_endpoint(bench: Bench) -> None:
    answer = await bench.wire.form(form(bench))
    expect(answer.status_code == 202, f"the hub answered {answer.status_code}")
    kind = answer.headers.get("content-type", "")
    expect(kind.startswith("application/json"), f"the answer is {kind or 'without a type'}")
    endpoint = answer.json().get("hub.channel.endpoint", "")
    schemes = ("wss://",) if bench.hub.url.startswith("https:") else ("wss://", "ws://")
    expect(str(endpoint).startswith(schemes), "hub.channel.endpoint is no WebSocket URL")


@check("SUB-15", title="Endpoints are unique and random")
async def endpoints_are_random(bench: Bench) -> None:
    topics = [bench.topic] * (_SAMPLE // 2) + [new_id() for _ in range(_SAMPLE // 2)]
    urls = [
        endpoint_of(await bench.wire.subscribe(it, ["Patient-open"], name="A")) for it in topics
    ]
    expect(len(set(urls)) == len(urls), "an endpoint was given out twice")
    places = [set(it) for it in zip(*urls, strict=False) if len(set(it)) > _SAMPLE // 4]
    symbols = set().union(*places)
    bits = len(places) * math.log2(len(symbols)) if symbols else 0
    expect(bits > _RANDOM_BITS, f"about {bits:.0f} bits differ from endpoint to endpoint")


@check("SUB-15", title="An endpoint that was guessed, one character off, is of no use")
async def guessed_endpoint_is_of_no_use(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    await expect_dead(bench, another_endpoint(a.endpoint), "the endpoint was never given out")


@check("SUB-16", title="A hub that wants one common event set says so")
async def policy_is_explained(bench: Bench) -> None:
    await bench.join("A", ["Patient-open"])
    answer = await bench.wire.subscribe(bench.topic, ["ImagingStudy-open"], name="B")
    if answer.is_success:
        raise NotApplicable("the hub takes differing event sets")
    expect(answer.text.strip(), "the refusal of a differing event set says nothing")


@check("SUB-17", title="A system without any credentials may connect to the endpoint")
async def connects_without_credentials(bench: Bench) -> None:
    endpoint = endpoint_of(await bench.wire.subscribe(bench.topic, ["Patient-open"], name="A"))
    other = await bench.client("other", token="")  # connects, with no token at all
    a = await other.connect(endpoint, "A")
    first = await a.next(within=bench.timers.answer)
    expect(first.get("hub.mode") != "denied", "it was denied")


@check("SUB-18", title="A SyncError about a subscriber gives its subscriber.name")
async def subscriber_name_is_used(bench: Bench) -> None:
    name = "Acme Viewer äß"
    a = await bench.join("A", ["SyncError"])
    b = await bench.join(name, ["Patient-open"])
    await bench.publish(new_case().opens_patient(bench.topic))
    await b.acknowledge(await next_of(bench, b, "Patient-open"), "409")
    frame = await next_of(bench, a, "SyncError")
    expect(name in json.dumps(frame, ensure_ascii=False), "the SyncError does not hold the name")
