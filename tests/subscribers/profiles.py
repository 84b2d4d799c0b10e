"""A validator of what subscribers send, written from the standard's tables and profiles.

It shares nothing with the library. `violations` returns sentences that start with the row's id; an
empty list means that the message may be sent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

Json = dict[str, Any]
Found = Iterator[str]

MANY = 1_000
V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
SYNC = "https://fhircast.hl7.org/events/syncerror/"
_CODES = "http://fhircast.hl7.org/CodeSystem/fhircast-codesystem"
_REVERSE_DOMAIN = re.compile(r"[a-z][a-z0-9]*(\.[A-Za-z0-9_]+)+")

_REPORT = {"report": (1, 1), "patient": (1, 1), "study": (0, MANY), "encounter": (0, 1)}
_STUDY = {"study": (1, 1), "patient": (0, 1), "encounter": (0, 1)}
_ENCOUNTER = {"encounter": (1, 1), "patient": (1, 1)}
TABLE: dict[str, dict[str, tuple[int, int]]] = {
    "Patient-open": {"patient": (1, 1)},
    "Patient-close": {"patient": (1, 1)},
    "Encounter-open": _ENCOUNTER,
    "Encounter-close": _ENCOUNTER,
    "ImagingStudy-open": _STUDY,
    "ImagingStudy-close": _STUDY,
    "DiagnosticReport-open": _REPORT,
    "DiagnosticReport-close": _REPORT,
    "DiagnosticReport-update": {"report": (1, 1), "patient": (0, 1), "updates": (1, 1)},
    "DiagnosticReport-select": {"report": (1, 1), "patient": (0, 1), "select": (1, MANY)},
    "SyncError": {"operationoutcome": (1, 1)},
    "UserLogout": {"parameters": (1, 1)},
    "UserHibernate": {"parameters": (1, 1)},
    "Home-open": {},
}
TYPES = {
    "report": "DiagnosticReport",
    "patient": "Patient",
    "study": "ImagingStudy",
    "encounter": "Encounter",
    "updates": "Bundle",
    "operationoutcome": "OperationOutcome",
    "parameters": "Parameters",
}


def violations(message: Json, *, fhir: str = "R4", ira: bool = True) -> list[str]:
    """Return what a message does not meet.

    Args:
        message: As it was posted.
        fhir: Version of its resources.
        ira: Whether IRA's profiles bind too.
    """
    event = message.get("event")
    if not isinstance(event, dict):
        return ["EVT-02 no event"]
    if not isinstance(event.get("context"), list):
        return ["EVT-02 context is no array"]
    return [
        *_frame(message, event),
        *_table(event),
        *_resources(event, fhir, ira),
    ]


def _frame(message: Json, event: Json) -> Found:
    if not _is_uuid(message.get("id")):
        yield "D-50 id is no UUID"
    stamp = message.get("timestamp")
    if not isinstance(stamp, str) or not stamp.endswith("Z"):
        yield "EVT-09 timestamp does not end in Z"
    elif datetime.fromisoformat(stamp).utcoffset() != timedelta(0):
        yield "EVT-09 timestamp is not UTC"
    if not event.get("hub.topic"):
        yield "EVT-02 no topic"
    has_version = bool(event.get("context.versionId"))
    if has_version != str(event.get("hub.event")).endswith("-update"):
        yield "CONT-02 a version belongs to an update and to nothing else"


def _table(event: Json) -> Found:
    name, items = event.get("hub.event"), event.get("context", [])
    if name not in TABLE:
        if not isinstance(name, str) or "-" in name or not _REVERSE_DOMAIN.fullmatch(name):
            yield f"EVT-13 {name} is in no catalogue and no reverse-domain name"
        return
    counted = Counter(it.get("key") for it in items)
    for key in counted:
        if key not in TABLE[name]:
            yield f"EVT-16 {name} has no key {key}"
    for key, (least, most) in TABLE[name].items():
        if not least <= counted[key] <= most:
            yield f"EVT-16 {name}: {counted[key]} times {key}"
    for it in items:
        if it.get("key") in TABLE[name]:
            yield from _value(name, it)


def _value(name: str, it: Json) -> Found:
    key = it["key"]
    is_reference = name.endswith(("-update", "-select")) and key != "updates"
    element = "reference" if is_reference else "resource"
    if set(it) != {"key", element}:
        yield f"EVT-15 {key} stands not under {element} alone"
        return
    if is_reference:
        if it[element] != [] and not it[element].get("reference"):
            yield f"SEL-01 {key} has no reference"
    elif it[element].get("resourceType") != TYPES[key]:
        yield f"EVT-15 {key} is no {TYPES[key]}"


def _resources(event: Json, fhir: str, ira: bool) -> Found:
    name, items = str(event.get("hub.event")), event.get("context", [])
    held = {it["key"]: it.get("resource") for it in items if "resource" in it}
    if name.endswith("-open") and name in TABLE:
        yield from _opened(items, held, fhir, ira)
    elif name.endswith("-close"):
        yield from _closed(items, held)
    elif name.endswith("-update"):
        yield from _updates(held.get("updates") or {}, items)
    elif name == "SyncError":
        yield from _sync_error(held.get("operationoutcome") or {})
    elif name in {"UserLogout", "UserHibernate"}:
        yield from _parameters(held.get("parameters") or {}, name)


def _opened(items: list[Json], held: dict[str, Json], fhir: str, ira: bool) -> Found:
    patient = held.get("patient")
    for it in items:
        resource = it.get("resource") or {}
        if not resource.get("id"):
            yield f"PROF-13 {it['key']} has no id"
        subject = (resource.get("subject") or {}).get("reference", "")
        if it["key"] != "patient" and not subject:
            yield f"PROF-03 {it['key']} has no subject"
        if patient and it["key"] != "patient" and subject != f"Patient/{patient['id']}":
            yield f"PROF-03 {it['key']} is about another patient"
        if not patient and subject.startswith("Patient/"):
            yield "PROF-06 the patient is missing"
        if it["key"] == "study":
            yield from _study(resource, ira and "report" in held)
    if patient is not None:
        yield from _patient(patient, ira and "report" in held)
    if "encounter" in held:
        yield from _encounter(held["encounter"], fhir)
    if "report" in held:
        yield from _report(held["report"], items, fhir, ira)


def _patient(patient: Json, ira: bool) -> Found:
    if not any(it.get("value") for it in patient.get("identifier", [])):
        yield "PROF-01 the patient has no identifier"
    wanted = {"system": V2_0203, "code": "MR", "display": "Medical Record Number"}
    if ira and not any(wanted in _codings(it) for it in patient.get("identifier", [])):
        yield "IRA-PR-02 no medical record number"


def _encounter(encounter: Json, fhir: str) -> Found:
    if not encounter.get("identifier"):
        yield "PROF-04 the encounter has no identifier"
    if not encounter.get("status"):
        yield "PROF-04 the encounter has no status"
    kind = encounter.get("class")
    if fhir == "R4" and not (isinstance(kind, dict) and kind.get("code")):
        yield "PROF-04 the encounter has no class"


def _study(study: Json, ira: bool) -> Found:
    identifiers = study.get("identifier", [])
    if not identifiers:
        yield "PROF-05 the study has no identifier"
    if not study.get("status"):
        yield "PROF-05 the study has no status"
    uids = [it for it in identifiers if it.get("system") == "urn:dicom:uid"]
    if any(not it.get("value", "").startswith("urn:oid:") for it in uids):
        yield "PROF-05 the Study Instance UID does not start with urn:oid:"
    if not ira:
        return
    if study.get("status") != "available":
        yield "IRA-PR-03 the study is not available"
    if len([it for it in uids if _is_typed(it, DCM, "110180")]) != 1:
        yield "IRA-PR-03 not one Study Instance UID of type 110180"
    accessions = [it for it in identifiers if _is_typed(it, V2_0203, "ACSN")]
    if len([it for it in accessions if it.get("value")]) != 1:
        yield "IRA-PR-03 not one accession number"


def _report(report: Json, items: list[Json], fhir: str, ira: bool) -> Found:
    if not report.get("identifier") and not report.get("basedOn"):
        yield "PROF-08 neither identifier nor basedOn"
    name, other = ("imagingStudy", "study") if fhir == "R4" else ("study", "imagingStudy")
    if other in report:
        yield f"PROF-11 {fhir} has no {other}"
    studies = [f"ImagingStudy/{it['resource']['id']}" for it in items if it["key"] == "study"]
    if [it.get("reference") for it in report.get(name, [])] != studies:
        yield "PROF-08 the report does not refer to the studies of the context"
    known = [
        it.get("value")
        for item in items
        if item["key"] == "study"
        for it in item["resource"]["identifier"]
        if _is_typed(it, V2_0203, "ACSN")
    ]
    stated = [it.get("identifier", {}).get("value") for it in report.get("basedOn", [])]
    if known and known[0] not in stated:
        yield "PROF-08 the accession number is not in basedOn"
    if ira and report.get("status") != "unknown":
        yield "IRA-PR-01 the status is not unknown"
    if ira and len(studies) != 1:
        yield "IRA-PR-01 not exactly one study"


def _closed(items: list[Json], held: dict[str, Json]) -> Found:
    patient = held.get("patient")
    for it in items:
        resource = it.get("resource") or {}
        if not resource.get("id"):
            yield f"PROF-02 {it['key']} has no id"
        if it["key"] == "patient":
            continue
        subject = (resource.get("subject") or {}).get("reference")
        if patient and subject != f"Patient/{patient['id']}":
            yield f"PROF-10 {it['key']} is about another patient"
        wanted = {"report": {"status"}, "encounter": {"status", "class"}}.get(it["key"], set())
        for name in wanted - set(resource):
            yield f"PROF-04 {it['key']} has no {name}"


def _updates(bundle: Json, items: list[Json]) -> Found:
    if bundle.get("type") != "transaction" or "link" in bundle or not bundle.get("id"):
        yield "CONT-09 no transaction with an id and without link"
    seen: set[str] = set()
    for entry in bundle.get("entry", []):
        request = entry.get("request") or {}
        target, resource = request.get("url"), entry.get("resource")
        if request.get("method") not in {"PUT", "DELETE"}:
            yield "CONT-12 neither PUT nor DELETE"
        if not target or entry.get("fullUrl") != target:
            yield "CONT-11 fullUrl or url is missing"
        if target in seen:
            yield "CONT-09 the same resource twice"
        seen.add(str(target))
        if {"search", "response"} & set(entry):
            yield "CONT-10 search or response"
        if (request.get("method") == "PUT") != isinstance(resource, dict):
            yield "CONT-10 a PUT holds a resource, a DELETE does not"
        elif isinstance(resource, dict):
            if f"{resource.get('resourceType')}/{resource.get('id')}" != target:
                yield "CONT-10 url does not name the resource"
            yield from _content(resource)
    anchors = [it["reference"]["reference"] for it in items if it["key"] in {"report", "patient"}]
    for entry in bundle.get("entry", []):
        if entry.get("request", {}).get("method") == "DELETE" and entry.get("fullUrl") in anchors:
            yield "CONT-13 a resource of the open is removed"


def _content(resource: Json) -> Found:
    kind = resource.get("resourceType")
    subject = (resource.get("subject") or {}).get("reference", "")
    derived = [it.get("reference", "") for it in resource.get("derivedFrom", [])]
    if kind == "Observation":
        if not subject.startswith("Patient/"):
            yield "CONT-21 an Observation without a patient"
        if len([it for it in derived if it.startswith("ImagingStudy/")]) > 1:
            yield "IRA-PR-04 derived from more than one study"
    if kind == "ImagingSelection":
        if resource.get("status") != "unknown" or not resource.get("code"):
            yield "IRA-PR-04 an ImagingSelection has status unknown and a code"
        if not derived or not all(it.startswith("ImagingStudy/") for it in derived):
            yield "IRA-PR-04 an ImagingSelection is derived from an ImagingStudy"
    if kind == "DiagnosticReport":
        if len(resource.get("study") or resource.get("imagingStudy") or []) > 1:
            yield "IRA-PR-04 an updated report has one study at most"
        if not subject.startswith("Patient/"):
            yield "IRA-PR-04 an updated report has no patient"


def _sync_error(outcome: Json) -> Found:
    issues = [it for it in outcome.get("issue", []) if it.get("code") == "processing"]
    if len(issues) != 1:
        yield "SYNC-02 not one issue with the code processing"
        return
    if issues[0].get("severity") != "warning":
        yield "SYNC-03 severity is not warning"
    codings = issues[0].get("details", {}).get("coding", [])
    systems = [it.get("system") for it in codings]
    wanted = [SYNC + it for it in ("eventid", "eventname", "subscribername", "subscriber")]
    if systems != wanted:
        yield "SYNC-04 the codings are not eventid, eventname, subscribername, subscriber"
    elif not codings[2]["code"] or codings[2]["code"] not in issues[0].get("diagnostics", ""):
        yield "SYNC-03 diagnostics do not name the subscriber"


def _parameters(parameters: Json, name: str) -> Found:
    entries = {it.get("name"): it for it in parameters.get("parameter", [])}
    coding = entries.get("code", {}).get("valueCoding", {})
    if coding.get("system") != _CODES or not coding.get("code"):
        yield "INF-01 no code of the standard's code system"
    allowed = {"code", "hub"} if name == "UserHibernate" else {"code"}
    if set(entries) - allowed:
        yield "INF-03 further parameters"
    if "hub" in entries and not isinstance(entries["hub"].get("valueBoolean"), bool):
        yield "INF-03 hub is no boolean"


def _codings(identifier: Json) -> list[Json]:
    codings: list[Json] = identifier.get("type", {}).get("coding", [])
    return codings


def _is_typed(identifier: Json, system: str, code: str) -> bool:
    return any(it.get("system") == system and it.get("code") == code for it in _codings(identifier))


def _is_uuid(value: object) -> bool:
    try:
        return str(UUID(str(value))) == value
    except ValueError:
        return False
