"""What the EHR does by itself: a finished report completes the order it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhircast_demo.ehr.errors import Json
    from fhircast_demo.ehr.store import FhirStore, Stored

FINISHED = frozenset({"final", "amended", "corrected", "appended"})


def complete_order(store: FhirStore, written: Stored) -> None:
    """Set every ServiceRequest that a finished DiagnosticReport is based on to ``completed``.

    This is what makes the row change in a worklist that polls for ``_lastUpdated``.
    """
    report = written.resource
    if report["resourceType"] != "DiagnosticReport" or report.get("status") not in FINISHED:
        return
    based_on = report.get("basedOn")
    for reference in based_on if isinstance(based_on, list) else []:
        order = _order(store, reference)
        if order is not None and order.resource.get("status") != "completed":
            done = {**order.resource, "status": "completed"}
            store.update("ServiceRequest", order.resource["id"], done)


def _order(store: FhirStore, reference: object) -> Stored | None:
    """Find the order by literal reference or, failing that, by its accession number."""
    if not isinstance(reference, dict):
        return None
    literal = reference.get("reference")
    if isinstance(literal, str):
        kind, _, resource_id = literal.rpartition("/")
        if kind.rpartition("/")[2] == "ServiceRequest":
            return store.find("ServiceRequest", resource_id)
    identifier = reference.get("identifier")
    if not isinstance(identifier, dict) or not identifier.get("value"):
        return None
    return next(
        (order for order in store.all_of("ServiceRequest") if _has(order.resource, identifier)),
        None,
    )


def _has(order: Json, wanted: Json) -> bool:
    identifiers = order.get("identifier")
    return isinstance(identifiers, list) and any(
        isinstance(one, dict)
        and one.get("value") == wanted["value"]
        and one.get("system") == wanted.get("system")
        for one in identifiers
    )
