"""AuditEvents for tests: what R4 and BALP demand of one, and how to read what it tells."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fhircast_hub.audit.chain import read_line

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

_TERMS = "http://terminology.hl7.org/CodeSystem"
_OURS = "urn:fhircast-hub:audit"
_BALP = "https://profiles.ihe.net/ITI/BALP"
_SOURCE, _DESTINATION = "110153", "110152"


def entries_of(path: Path) -> list[Json]:
    """Every AuditEvent of a file, in order; each line must hold its hash."""
    lines = [read_line(it) for it in path.read_bytes().splitlines()]
    return [it.event for it in lines if it.event is not None]


def put_a_directory_in_place_of(path: Path) -> Path:
    """No file can be made there; return where the one that was there went."""
    moved = path.rename(path.with_name("moved"))
    while True:
        try:
            path.mkdir()
        except FileExistsError:  # the hub was quicker and has begun a new one
            path.unlink()
        else:
            return moved


def act(event: Json) -> str:
    """Our code of what was done."""
    (code,) = (it["code"] for it in event["subtype"] if it["system"] == _OURS)
    return str(code)


def transaction(event: Json) -> str:
    """The transaction of IHE, "" if it is none."""
    codes = [it["code"] for it in event["subtype"] if it["system"] == "urn:ihe:event-type-code"]
    return "".join(codes)


def coded(event: Json, system: str, code: str) -> bool:
    """Whether the type or a subtype is this one."""
    return any((it["system"], it["code"]) == (system, code) for it in _kinds(event))


def agent(event: Json, code: str) -> Json:
    """The agent of a type; {} if there is none."""
    found = [it for it in event["agent"] if it["type"]["coding"][0]["code"] == code]
    return found[0] if found else {}


def client(event: Json) -> Json:
    return agent(event, _SOURCE)


def user(event: Json) -> str:
    """Who of the users did it, "" if nobody is named."""
    it = agent(event, "IRCP") or agent(event, "AUT")
    return it["who"]["identifier"]["value"] if it else ""


def entity(event: Json, code: str) -> Json:
    """The entity of a type; {} if there is none."""
    found = [it for it in event.get("entity", []) if it["type"]["code"] == code]
    return found[0] if found else {}


def patient(event: Json) -> str:
    return str(entity(event, "1").get("what", {}).get("reference", ""))


def topic(event: Json) -> str:
    return str(entity(event, "4").get("what", {}).get("identifier", {}).get("value", ""))


def details(event: Json) -> dict[str, str]:
    return {it["type"]: it["valueString"] for it in entity(event, "4").get("detail", [])}


def check_r4(event: Json) -> None:
    """What R4 demands of every AuditEvent, and BALP of one that claims a profile of it."""
    assert event["resourceType"] == "AuditEvent"
    for it in _kinds(event):
        assert it["system"]
        assert it["code"]
    assert event["action"] in {"C", "R", "U", "D", "E"}
    assert event["outcome"] in {"0", "4", "8", "12"}
    recorded = datetime.fromisoformat(event["recorded"])
    assert recorded.tzinfo is not None
    assert recorded.astimezone(UTC) == recorded
    assert event["agent"]
    for it in event["agent"]:
        assert isinstance(it["requestor"], bool)
        assert it["who"].keys() & {"reference", "identifier", "display"}
        assert it.get("network", {"type": "2"})["type"] in {"1", "2", "3", "4", "5"}
    assert sum(it["requestor"] for it in event["agent"]) == 1
    assert event["source"]["observer"]
    for it in event.get("entity", []):
        assert not ("name" in it and "query" in it)  # sev-1
        assert it["type"]["code"]
    assert all(_is_filled(it) for it in event.values())
    if "profile" in event.get("meta", {}):
        _check_balp_query(event)


def _check_balp_query(event: Json) -> None:
    (profile,) = event["meta"]["profile"]
    assert coded(event, f"{_TERMS}/audit-event-type", "rest")
    assert coded(event, "http://hl7.org/fhir/restful-interaction", "search")
    assert (event["action"], event["outcome"]) == ("E", "0")
    for code in (_SOURCE, _DESTINATION):
        (it,) = (it for it in event["agent"] if it["type"]["coding"][0]["code"] == code)
        assert it["who"]
        assert it["network"]
    if it := agent(event, "IRCP"):
        assert it["requestor"]
        assert "network" not in it
    (query,) = (it for it in event["entity"] if it["type"]["code"] == "2")
    assert query["role"]["code"] == "24"
    assert not query.keys() & {"what", "lifecycle", "detail"}
    assert base64.b64decode(query["query"], validate=True).decode() == query["description"]
    patients = [it for it in event["entity"] if it["type"]["code"] == "1"]
    assert profile == (
        f"{_BALP}/StructureDefinition/IHE.BasicAudit.{'PatientQuery' if patients else 'Query'}"
    )
    for it in patients:
        assert it["role"] == {"system": f"{_TERMS}/object-role", "code": "1", "display": "Patient"}
        assert it["what"]["reference"].startswith("Patient/")


def _kinds(event: Json) -> list[Json]:
    return [event["type"], *event.get("subtype", [])]


def _is_filled(value: Any) -> bool:
    """FHIR JSON has no empty objects, arrays or strings."""
    if isinstance(value, dict):
        return bool(value) and all(map(_is_filled, value.values()))
    if isinstance(value, list):
        return bool(value) and all(map(_is_filled, value))
    return value not in ("", None)
