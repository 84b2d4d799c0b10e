"""From a fact to an AuditEvent of FHIR R4, after the patterns of IHE BALP.

A query that succeeded claims BALP's profile for queries; everything else has the same slices and
claims nothing, as BALP has patterns for successful REST interactions only.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from fhircast_hub.audit.facts import Act

if TYPE_CHECKING:
    from datetime import datetime

    from fhircast_hub.audit.facts import Fact, Origin

Json = dict[str, Any]

ACTS = "urn:fhircast-hub:audit"
"""System of our codes for what was done."""
TOPICS = "urn:fhircast-hub:topic"
"""System under which a topic is an identifier."""
IHE = "urn:ihe:event-type-code"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
INTERACTIONS = "http://hl7.org/fhir/restful-interaction"
BALP = "https://profiles.ihe.net/ITI/BALP"

_TERMS = "http://terminology.hl7.org/CodeSystem"
_PARTICIPATION = f"{_TERMS}/v3-ParticipationType"
_ENTITY_TYPES = f"{_TERMS}/audit-entity-type"
_ROLES = f"{_TERMS}/object-role"
_NETWORK_IP, _NETWORK_URI = "2", "5"

_MAX_TEXT = 1000
"""Characters of any text in an entry: what comes from outside must not make a line endless."""


def audit_event(fact: Fact, origin: Origin) -> Json:
    """Return the AuditEvent of a fact.

    Args:
        fact: What happened.
        origin: The hub that recorded it.

    Spec: IRA-HUB-22; FHIR R4 AuditEvent; BALP Query, PatientQuery.
    """
    event: Json = {"resourceType": "AuditEvent"}
    if profile := _profile(fact):
        event["meta"] = {"profile": [f"{BALP}/StructureDefinition/{profile}"]}
    event |= {
        "type": _type(fact.act),
        "subtype": _subtypes(fact),
        "action": "U" if fact.act is Act.UPDATE else "E",
        "recorded": instant(fact.at),
        "outcome": "8" if fact.act is Act.LOST else fact.outcome.code,
    }
    if description := _described(fact):
        event["outcomeDesc"] = description
    event["agent"] = _agents(fact, origin)
    event["source"] = {
        "site": origin.site,
        "observer": {"display": origin.software},
        "type": [_coding(f"{_TERMS}/security-source-type", "4", "Application Server")],
    }
    if entities := _entities(fact):
        event["entity"] = entities
    return event


def instant(at: datetime) -> str:
    """Return an aware UTC time as FHIR writes it, to the millisecond."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _profile(fact: Fact) -> str:
    if not (fact.act.is_query and fact.outcome.code == "0" and fact.caller.address):
        return ""
    return "IHE.BasicAudit.PatientQuery" if fact.patient else "IHE.BasicAudit.Query"


def _type(act: Act) -> Json:
    if act is Act.AUTHENTICATE:
        return _coding(DCM, "110114", "User Authentication")
    if act is Act.LOST:
        return _coding(DCM, "110113", "Security Alert")
    if act.is_of_hub:
        return _coding(DCM, "110100", "Application Activity")
    return _coding(f"{_TERMS}/audit-event-type", "rest", "Restful Operation")


def _subtypes(fact: Fact) -> list[Json]:
    """Our code for every act; before it what BALP, DICOM and IHE call it."""
    known = []
    if fact.act.is_query:
        known.append(_coding(INTERACTIONS, "search", "search"))
        known.append(_coding(DCM, "110112", "Query"))
    if fact.act in _DICOM_SUBTYPES:
        known.append(_coding(DCM, *_DICOM_SUBTYPES[fact.act]))
    if fact.transaction:
        known.append(_coding(IHE, fact.transaction, fact.act.display))
    return [*known, _coding(ACTS, fact.act.code, fact.act.display)]


_DICOM_SUBTYPES = {
    Act.AUTHENTICATE: ("110122", "Login"),
    Act.START: ("110120", "Application Start"),
    Act.STOP: ("110121", "Application Stop"),
}


def _described(fact: Fact) -> str:
    status = str(fact.outcome.status) if fact.outcome.status >= 400 else ""
    return _text(" ".join(filter(None, (status, fact.outcome.reason))))


def _agents(fact: Fact, origin: Origin) -> list[Json]:
    """Client, user and server; of what the hub does by itself, it is the requestor."""
    by_hub = fact.act.is_of_hub
    server = {
        "type": _concept(DCM, "110152", "Destination Role ID"),
        "who": {"identifier": {"value": origin.hub_url}, "display": origin.software},
        "requestor": by_hub,
        "network": {"address": origin.hub_url, "type": _NETWORK_URI},
    }
    caller = fact.caller
    if by_hub and not (caller.user or caller.client):
        return [server]
    client: Json = {
        "type": _concept(DCM, "110153", "Source Role ID"),
        "who": _who(caller.client, caller.issuer),
        "requestor": not (by_hub or caller.user),
    }
    if caller.address:
        client["network"] = {"address": caller.address, "type": _NETWORK_IP}
    if not caller.user:
        return [client, server]
    reads = fact.act.is_query or fact.act in {Act.CONNECT, Act.ENDED}
    role = ("IRCP", "information recipient") if reads else ("AUT", "author")
    user = {
        "type": _concept(_PARTICIPATION, *role),
        "who": _who(caller.user, caller.issuer),
        "requestor": not by_hub,
    }
    return [client, user, server]


def _who(name: str, issuer: str) -> Json:
    if not name:
        return {"display": "not known"}
    system = {"system": _text(issuer)} if issuer else {}
    return {"identifier": {**system, "value": _text(name)}}


def _entities(fact: Fact) -> list[Json]:
    entities: list[Json] = []
    if fact.patient:
        entities.append(
            {
                "what": {"reference": _text(fact.patient)},
                "type": _coding(_ENTITY_TYPES, "1", "Person"),
                "role": _coding(_ROLES, "1", "Patient"),
            }
        )
    if fact.query:
        entities.append(
            {
                "type": _coding(_ENTITY_TYPES, "2", "System Object"),
                "role": _coding(_ROLES, "24", "Query"),
                "description": _text(fact.query),
                "query": b64encode(_text(fact.query).encode()).decode(),
            }
        )
    if fact.anchor:
        is_report = fact.anchor.startswith("DiagnosticReport/")
        role = ("3", "Report") if is_report else ("4", "Domain Resource")
        entities.append(
            {
                "what": {"reference": _text(fact.anchor)},
                "type": _coding(_ENTITY_TYPES, "2", "System Object"),
                "role": _coding(_ROLES, *role),
            }
        )
    if fact.event_id:
        entities.append(
            {
                "what": {"identifier": {"value": _text(fact.event_id)}},
                "type": _coding(f"{BALP}/CodeSystem/BasicAuditEntityType", "XrequestId"),
            }
        )
    if fact.topic:
        entities.append(_session(fact))
    return entities


def _session(fact: Fact) -> Json:
    """The session, with what is said about it; of a type that no slice of BALP claims."""
    session: Json = {
        "what": {"identifier": {"system": TOPICS, "value": _text(fact.topic)}},
        "type": _coding(_ENTITY_TYPES, "4", "Other"),
        "description": "FHIRcast session",
    }
    details = {"hub.event": fact.event, "context.versionId": fact.version_id}
    said = [{"type": name, "valueString": _text(it)} for name, it in details.items() if it]
    return session | ({"detail": said} if said else {})


def _text(text: str) -> str:
    """Return a text of any origin as one that can be written: not endless, and valid Unicode."""
    return text[:_MAX_TEXT].encode(errors="replace").decode()


def _coding(system: str, code: str, display: str = "") -> Json:
    return {"system": system, "code": code} | ({"display": display} if display else {})


def _concept(system: str, code: str, display: str) -> Json:
    return {"coding": [_coding(system, code, display)]}
