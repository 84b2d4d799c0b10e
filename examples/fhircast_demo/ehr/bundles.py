"""``POST`` of a Bundle to the base: batch (each for itself) and transaction (all or nothing)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from fhircast_demo.ehr.errors import FhirError, Json, invalid
from fhircast_demo.ehr.search import search
from fhircast_demo.ehr.searchset import searchset
from fhircast_demo.ehr.store import Stored, check_type, instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhircast_demo.ehr.permitted import Resources

MAX_ENTRIES = 500
_ORDER = ("DELETE", "POST", "PUT", "GET")
_REASONS = {200: "OK", 201: "Created", 204: "No Content"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry, checked. `new_id` is given to a POST before anything is written."""

    method: str
    kind: str
    resource_id: str
    query: str
    resource: Json
    full_url: str
    if_match: str | None
    new_id: str = ""


def process(store: Resources, bundle: Json, base: str) -> Json:
    """Carry out the Bundle and return the response Bundle, entries in the order they came.

    Raises:
        FhirError: The Bundle itself is wrong, or an entry of a transaction failed; then nothing
            was changed.
    """
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise invalid("Bundle.entry must be a list of objects")
    if len(entries) > MAX_ENTRIES:
        raise FhirError(413, "too-costly", f"a Bundle may have at most {MAX_ENTRIES} entries")
    match bundle.get("type"):
        case "transaction":
            return _response("transaction-response", _transaction(store, entries, base))
        case "batch":
            answers = [_alone(store, number, entry, base) for number, entry in enumerate(entries)]
            return _response("batch-response", answers)
        case _:
            raise invalid("Bundle.type must be batch or transaction")


def _response(kind: str, entries: list[Json]) -> Json:
    bundle: Json = {"resourceType": "Bundle", "type": kind}
    if entries:
        bundle["entry"] = entries
    return bundle


def _alone(store: Resources, number: int, raw: Json, base: str) -> Json:
    try:
        return _carry_out(store, _parse(number, raw), base)
    except FhirError as error:
        return {"response": {"status": str(error.status), "outcome": error.outcome()}}


def _transaction(store: Resources, raw: list[Json], base: str) -> list[Json]:
    """Apply in FHIR's order (delete, create, update, read; R4 3.1.0.11.2)."""
    entries = [_parse(number, entry) for number, entry in enumerate(raw)]
    _no_duplicates(entries)
    entries = _resolve(entries)
    answers: dict[int, Json] = {}
    with store.atomic():
        for method in _ORDER:
            for number, entry in enumerate(entries):
                if entry.method == method:
                    answers[number] = _numbered(store, number, entry, base)
    return [answers[number] for number in range(len(entries))]


def _numbered(store: Resources, number: int, entry: _Entry, base: str) -> Json:
    try:
        return _carry_out(store, entry, base)
    except FhirError as error:
        reason = f"entry[{number}]: {error.diagnostics}"
        raise FhirError(error.status, error.code, reason) from error


def _no_duplicates(entries: list[_Entry]) -> None:
    targets = [(e.kind, e.resource_id) for e in entries if e.method in ("PUT", "DELETE")]
    if len(targets) != len(set(targets)):
        raise invalid("a transaction may name a resource only once")


def _parse(number: int, raw: Json) -> _Entry:
    """Check one entry; a failure names it by its number."""
    where = f"entry[{number}]"
    request = raw.get("request")
    if not isinstance(request, dict):
        raise invalid(f"{where}.request is missing")
    method, url = request.get("method"), request.get("url")
    if method not in _ORDER:
        raise invalid(f"{where}.request.method must be GET, POST, PUT or DELETE")
    if not isinstance(url, str):
        raise invalid(f"{where}.request.url is missing")
    if "ifNoneExist" in request:
        raise FhirError(400, "not-supported", f"{where}: ifNoneExist is not supported")
    resource = raw.get("resource", {})
    if not isinstance(resource, dict) or (method in ("POST", "PUT") and not resource):
        raise invalid(f"{where}.resource is missing")
    path, _, query = url.partition("?")
    kind, slash, resource_id = path.strip("/").partition("/")
    if (method in ("PUT", "DELETE")) != bool(slash) and method != "GET":
        raise invalid(f"{where}.request.url does not fit the method")
    check_type(kind)
    return _Entry(
        method,
        kind,
        resource_id,
        query,
        resource,
        str(raw.get("fullUrl", "")),
        request.get("ifMatch") if isinstance(request.get("ifMatch"), str) else None,
    )


def _resolve(entries: list[_Entry]) -> list[_Entry]:
    """Give every POST its id now, and point references to its fullUrl at it."""
    named = [replace(e, new_id=str(uuid.uuid4())) if e.method == "POST" else e for e in entries]
    ids = {e.full_url: f"{e.kind}/{e.new_id}" for e in named if e.new_id and e.full_url}
    ids |= {
        e.full_url: f"{e.kind}/{e.resource_id}"
        for e in named
        if e.method == "PUT" and e.full_url.startswith("urn:")
    }
    return [replace(e, resource=_rewritten(e.resource, ids)) for e in named] if ids else named


def _rewritten(value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_rewritten(item, ids) for item in value]
    if isinstance(value, dict):
        return {
            key: ids.get(item, item)
            if key == "reference" and isinstance(item, str)
            else _rewritten(item, ids)
            for key, item in value.items()
        }
    return value


def _carry_out(store: Resources, entry: _Entry, base: str) -> Json:
    match entry.method:
        case "GET" if entry.resource_id:
            item = store.read(entry.kind, entry.resource_id)
            return {"resource": item.resource, "response": _written(item, 200, base)}
        case "GET":
            query = parse_qsl(entry.query, keep_blank_values=True)
            found = searchset(search(store, entry.kind, query), base, entry.kind)
            return {"resource": found, "response": {"status": _status(200)}}
        case "DELETE":
            store.delete(entry.kind, entry.resource_id, if_match=entry.if_match)
            return {"response": {"status": _status(204)}}
        case "POST":
            item = store.create(entry.kind, entry.resource, new_id=entry.new_id or None)
            return {"response": _written(item, 201, base)}
        case _:
            item, created = store.update(
                entry.kind, entry.resource_id, entry.resource, if_match=entry.if_match
            )
            return {"response": _written(item, 201 if created else 200, base)}


def _written(item: Stored, status: int, base: str) -> Json:
    kind, resource_id = item.key
    return {
        "status": _status(status),
        "location": f"{base}/{kind}/{resource_id}/_history/{item.version}",
        "etag": item.etag,
        "lastModified": instant(item.last_updated),
    }


def _status(code: int) -> str:
    return f"{code} {_REASONS[code]}"
