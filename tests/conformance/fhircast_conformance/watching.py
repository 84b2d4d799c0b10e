"""What reached a subscriber, and what a dead endpoint or a faulty request gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from fhircast_conformance.bench import FENCE
from fhircast_conformance.check import Blocked, NotApplicable, expect, fail
from fhircast_conformance.messages import message, new_case

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json
    from fhircast_conformance.wire import Socket, Wire

FENCE_SCOPE = f"fhircast/{FENCE}.*"
"""Lets a client of narrow rights take part in showing silence."""

SHORT_LEASE_SECONDS = 2
"""What is asked for where the end of a lease is waited for."""

_LONGEST_LEASE_SECONDS = 10


def name_of(frame: Json) -> str:
    """Return the event's name in lower case, "" if the frame is no event."""
    event = frame.get("event")
    return str(event.get("hub.event", "")).lower() if isinstance(event, dict) else ""


def only(frames: Iterable[Json], event: str) -> list[Json]:
    """Return the frames of one event, whatever its spelling."""
    return [it for it in frames if name_of(it) == event.lower()]


def patient_of(frame: Json) -> str:
    """Return the id of the patient that an event holds, "" if it holds none."""
    items = [it for it in frame["event"]["context"] if it.get("key") == "patient"]
    return str(items[0]["resource"]["id"]) if items else ""


def events_in(frame: Json) -> set[str]:
    """Return the events that a confirmation or denial lists, in lower case, without the fence."""
    return set(_listed(frame)) - {FENCE}


def lease_of(confirmation: Json) -> float:
    """Return the lease in seconds; one that is written as text, which is wrong, is read as well."""
    return float(confirmation["hub.lease_seconds"])


def version_of(frame: Json) -> str:
    """Return the version that an event carries, by either spelling; "" if none."""
    event = frame["event"]
    return str(event.get("context.versionId") or event.get("versionId") or "")


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


async def requires_tokens(bench: Bench) -> None:
    """The rows bind only hubs that want tokens.

    Raises:
        NotApplicable: The kit was given none.
    """
    token = await bench.hub.tokens.get(scope="fhircast/*.*", topic="", seconds=3600, subject="")
    if not token:
        raise NotApplicable("the hub is used without tokens")


async def quiet_session(bench: Bench) -> Socket:
    """Make the topic by a subscriber that is sent nothing and so need not acknowledge."""
    return await bench.join("host", ["Encounter-close"], fence=False)


async def received(bench: Bench, socket: Socket, topic: str = "") -> list[Json]:
    """Return everything that was sent to a socket since it was last read, all acknowledged.

    Raises:
        Blocked: The hub closed the socket, or it passes no events on.
    """
    fenced = FENCE in _listed(socket.confirmation)
    if fenced:
        await bench.publish(message(topic or bench.topic, FENCE, []))
    frames: list[Json] = []
    while True:
        try:
            frame = await socket.next(
                within=bench.timers.answer if fenced else bench.timers.silence
            )
        except TimeoutError:
            if fenced:
                raise Blocked(f"{socket.name} did not get the fence event") from None
            return frames
        except ConnectionClosed:
            raise Blocked(f"the hub closed the socket of {socket.name}") from None
        if "id" in frame:
            await socket.acknowledge(frame)
        if name_of(frame) == FENCE:
            return frames
        frames.append(frame)


async def next_of(bench: Bench, socket: Socket, event: str) -> Json:
    """Return the next frame of an event, not acknowledged; others before it are passed over.

    Raises:
        Blocked: None came.
    """
    frame = await _next(bench, socket)
    while name_of(frame) != event.lower():
        if "id" in frame:
            await socket.acknowledge(frame)
        frame = await _next(bench, socket)
    return frame


async def expect_sync_error(bench: Bench, socket: Socket, why: str) -> Json:
    """Judge that a SyncError comes, whatever comes before it; return it, acknowledged.

    Raises:
        Failed: None came.
    """
    try:
        while True:
            frame = await socket.followed(within=bench.timers.answer)
            if name_of(frame) == "syncerror":
                return frame
    except TimeoutError:
        fail(f"{why}: a SyncError is due")
    except ConnectionClosed:
        raise Blocked(f"the hub closed the socket of {socket.name}") from None


async def confirmed(bench: Bench, socket: Socket) -> Json:
    """Return the next confirmation on a socket; events before it are acknowledged.

    Raises:
        Blocked: None came.
    """
    return await _next_with_mode(bench, socket)


async def ended(bench: Bench, socket: Socket, *, within: float = 0.0) -> list[Json]:
    """Judge that the hub closes a socket, whatever it sends before; return what it sent.

    Raises:
        Failed: It stays open.
    """
    frames: list[Json] = []
    try:
        while True:
            frames.append(await socket.next(within=within or bench.timers.answer))
    except ConnectionClosed:
        return frames
    except TimeoutError:
        fail(f"the socket of {socket.name} must be closed; it stays open")


async def close_code(bench: Bench, socket: Socket) -> int:
    """Return the code with which the hub closes a socket, after whatever it sends before.

    Raises:
        Blocked: It does not close it.
    """
    try:
        while True:
            await socket.next(within=bench.timers.answer)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 1006
    except TimeoutError:
        raise Blocked("the hub does not close the socket") from None


async def denial(bench: Bench, socket: Socket) -> Json:
    """Unsubscribe a socket and return the denial that announces the end; for set-up.

    Raises:
        Blocked: None came.
    """
    answer = await bench.wire.unsubscribe(bench.topic, socket.endpoint)
    if not answer.is_success:
        raise Blocked(f"unsubscribing was answered {answer.status_code}")
    frame = await _next_with_mode(bench, socket)
    while frame["hub.mode"] != "denied":
        frame = await _next_with_mode(bench, socket)
    return frame


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


async def joins_with_short_lease(bench: Bench, name: str = "A") -> tuple[Socket, float]:
    """Join with a lease whose end can be waited for; return the lease that was granted.

    Raises:
        NotApplicable: The hub grants longer ones only.
    """
    socket = await bench.join(name, ["Patient-open"], hub__lease_seconds=str(SHORT_LEASE_SECONDS))
    lease = lease_of(socket.confirmation)
    if lease > _LONGEST_LEASE_SECONDS:
        raise NotApplicable(
            f"the hub grants {lease:g} s when {SHORT_LEASE_SECONDS} s are asked for"
        )
    return socket, lease


# --- faulty requests ----------------------------------------------------------------------------


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


async def _next(bench: Bench, socket: Socket) -> Json:
    try:
        frame = await socket.next(within=bench.timers.answer)
    except TimeoutError:
        raise Blocked(f"{socket.name} did not get a frame that is due") from None
    except ConnectionClosed:
        raise Blocked(f"the hub closed the socket of {socket.name}") from None
    return frame


async def _next_with_mode(bench: Bench, socket: Socket) -> Json:
    frame = await _next(bench, socket)
    while "hub.mode" not in frame:
        if "id" in frame:
            await socket.acknowledge(frame)
        frame = await _next(bench, socket)
    return frame


def _listed(frame: Json) -> list[str]:
    """Return what `hub.events` lists, in lower case; an array, which is wrong, is read as well."""
    events = frame.get("hub.events") or ""
    listed = events if isinstance(events, list) else str(events).split(",")
    return [name for it in listed if (name := str(it).strip().lower())]
