"""Unsubscribe: section 2.4 of the standard, rows UNS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

from fhircast_conformance.check import Blocked, check, expect
from fhircast_conformance.messages import new_case, new_id
from fhircast_conformance.refusing import another_endpoint, endpoint_of, expect_dead, form
from fhircast_conformance.watching import close_code, ended, hears, only, received

if TYPE_CHECKING:
    import httpx

    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json
    from fhircast_conformance.wire import Socket, Wire

_MODE = {"hub__mode": "unsubscribe", "hub__events": None, "subscriber__name": None}


async def _unsubscribe(
    bench: Bench, endpoint: str | None, wire: Wire | None = None, **changed: str | None
) -> httpx.Response:
    fields = form(bench, **(_MODE | {"hub__channel__endpoint": endpoint} | changed))
    return await (wire or bench.wire).form(fields)


async def _left(bench: Bench) -> Socket:
    """Return a subscriber that has unsubscribed and whose socket is closed.

    Raises:
        Blocked: The hub refused.
    """
    a = await bench.join("A", ["Patient-open"])
    answer = await _unsubscribe(bench, a.endpoint)
    if not answer.is_success:
        raise Blocked(f"unsubscribing was answered {answer.status_code}")
    await a.close()
    return a


@check("UNS-01", title="An unsubscribe without an endpoint is refused")
async def unsubscribe_without_endpoint_is_refused(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    await hears(bench, a)
    for endpoint in (None, ""):
        answer = await _unsubscribe(bench, endpoint)
        bench.expect_refused(answer, why="hub.channel.endpoint is missing or empty")
    await bench.publish(new_case().opens_patient(bench.topic))
    expect(only(await received(bench, a), "Patient-open"), "A was unsubscribed nevertheless")


@check("UNS-01", title="An unsubscribe without topic or channel type is refused")
async def incomplete_unsubscribe_is_refused(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    for field in ("hub__topic", "hub__channel__type"):
        answer = await _unsubscribe(bench, a.endpoint, **{field: None})
        bench.expect_refused(answer, why=f"{field.replace('__', '.')} is missing")


@check("UNS-02", title="An unsubscribe is answered 202 with the endpoint, in JSON")
async def unsubscribe_is_answered_with_the_endpoint(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    answer = await _unsubscribe(bench, a.endpoint)
    expect(answer.status_code == 202, f"the hub answered {answer.status_code}")
    kind = answer.headers.get("content-type", "")
    expect(kind.startswith("application/json"), f"the answer is {kind or 'without a type'}")
    named = answer.json().get("hub.channel.endpoint")
    expect(named == a.endpoint, "hub.channel.endpoint is another one, or missing")


@check("UNS-03", title="Who unsubscribes gets a denial")
async def unsubscribe_is_followed_by_a_denial(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    bench.expect_accepted(await _unsubscribe(bench, a.endpoint), "an unsubscribe")
    await bench.expect_denial(a)


@check("UNS-03", title="Who unsubscribes finds the socket closed by the hub")
async def unsubscribe_is_followed_by_a_close(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    bench.expect_accepted(await _unsubscribe(bench, a.endpoint), "an unsubscribe")
    await ended(bench, a)


@check("UNS-03", title="An unsubscribe tells the others of no error")
async def unsubscribe_is_no_error(bench: Bench) -> None:
    b = await bench.join("B", ["SyncError"])
    a = await bench.join("A", ["Patient-open"])
    await _unsubscribe(bench, a.endpoint)
    await close_code(bench, a)
    expect(not only(await received(bench, b), "SyncError"), "B got a SyncError")


@check("D-22", title="After an unsubscribe the socket is closed with 1000")
async def unsubscribe_closes_with_1000(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    await _unsubscribe(bench, a.endpoint)
    code = await close_code(bench, a)
    expect(code == 1000, f"the close code is {code}")


@check("UNS-04", title="An unsubscribe that names one event ends the whole subscription")
async def unsubscribe_ends_everything(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open", "Patient-close"])
    answer = await _unsubscribe(bench, a.endpoint, hub__events="Patient-open")
    bench.expect_accepted(answer, "an unsubscribe with hub.events")
    case = new_case()
    await bench.join("B", ["Encounter-close"], fence=False)
    await bench.publish(case.opens_patient(bench.topic))
    await bench.publish(case.closes_patient(bench.topic))
    await bench.pause(bench.timers.silence)
    frames = await _rest(bench, a)
    expect(not only(frames, "Patient-close"), "A has unsubscribed and still gets Patient-close")


@check("UNS-04", title="Nobody can join at an endpoint that was unsubscribed")
async def endpoint_ends_with_the_unsubscribe(bench: Bench) -> None:
    a = await _left(bench)
    await expect_dead(bench, a.endpoint, "its subscription was cancelled")


@check("UNS-04", title="An endpoint that was unsubscribed before it was used stays dead")
async def unused_endpoint_ends_with_the_unsubscribe(bench: Bench) -> None:
    endpoint = endpoint_of(await bench.wire.subscribe(bench.topic, ["Patient-open"], name="A"))
    bench.expect_accepted(await _unsubscribe(bench, endpoint), "an unsubscribe")
    await expect_dead(bench, endpoint, "its subscription was cancelled")


@check("UNS-04", title="An endpoint that was unsubscribed cannot be renewed")
async def unsubscribed_endpoint_cannot_be_renewed(bench: Bench) -> None:
    a = await _left(bench)
    await bench.join("B", ["Patient-open"])
    answer = await bench.wire.form(form(bench, hub__channel__endpoint=a.endpoint))
    if answer.is_success:
        named = answer.json().get("hub.channel.endpoint")
        expect(named != a.endpoint, "the endpoint that ended was given out again")


@check("UNS-04", title="A later subscription gets a new endpoint")
async def later_subscription_gets_a_new_endpoint(bench: Bench) -> None:
    a = await _left(bench)
    b = await bench.join("A", ["Patient-open"])
    expect(b.endpoint != a.endpoint, "the endpoint that ended was given out again")


@check("UNS-05", title="An unsubscribe with a wrong endpoint is refused, and A is unaffected")
async def unsubscribe_of_a_wrong_endpoint_is_refused(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    await hears(bench, a)
    for wrong in (another_endpoint(a.endpoint), "no URL at all"):
        answer = await _unsubscribe(bench, wrong)
        bench.expect_refused(answer, why="the endpoint was never given out")
    await _expect_alive(bench, a)


@check("UNS-05", title="An unsubscribe with a wrong topic is refused, and A is unaffected")
async def unsubscribe_with_a_wrong_topic_is_refused(bench: Bench) -> None:
    a, other = await bench.join("A", ["Patient-open"]), new_id()
    await hears(bench, a)
    await bench.join("B", ["Encounter-close"], topic=other, fence=False)
    answer = await _unsubscribe(bench, a.endpoint, hub__topic=other)
    bench.expect_refused(answer, why="the endpoint belongs to another topic")
    await _expect_alive(bench, a)


@check("UNS-05", title="Another application cannot unsubscribe A")
async def stranger_cannot_unsubscribe(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    await hears(bench, a)
    stranger = await bench.client("stranger", subject="stranger")
    answer = await _unsubscribe(bench, a.endpoint, stranger)
    bench.expect_refused(answer, why="the endpoint belongs to another application")
    await _expect_alive(bench, a)


@check("UNS-05", title="A refused unsubscribe is told the reason in plain text")
async def refused_unsubscribe_has_a_reason(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open"])
    answer = await _unsubscribe(bench, another_endpoint(a.endpoint))
    if answer.is_success:
        raise Blocked("the faulty unsubscribe was accepted")
    kind = answer.headers.get("content-type", "")
    expect(kind.startswith("text/plain"), f"the reason is sent as {kind or 'nothing'}")
    expect(answer.text.strip(), "the refusal says nothing")


@check(
    "D-48",
    title="An unsubscribe without endpoint means the one subscription of that name",
    only="base",  # IHE demands 400 (IRA-HUB-13)
)
async def unsubscribe_by_name(bench: Bench) -> None:
    a, b = await bench.join("A", ["Patient-open"]), await bench.join("B", ["Patient-open"])
    answer = await _unsubscribe(bench, None, subscriber__name="A")
    bench.expect_accepted(answer, "an unsubscribe by subscriber.name")
    await expect_dead(bench, a.endpoint, "A was unsubscribed by its name")
    await _expect_alive(bench, b)


@check(
    "D-48",
    title="A name that two subscribers bear does not unsubscribe either of them",
    only="base",
)
async def unsubscribe_by_ambiguous_name_is_refused(bench: Bench) -> None:
    a, b = await bench.join("A", ["Patient-open"]), await bench.join("A", ["Patient-open"])
    answer = await _unsubscribe(bench, None, subscriber__name="A")
    bench.expect_refused(answer, 400, why="two subscribers are called A")
    for socket in (a, b):
        await _expect_alive(bench, socket)


async def _expect_alive(bench: Bench, socket: Socket) -> None:
    await bench.publish(new_case().opens_patient(bench.topic))
    frames = only(await received(bench, socket), "Patient-open")
    expect(frames, f"{socket.name} must be unaffected, and gets no events any more")


async def _rest(bench: Bench, socket: Socket) -> list[Json]:
    """Return what was sent to a socket until it was closed, or until now."""
    frames = []
    try:
        while True:
            frames.append(await socket.next(within=bench.timers.silence))
    except (ConnectionClosed, TimeoutError):
        return frames
