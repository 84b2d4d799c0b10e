"""Set-up steps that several families of checks share; what goes wrong in them is Blocked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from fhircast_conformance.bench import FENCE
from fhircast_conformance.check import Blocked, NotApplicable
from fhircast_conformance.messages import message, new_case, put, target
from fhircast_conformance.reading import bundle_of, content_of, name_of, shows, version_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from typing import Any

    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Case, Json
    from fhircast_conformance.wire import Socket, Wire

_T = TypeVar("_T")

CONTENT = "DiagnosticReport-update"
"""A hub that declares this event shares content."""

REPORT = (
    "DiagnosticReport-open",
    "DiagnosticReport-close",
    "DiagnosticReport-update",
    "DiagnosticReport-select",
)
"""A reporting session without SyncErrors: a subscriber to these gets neither them nor derived
opens of other types, so they cannot disturb what is judged."""


async def seen(bench: Bench, socket: Socket, event: Json, wire: Wire | None = None) -> Json:
    """Publish an event and return its frame on a socket, acknowledged: now it has been done.

    Raises:
        Blocked: The hub refused it, or the frame did not come.
    """
    await bench.publish(event, wire)
    frame = await bench.frame(socket)
    while frame.get("id") != event["id"]:  # a derived open or a SyncError, which may come
        frame = await bench.frame(socket)
    return frame


async def sync_error(bench: Bench, socket: Socket) -> Json:
    """Return the next SyncError of a socket, acknowledged; for set-up.

    Raises:
        Blocked: None came.
    """
    frame = await bench.frame(socket)
    while name_of(frame) != "syncerror":
        frame = await bench.frame(socket)
    return frame


async def unacknowledged(bench: Bench, socket: Socket) -> Json:
    """Return the next frame without acknowledging it; for set-up.

    Raises:
        Blocked: None came.
    """
    try:
        return await socket.next(within=bench.timers.answer)
    except TimeoutError as late:
        raise Blocked("a frame that is due did not come") from late


async def next_event(bench: Bench, socket: Socket) -> Json:
    """Return the next event of a socket, acknowledged; a confirmation may come before it (D-12).

    Raises:
        Blocked: None came, or the hub closed the socket.
    """
    try:
        frame = await unacknowledged(bench, socket)
        while frame.get("hub.mode") == "subscribe":
            frame = await unacknowledged(bench, socket)
    except ConnectionClosed as closed:
        raise Blocked("the hub closed the socket") from closed
    if "id" in frame:
        await socket.acknowledge(frame)
    return frame


async def acknowledging(bench: Bench, name: str, events: Iterable[str]) -> Socket:
    """Join a subscriber that acknowledged a Patient-open once, so that the rule binds it (D-41).

    Raises:
        Blocked: The hub did not go along.
    """
    socket = await bench.join(name, events)
    await seen(bench, socket, new_case().opens_patient(bench.topic))
    return socket


async def join_otherwise(bench: Bench, name: str, events: Iterable[str]) -> Socket:
    """Join with other events than the rest asks for, which a hub may refuse (SUB-16, DER-03).

    Raises:
        NotApplicable: It did.
    """
    try:
        return await bench.join(name, events)
    except Blocked:
        raise NotApplicable("the hub refuses a set of events unlike the others'") from None


async def open_report(bench: Bench, events: Iterable[str] = REPORT) -> tuple[Socket, Case, Json]:
    """Open a report; return a subscriber that saw it, the case and the frame.

    Raises:
        Blocked: The hub did not go along.
    """
    a = await bench.join("A", events)
    case = new_case()
    return a, case, await seen(bench, a, case.opens(bench.topic))


async def versioned_report(bench: Bench) -> tuple[Socket, Case, str]:
    """Open a report at a hub that shares content; return its version instead of the frame.

    Raises:
        NotApplicable: The hub does not share content.
        Blocked: It did not go along, or gave no version (CONT-01).
    """
    bench.requires_event(CONTENT)
    a, case, frame = await open_report(bench)
    if not version_of(frame):
        raise Blocked("the open has no version on which an update could be based (CONT-01)")
    return a, case, version_of(frame)


async def shared_report(
    bench: Bench, events: Iterable[str] = REPORT
) -> tuple[Socket, Case, Json, Json]:
    """Open a report and share an Observation in it; return both and the frame of the update.

    Raises:
        NotApplicable: The hub does not share content.
        Blocked: It did not go along, or does not show what was shared.
    """
    bench.requires_event(CONTENT)
    a, case, frame = await open_report(bench, events)
    observation = case.observation()
    opened = version_of(frame)
    frame = await seen(bench, a, case.updates(bench.topic, opened, put(observation)))
    if version_of(frame) == opened:
        raise Blocked("the version is still that of the open (CONT-04)")
    readable = bench.declares("supportsGetCurrentContext", "getCurrentSupport")
    if readable and not await holds(bench, observation):
        raise Blocked("the content does not show what was shared")
    return a, case, observation, frame


async def require_current(bench: Bench, resource: Json) -> None:
    """Make sure that a GET shows a resource of the current context's open (CTX-02).

    Raises:
        NotApplicable: The hub does not support reading the current context.
        Blocked: It shows something else.
    """
    if not shows(await bench.context(), resource):
        raise Blocked("GET does not show what was opened last (CTX-02)")


async def content(bench: Bench) -> dict[str, Json]:
    """Return the shared resources of the current context by "Type/id".

    Raises:
        NotApplicable: The hub does not support reading the current context.
        Blocked: Reading it failed, or it holds no content Bundle (CTX-06).
    """
    view = await bench.context()
    if not bundle_of(view):
        raise Blocked("the current context holds no content Bundle")
    return content_of(view)


async def holds(bench: Bench, resource: Json) -> bool:
    """Whether the current context's content holds a resource.

    Raises:
        NotApplicable: The hub does not support reading the current context.
        Blocked: Reading it failed, or it holds no content Bundle (CTX-06).
    """
    return target(resource) in await content(bench)


async def collected(bench: Bench, socket: Socket) -> list[Json]:
    """Return all frames that were sent to a socket until now, acknowledged.

    Raises:
        Blocked: The hub closed the socket, or the end cannot be seen.
    """
    fence = message(bench.topic, FENCE, [])
    await bench.publish(fence)
    frames = [await bench.frame(socket)]
    while frames[-1].get("id") != fence["id"]:
        frames.append(await bench.frame(socket))
    return frames[:-1]


async def is_confirmed(bench: Bench, endpoint: str) -> bool:
    """Whether the hub confirms a subscription at this endpoint, instead of refusing or denying it.

    Raises:
        Blocked: Neither came.
    """
    try:
        socket = await bench.wire.connect(endpoint, "again")
        frame = await socket.next(within=bench.timers.answer)
    except (InvalidHandshake, ConnectionClosed, OSError):
        return False
    except TimeoutError as late:
        raise Blocked("neither a confirmation nor a refusal came") from late
    return frame.get("hub.mode") == "subscribe"


async def together(*steps: Coroutine[Any, Any, _T]) -> list[_T]:
    """Run steps at once and return their results; the first that goes wrong ends them all.

    Raises:
        Exception: What that step raised.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(step) for step in steps]
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return [it.result() for it in running]
