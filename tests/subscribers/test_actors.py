"""Who does what: subscriptions, scopes, transactions, groupings, CapabilityStatements."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from fhircast_hub.protocol.scopes import parse_scopes
from fhircast_subscribers import ACTORS, IRA_EVENTS, Actor, FhirVersion, capability_statement
from fhircast_subscribers.actors import (
    EVIDENCE_CREATOR,
    IMAGE_DISPLAY,
    REPORT_CREATOR,
    STATELESS_EVIDENCE_CREATOR,
    WATCHER,
    WORKLIST_CLIENT,
)

ALL = pytest.mark.parametrize("actor", ACTORS, ids=lambda it: it.slug)


@ALL
def test_every_actor_subscribes_to_the_five_events(actor: Actor) -> None:
    """IRA-SUB-01."""
    assert set(IRA_EVENTS) <= set(actor.events)


@ALL
def test_scopes_are_those_of_its_own_events_and_no_more(actor: Actor) -> None:
    """SCO-04, SMART-02: read what it receives, write what it requests; no wildcard."""
    scopes = parse_scopes(" ".join(actor.scopes))
    assert scopes.read == {it.lower() for it in actor.events}
    assert scopes.write == {it.lower() for it in actor.requests}
    assert not any("*" in it for it in actor.scopes)
    assert len(actor.scopes) == len(set(actor.scopes)) == len(actor.events) + len(actor.requests)


@pytest.mark.parametrize(
    ("actor", "initiated"),
    [
        (WORKLIST_CLIENT, {146, 147, 148, 149, 152, 153, 156}),
        (IMAGE_DISPLAY, {146, 147, 148, 149, 150, 151, 152, 153, 156}),
        (REPORT_CREATOR, {146, 147, 148, 149, 150, 152, 153, 156}),
        (EVIDENCE_CREATOR, {146, 147, 150, 152, 153, 156}),
        (STATELESS_EVIDENCE_CREATOR, {146, 147, 150, 152, 153, 156}),
        (WATCHER, {146, 147, 152, 153, 156}),
    ],
    ids=lambda it: it.slug if isinstance(it, Actor) else "",
)
def test_transactions_are_those_of_the_profile(actor: Actor, initiated: set[int]) -> None:
    """IRA-CC-01, IRA-EC-02, IRA-W-01, D-07: the registration matrix."""
    assert set(actor.transactions) == initiated


def test_content_creator_is_always_grouped() -> None:
    """IRA-CC-01, IRA-RC-03: no actor of its own; update or select; the report creator has one."""
    assert "Content Creator" not in {it.name for it in ACTORS}
    grouped = [it for it in ACTORS if it.is_content_creator]
    assert {IMAGE_DISPLAY, REPORT_CREATOR, EVIDENCE_CREATOR} <= set(grouped)
    assert all({150, 151} & set(it.transactions) for it in grouped)
    assert not WATCHER.is_content_creator


def test_who_resumes_and_who_does_not() -> None:
    """IRA-SUB-10, IRA-EC-02."""
    assert [it.name for it in ACTORS if not it.resumes] == ["Stateless Evidence Creator", "Watcher"]


@ALL
@pytest.mark.parametrize("fhir", list(FhirVersion))
def test_capability_statement_names_what_is_shared(actor: Actor, fhir: FhirVersion) -> None:
    """IRA-SUB-11: kind instance; the resources of its opens and of its content."""
    statement = capability_statement(actor, fhir=fhir)
    named = {it["type"] for it in statement["rest"][0].get("resource", [])}
    content = set(actor.shares) - ({"ImagingSelection"} if fhir is FhirVersion.R4 else set())
    opened = {"DiagnosticReport", "Patient", "ImagingStudy"} if actor.opens else set()
    assert named == content | opened
    required = {"resourceType", "status", "date", "kind", "fhirVersion", "format"}
    assert required <= set(statement)
    assert statement["kind"] == "instance"
    assert statement["implementation"]["description"]


@ALL
def test_published_file_is_what_the_builder_makes(actor: Actor) -> None:
    """IRA-SUB-11: the file in the package."""
    published = files("fhircast_subscribers") / "capabilities" / f"{actor.slug}.json"
    assert json.loads(published.read_text()) == capability_statement(actor)
