"""A page of search results as a FHIR Bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhircast_demo.ehr.errors import Json
    from fhircast_demo.ehr.search import Page
    from fhircast_demo.ehr.store import Stored


def searchset(page: Page, base: str, resource_type: str) -> Json:
    """Return the searchset Bundle: total, self and next link, matches first, then includes."""
    entries = [_entry(item, base, "match") for item in page.matches]
    entries += [_entry(item, base, "include") for item in page.included]
    links = [{"relation": "self", "url": _url(base, resource_type, page.self_query)}]
    if page.next_query is not None:
        links.append({"relation": "next", "url": _url(base, resource_type, page.next_query)})
    bundle: Json = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": page.total,
        "link": links,
    }
    if entries:
        bundle["entry"] = entries
    return bundle


def _url(base: str, resource_type: str, query: str) -> str:
    return f"{base}/{resource_type}?{query}" if query else f"{base}/{resource_type}"


def _entry(item: Stored, base: str, mode: str) -> Json:
    kind, resource_id = item.key
    return {
        "fullUrl": f"{base}/{kind}/{resource_id}",
        "resource": item.resource,
        "search": {"mode": mode},
    }
