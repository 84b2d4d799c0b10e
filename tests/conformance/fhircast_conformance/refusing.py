"""Faulty requests and dead endpoints, and the judgement that a hub refuses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from fhircast_conformance.check import Blocked, expect, fail
from fhircast_conformance.messages import new_case
from fhircast_conformance.watching import name_of, received

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json
    from fhircast_conformance.wire import Wire


def endpoint_of(answer: httpx.Response) -> str:
    """Return the endpoint of an accepted (un)subscribe.

    Raises:
        Blocked: It was refused, or names no endpoint.
    """
    if not answer.is_success:
        raise Blocked(f"subscribing was answered {answer.status_code}")
    endpoint = answer.json().get("hub.channel.endpoint")
    if not isinstance(endpoint, str):
        raise Blocked("the answer to a subscribe names no endpoint")
    return endpoint


def another_endpoint(endpoint: str) -> str:
    """Return a URL that differs from an endpoint by its last character."""
    return endpoint[:-1] + ("A" if endpoint[-1] != "A" else "B")


async def expect_dead(bench: Bench, endpoint: str, why: str) -> None:
    """Judge that nobody can join at an endpoint: the upgrade is refused, or denied at once.

    Raises:
        Failed: It was confirmed, or the socket just stays open.
    """
    try:
        socket = await bench.wire.connect(endpoint, "latecomer")
    except InvalidStatus:
        return
    except (OSError, InvalidHandshake, TimeoutError) as error:
        raise Blocked(f"connecting failed: {type(error).__name__}") from error
    try:
        frame = await socket.next(within=bench.timers.answer)
    except ConnectionClosed:
        return
    except TimeoutError:
        fail(f"{why}; the socket stays open")
    expect(frame.get("hub.mode") == "denied", f"{why}; the hub sent something else than a denial")


def form(bench: Bench, **changed: str | None) -> dict[str, str]:
    """Return a proper subscribe form with changes; dots are written as `__`, None leaves out."""
    fields: dict[str, str | None] = {
        "hub.channel.type": "websocket",
        "hub.mode": "subscribe",
        "hub.topic": bench.topic,
        "hub.events": "Patient-open,Patient-close",
        "subscriber.name": "asker",
    }
    fields |= {key.replace("__", "."): value for key, value in changed.items()}
    return {key: value for key, value in fields.items() if value is not None}


async def faulty_form(bench: Bench, **changed: str | None) -> httpx.Response:
    """Return the answer to a faulty subscribe, after a proper one has shown that the hub works.

    Raises:
        Blocked: The proper one was refused.
    """
    endpoint_of(await bench.wire.form(form(bench)))
    return await bench.wire.form(form(bench, **changed))


async def expect_events_refused(
    bench: Bench,
    *faulty: Json | bytes,
    why: str,
    events: Iterable[str] = ("Patient-open",),
    wire: Wire | None = None,
) -> None:
    """Judge that faulty requests are refused and nothing of them reaches a subscriber.

    A proper request shows before that the hub works.

    Raises:
        Failed: One was accepted, or something was broadcast.
    """
    watcher = await bench.join("watcher", {*events, "Patient-open"})
    await bench.publish(new_case().opens_patient(bench.topic))
    await received(bench, watcher)
    for it in faulty:
        bench.expect_refused(await (wire or bench.wire).post(it), why=why)
    sent = [it.get("id") for it in faulty if isinstance(it, dict)]
    frames = await received(bench, watcher)
    # A SyncError of the hub's own may be about anything: only one that was requested counts.
    broadcast = [it for it in frames if name_of(it) != "syncerror" or it.get("id") in sent]
    expect(not broadcast, f"{why}: nothing may be broadcast")
