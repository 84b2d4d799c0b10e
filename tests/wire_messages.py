"""Requests as JSON values, stamped now, for tests that talk to a hub that runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from builders import Json, bundle, case, item, key_of, message, ref, target

if TYPE_CHECKING:
    from fhircast_conformance.wire import Socket, Wire

ALL_EVENTS = (
    *(
        f"{anchor}-{suffix}"
        for anchor in ("Patient", "ImagingStudy")
        for suffix in ("open", "close")
    ),
    *(f"DiagnosticReport-{suffix}" for suffix in ("open", "close", "update", "select")),
    "Home-open",
    "SyncError",
    "org.example.marker",
)


def request(event: str, *items: Json, **fields: Any) -> Json:
    """Any event with these context items."""
    return message(event, list(items), **{"at": datetime.now(UTC), **fields})


def marker() -> Json:
    """An event that changes nothing: what comes before it is all that came."""
    return request("org.example.marker")


def open_request(number: int = 1, **fields: Any) -> Json:
    """A DiagnosticReport-open with report, patient and study."""
    return request("DiagnosticReport-open", *map(item, case(number)), **fields)


def close_request(number: int = 1, **fields: Any) -> Json:
    return request("DiagnosticReport-close", *map(item, case(number)), **fields)


def patient_request(number: int = 1, event: str = "Patient-open", **fields: Any) -> Json:
    """A Patient-open, or a close."""
    return request(event, item(case(number)[1]), **fields)


def update_request(version_id: str, *entries: Json, number: int = 1, **fields: Any) -> Json:
    """An update of a report's content, based on this version."""
    report = case(number)[0]
    updates = {"key": "updates", "resource": bundle(*entries)}
    named = ref(target(report), key_of(report))
    return request("DiagnosticReport-update", named, updates, version_id=version_id, **fields)


def select_request(*references: str, number: int = 1, **fields: Any) -> Json:
    """A selection of these resources."""
    report = case(number)[0]
    selected = [ref(it, "select") for it in references]
    return request("DiagnosticReport-select", ref(target(report), "report"), *selected, **fields)


def sync_error_request(about: str, *, issue: Json | None = None) -> Json:
    """A SyncError of a subscriber about an event."""
    codes = {"eventid": about, "eventname": "DiagnosticReport-open", "subscribername": "Dictation"}
    coding = [
        {"system": f"https://fhircast.hl7.org/events/syncerror/{system}", "code": code}
        for system, code in codes.items()
    ]
    issue = issue or {
        "severity": "warning",
        "code": "processing",
        "diagnostics": "Dictation: unsaved text",
        "details": {"coding": coding},
    }
    return request("SyncError", item({"resourceType": "OperationOutcome", "issue": [issue]}))


def codings(sync_error: Json) -> dict[str, str]:
    """What a SyncError says: last part of the system -> code."""
    assert sync_error["event"]["hub.event"] == "SyncError", sync_error
    (entry,) = sync_error["event"]["context"]
    assert entry["key"] == "operationoutcome"
    details = entry["resource"]["issue"][0]["details"]
    return {it["system"].rsplit("/", 1)[-1]: it["code"] for it in details["coding"]}


async def only_marker_comes(wire: Wire, *sockets: Socket) -> None:
    """Check that nothing was sent to these sockets: an event posted now is their next frame."""
    sent = marker()
    answer = await wire.post(sent)
    assert answer.status_code == 202, answer.text
    for socket in sockets:
        assert (await socket.followed())["id"] == sent["id"]


async def denied_and_closed(socket: Socket) -> tuple[str, int]:
    """Read a denial and the close after it; return the reason and the close code."""
    denial = await socket.next()
    assert denial["hub.mode"] == "denied", denial
    return denial["hub.reason"], await socket.close_code()
