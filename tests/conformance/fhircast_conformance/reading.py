"""What frames and answers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.messages import target

if TYPE_CHECKING:
    from fhircast_conformance.messages import Json


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


def is_empty(view: Json, *, is_ira: bool) -> bool:
    """Whether a GET's answer shows no context; under IRA it may always hold an empty content."""
    items = items_of(view) if is_ira else view["context"]
    return view["context.type"] == "" and items == [] and not content_of(view)
