"""What reached a subscriber, and what its frames say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

from fhircast_conformance.bench import FENCE
from fhircast_conformance.check import Blocked, NotApplicable, expect, fail
from fhircast_conformance.messages import message, new_case

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json
    from fhircast_conformance.wire import Socket

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


async def delivered(bench: Bench, socket: Socket, event: str) -> list[Json]:
    """Return the frames of an event that must have come; whether they do is no subject here.

    Raises:
        Blocked: None came.
    """
    frames = only(await received(bench, socket), event)
    if not frames:
        raise Blocked(f"{socket.name} did not get {event}")
    return frames


async def hears(bench: Bench, *sockets: Socket) -> None:
    """Show that a Patient-open reaches these sockets, before something is done to them.

    Raises:
        Blocked: It does not.
    """
    await bench.publish(new_case().opens_patient(bench.topic))
    for socket in sockets:
        await delivered(bench, socket, "Patient-open")


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


async def expect_confirmation(bench: Bench, socket: Socket, why: str) -> Json:
    """Judge that a confirmation comes, whatever events come before it, and return it.

    Raises:
        Failed: None came.
    """
    try:
        while "hub.mode" not in (frame := await socket.next(within=bench.timers.answer)):
            if "id" in frame:
                await socket.acknowledge(frame)
    except (TimeoutError, ConnectionClosed):
        fail(f"{why}: a confirmation is due")
    expect(frame["hub.mode"] == "subscribe", f"{why}: it was {frame['hub.mode']}")
    return frame


async def is_open(bench: Bench, socket: Socket) -> bool:
    """Whether the hub has left a socket open; what it sent is passed over."""
    try:
        while True:
            await socket.next(within=bench.timers.silence)
    except TimeoutError:
        return True
    except ConnectionClosed:
        return False


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
