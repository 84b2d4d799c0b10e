"""Security considerations: section 4.3 of the standard, rows SEC; CORS (D-52)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, NotApplicable, check, expect
from fhircast_conformance.messages import item, message, new_case, new_id
from fhircast_conformance.refusing import endpoint_of, expect_dead
from fhircast_conformance.watching import only, patient_of, quiet_session, received, requires_tokens

if TYPE_CHECKING:
    import httpx

    from fhircast_conformance.bench import Bench

_ORIGIN = "https://page.example.org"
_HEADERS = ("authorization", "content-type", "x-medplum")
_TOPICS = 5


@check("SEC-01", title="Topics that the hub or its authorization server makes are unguessable")
async def topics_are_unguessable(bench: Bench) -> None:
    del bench
    raise NotApplicable("topics come with a SMART launch; the kit makes its own")


@check("SEC-02", title="The Origin of a WebSocket makes no difference")
async def origin_makes_no_difference(bench: Bench) -> None:
    for origin in (None, _ORIGIN, "null"):
        answer = await bench.wire.subscribe(bench.topic, ["Patient-open"], name="A")
        socket = await bench.wire.connect(endpoint_of(answer), "A", origin=origin)
        frame = await socket.next(within=bench.timers.answer)
        expect(frame.get("hub.mode") != "denied", f"denied with Origin {origin}")


@check(
    "SEC-02",
    title="An endpoint that nobody uses expires",
    patience=lambda bench: bench.timers.unused_endpoint,
)
async def unused_endpoint_expires(bench: Bench) -> None:
    endpoint = endpoint_of(await bench.wire.subscribe(bench.topic, ["Patient-open"], name="A"))
    await bench.pause(bench.timers.unused_endpoint * 1.1 + 0.5)
    await expect_dead(bench, endpoint, "the endpoint was not used in time")


@check("SEC-03", title="The refusal of an event repeats nothing of the patient")
async def refusal_holds_no_patient_data(bench: Bench) -> None:
    await quiet_session(bench)
    secret = f"Secret{new_id()[:8]}"
    patient = new_case().patient | {"name": [{"family": secret}], "id": secret}
    faulty = (
        message(bench.topic, "Patient-open", [item(secret, patient)]),
        message(bench.topic, "Patient-open", [{"key": "patient", "value": patient}]),
        message(bench.topic, "Patient-open", [{"key": "patient", "resource": secret}]),
        message(bench.topic, "Patient-open", [item("patient", patient)], timestamp=secret),
    )
    refused = [it for event in faulty if not (it := await bench.wire.post(event)).is_success]
    if not refused:
        raise Blocked("no faulty event was refused")
    for answer in refused:
        expect(secret not in answer.text, "the refusal repeats what the event said")


@check("SEC-03", title="The refusal of a token does not repeat it")
async def refusal_holds_no_token(bench: Bench) -> None:
    await requires_tokens(bench)
    token = f"false-{new_id()}"
    wire = await bench.client("stranger", token=token)
    answer = await wire.get(bench.topic)
    if answer.is_success:
        raise Blocked("a false token was accepted")
    expect(token not in answer.text, "the refusal repeats the token")


@check("SEC-04", title="What happens in one topic reaches no subscriber of another")
async def topics_are_isolated(bench: Bench) -> None:
    topics = [new_id() for _ in range(_TOPICS)]
    sockets = [await bench.join(f"S{n}", ["Patient-open"], topic=it) for n, it in enumerate(topics)]
    cases = [new_case() for _ in topics]
    for topic, case in zip(topics, cases, strict=True):
        await bench.publish(case.opens_patient(topic))
    for socket, topic, case in zip(sockets, topics, cases, strict=True):
        frames = only(await received(bench, socket, topic), "Patient-open")
        foreign = {patient_of(it) for it in frames} - {case.patient["id"]}
        expect(not foreign, f"{socket.name} was sent events of another topic")


@check("SEC-04", title="Who joins another topic is not sent the contexts of this one")
async def contexts_are_isolated(bench: Bench) -> None:
    await quiet_session(bench)
    await bench.publish(new_case().opens_patient(bench.topic))
    other = new_id()
    b = await bench.join("B", ["Patient-open"], topic=other)
    frames = only(await received(bench, b, other), "Patient-open")
    expect(not frames, "a context of another topic was sent")


@check("SEC-04", title="The current context of one topic does not show in another")
async def current_context_is_isolated(bench: Bench) -> None:
    await quiet_session(bench)
    case, other = new_case(), new_id()
    await bench.publish(case.opens_patient(bench.topic))
    await bench.context()
    await bench.join("B", ["Encounter-close"], topic=other, fence=False)
    answer = await bench.wire.get(other)
    expect(case.patient["id"] not in answer.text, "it shows the patient of another topic")


# --- D-52 ---------------------------------------------------------------------------------------


async def _preflight(bench: Bench) -> httpx.Response:
    headers = {
        "Origin": _ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ", ".join(_HEADERS),
    }
    page = await bench.client("page", token="")  # a preflight bears no token
    return await page.http.options(bench.hub.url, headers=headers)


async def _allowed(bench: Bench) -> httpx.Response:
    """Return the answer to a preflight from a page of any origin.

    Raises:
        NotApplicable: The hub does not allow that origin.
    """
    answer = await _preflight(bench)
    if answer.headers.get("access-control-allow-origin") not in {"*", _ORIGIN}:
        raise NotApplicable(f"the hub allows no pages of {_ORIGIN}")
    return answer


@check("SEC-03", "D-52", title="A page whose origin is not allowed gets no CORS headers")
async def foreign_origin_is_not_allowed(bench: Bench) -> None:
    answer = await _preflight(bench)
    if answer.is_success and "access-control-allow-origin" in answer.headers:
        raise NotApplicable("the hub allows pages of every origin")
    answer = await bench.wire.http.get(
        f"{bench.hub.url}/.well-known/fhircast-configuration", headers={"Origin": _ORIGIN}
    )
    expect("access-control-allow-origin" not in answer.headers, "a GET allows the origin")


@check("D-52", title="A preflight that is allowed names the headers and may be kept")
async def preflight_names_headers(bench: Bench) -> None:
    answer = await _allowed(bench)
    expect(answer.status_code in {200, 204}, f"the preflight is answered {answer.status_code}")
    named = answer.headers.get("access-control-allow-headers", "").lower()
    missing = [it for it in _HEADERS if it not in named and named != "*"]
    expect(not missing, f"not allowed: {missing}")
    age = answer.headers.get("access-control-max-age", "0")
    expect(age == "600", f"Access-Control-Max-Age is {age}")


@check("D-52", title="An error answer carries the CORS headers, too")
async def errors_carry_cors_headers(bench: Bench) -> None:
    await _allowed(bench)
    answer = await bench.wire.post(b"no JSON", Origin=_ORIGIN)
    bench.expect_refused(answer, why="a body that is no JSON")
    expect("access-control-allow-origin" in answer.headers, "a page cannot see the error")
