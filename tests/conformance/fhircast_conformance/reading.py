"""What frames and answers say, and set-up steps around them, for checks of sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked
from fhircast_conformance.messages import new_case, target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_conformance.bench import Bench
    from fhircast_conformance.messages import Json
    from fhircast_conformance.wire import Socket, Wire

REPORT = (
    "DiagnosticReport-open",
    "DiagnosticReport-close",
    "DiagnosticReport-update",
    "DiagnosticReport-select",
)
"""A reporting session without SyncErrors: a subscriber to these gets neither them nor derived
opens of other types, so they cannot disturb what is judged."""


def name_of(frame: Json) -> str:
    """Return the event of a frame in lower case, "" if it holds none."""
    event = frame.get("event")
    return str(event.get("hub.event", "")).lower() if isinstance(event, dict) else ""


def version_of(frame: Json) -> str:
    """Return the version that a frame carries, "" if none; both spellings are read (D-01)."""
    event = frame["event"]
    return str(event.get("context.versionId") or event.get("versionId") or "")


def prior_version_of(frame: Json) -> str:
    """Return the prior version that a frame carries, "" if none."""
    event = frame["event"]
    return str(event.get("context.priorVersionId") or event.get("priorVersionId") or "")


def items_of(view: Json) -> list[Json]:
    """Return the items of a GET's answer without the content."""
    return [it for it in view["context"] if it.get("key") != "content"]


def bundle_of(view: Json) -> Json:
    """Return the content Bundle of a GET's answer, {} if it holds none."""
    for it in view["context"]:
        if it.get("key") == "content" and isinstance(it.get("resource"), dict):
            return dict(it["resource"])
    return {}


def content_of(view: Json) -> dict[str, Json]:
    """Return the shared resources of a GET's answer by "Type/id"."""
    return {target(it["resource"]): it["resource"] for it in bundle_of(view).get("entry") or []}


def shows(view: Json, resource: Json) -> bool:
    """Whether a GET's answer holds a resource among the items of the open, by type and id."""
    return target(resource) in {
        target(it["resource"]) for it in items_of(view) if isinstance(it.get("resource"), dict)
    }


def issue_of(frame: Json) -> Json:
    """Return the issue `processing` of a SyncError.

    Raises:
        KeyError, IndexError, TypeError: The frame is not shaped like a SyncError.
    """
    issues = frame["event"]["context"][0]["resource"]["issue"]
    return dict(next(it for it in issues if it["code"] == "processing"))


def coding_list(frame: Json) -> list[tuple[str, str]]:
    """Return the codings of a SyncError as (last part of the system, code), in order."""
    coding = issue_of(frame)["details"]["coding"]
    return [(it["system"].rsplit("/", 1)[-1], it["code"]) for it in coding]


def names(frame: Json, name: str) -> bool:
    """Whether a SyncError names a subscriber, by either of the two systems (D-02)."""
    return any(
        system in {"subscribername", "subscriber"} and code == name
        for system, code in coding_list(frame)
    )


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


async def acknowledging(bench: Bench, name: str, events: Iterable[str]) -> Socket:
    """Join a subscriber that acknowledged a Patient-open once, so that the rule binds it (D-41).

    Raises:
        Blocked: The hub did not go along.
    """
    socket = await bench.join(name, events)
    await seen(bench, socket, new_case().opens_patient(bench.topic))
    return socket
