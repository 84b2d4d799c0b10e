"""The standard's own examples, and what must come before each of them so that it fits a hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from builders import Json, bundle, item, message, put, ref
from golden_table import IG, KINDS, Kind

FOLDER = Path(__file__).parent / "spec_examples"
_FSH_TOPIC = "7c5d6c36-3a38-4c0e-8d6c-2f3f8a0b1a10"
_FSH_CONTEXTS: dict[str, dict[str, str]] = {
    "Patient-open": {"patient": "FHIRcastPatientOpen-Example"},
    "Patient-close": {"patient": "FHIRcastPatientClose-Example"},
    "Encounter-open": {
        "encounter": "FHIRcastEncounterOpen-Example",
        "patient": "FHIRcastPatientOpen-Example",
    },
    "Encounter-close": {
        "encounter": "FHIRcastEncounterClose-Example",
        "patient": "FHIRcastPatientClose-Example",
    },
    "ImagingStudy-open": {
        "study": "FHIRcastImagingStudyOpen-Example",
        "patient": "FHIRcastPatientOpen-Example",
    },
    "ImagingStudy-close": {
        "study": "FHIRcastImagingStudyClose-Example",
        "patient": "FHIRcastPatientClose-Example",
    },
    "DiagnosticReport-open": {
        "report": "FHIRcastDiagnosticReportOpen-Example",
        "patient": "FHIRcastPatientOpen-Example",
        "study": "FHIRcastImagingStudyOpen-Example",
    },
    "DiagnosticReport-close": {
        "report": "FHIRcastDiagnosticReportClose-Example",
        "patient": "FHIRcastPatientClose-Example",
        "study": "FHIRcastImagingStudyClose-Example",
    },
    "SyncError hub": {"operationoutcome": "FhircastHubSyncErrorOperationOutcome-Example"},
    "SyncError subscriber": {
        "operationoutcome": "FhircastSubscriberSyncErrorOperationOutcome-Example"
    },
    "UserLogout": {"parameters": "FHIRcastLogoutContext-Example"},
    "UserHibernate": {"parameters": "FHIRcastHibernateContext-Example"},
    "Patient-open placeholder": {"patient": "PatientExample"},
    "ImagingStudy-open placeholder": {"study": "ImagingStudyExample", "patient": "PatientExample"},
}
_FSH_CONTENT = ("FHIRcastObservation-Example", "OrganizationExample", "PractitionerExample")


def of_kind(kind: Kind) -> list[str]:
    """The files of one kind."""
    return [path for path, it in KINDS.items() if it is kind]


def text(path: str) -> str:
    return (FOLDER / path).read_text()


def value(path: str) -> Json:
    loaded: Json = json.loads(text(path))
    return loaded


def exact(json_text: str | bytes) -> Any:
    """The JSON value with every number as it is written: 8.20 is not 8.2 here."""
    return json.loads(json_text, parse_float=_digits, parse_int=_digits)


def _digits(number: str) -> tuple[str, str]:
    return ("number", number)


def fsh_path(name: str) -> str:
    return f"{IG}/fsh/{name}.json"


def events() -> dict[str, str]:
    """Every event by a name for the test: those of the files, and those made of the resources."""
    from_files = {path: text(path) for path in of_kind(Kind.EVENT)}
    return {**from_files, **_made_of_parts()}


def _made_of_parts() -> dict[str, str]:
    made = {}
    for name, parts in _FSH_CONTEXTS.items():
        items = [item(value(fsh_path(part)), key) for key, part in parts.items()]
        made[f"fsh {name}"] = _event(name.split()[0], items)
    report = ref("DiagnosticReport/2402d3bd-e988-414b-b7f2-4322e86c9327", "report")
    shared = [put(value(fsh_path(it))) for it in _FSH_CONTENT]
    updates = {
        "fsh DiagnosticReport-update": value(fsh_path("FHIRcastContentUpdateBundle-Example")),
        "fsh DiagnosticReport-update content": bundle(*shared),
    }
    for name, updated in updates.items():
        items = [report, {"key": "updates", "resource": updated}]
        made[name] = _event("DiagnosticReport-update", items, version_id="v0")
    extended = value(f"{IG}/2-8-Extensions/01-extension.json")["context"]
    return {**made, "2-8-Extensions": _event("Patient-open", extended)}


def _event(name: str, items: list[Json], **fields: Any) -> str:
    return json.dumps(message(name, items, topic=_FSH_TOPIC, **fields))


def parts_in_events() -> set[str]:
    """The files of resources that an event above holds."""
    names = {name for parts in _FSH_CONTEXTS.values() for name in parts.values()}
    return {
        fsh_path(it) for it in names.union(_FSH_CONTENT, {"FHIRcastContentUpdateBundle-Example"})
    }


def opening_of(event: Json) -> Json | None:
    """The open that must come before an update, a selection or a close; None for other events.

    It holds the resources of the event's own context, or as little of them as an open needs.
    """
    name: str = event["event"]["hub.event"]
    anchor_type, _, suffix = name.partition("-")
    if suffix not in {"update", "select", "close"}:
        return None
    items = [
        item(_resource(it), it["key"])
        for it in event["event"]["context"]
        if it["key"] not in {"updates", "select"}
    ]
    keys = {it["key"] for it in items}
    if anchor_type == "DiagnosticReport":
        missing = {"patient": "Patient", "study": "ImagingStudy"}
        items += [
            item({"resourceType": kind, "id": f"any-{key}"}, key)
            for key, kind in missing.items()
            if key not in keys
        ]
    opening = {**event["event"], "hub.event": f"{anchor_type}-open", "context": items}
    opening.pop("context.versionId", None)
    opening.pop("context.priorVersionId", None)
    return {"timestamp": event["timestamp"], "id": "opening", "event": opening}


def sharing_of(event: Json, version_id: str) -> Json | None:
    """The update that brings what a selection selects; None for other events."""
    selected = [it["reference"] for it in event["event"]["context"] if it["key"] == "select"]
    references = [it["reference"] for it in selected if it]
    if not references:
        return None
    shared = [put({"resourceType": it.split("/")[0], "id": it.split("/")[1]}) for it in references]
    anchor = event["event"]["context"][0]
    items = [anchor, {"key": "updates", "resource": bundle(*shared)}]
    body = {**event["event"], "hub.event": "DiagnosticReport-update", "context": items}
    body["context.versionId"] = version_id
    return {"timestamp": event["timestamp"], "id": "sharing", "event": body}


def _resource(context_item: Json) -> Json:
    if "resource" in context_item:
        resource: Json = context_item["resource"]
        return resource
    kind, _, id_ = context_item["reference"]["reference"].partition("/")
    return {"resourceType": kind, "id": id_}


def based_on(event_text: str, version_id: str) -> str:
    """The event's text based on this version, if it is an update; nothing else is touched."""
    event = json.loads(event_text)["event"]
    if not event["hub.event"].endswith("-update"):
        return event_text
    return event_text.replace(f'"{event["context.versionId"]}"', f'"{version_id}"', 1)


def without_versions(notification: Any) -> Any:
    """The notification without the two fields that the hub may write."""
    fields = ("context.versionId", "context.priorVersionId")
    event = {key: it for key, it in notification["event"].items() if key not in fields}
    return {**notification, "event": event}
