"""Judges of updates: version, Bundle, entries, shared resources (2.10, 3.6.3)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fhircast_conformance.subscriber.judges.shapes import (
    identifiers,
    is_uuid,
    name_of,
    objects,
    reference,
)
from fhircast_conformance.subscriber.session import items_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhircast_conformance.subscriber.findings import Finding
    from fhircast_conformance.subscriber.record import Json, Post
    from fhircast_conformance.subscriber.session import Context

_SHARED = {"DiagnosticReport", "ImagingSelection", "Observation", "ImagingStudy"}
"""IRA-CC-02; in R4 a comparison study is shared as ImagingStudy (CONT-15)."""


def judge_update(post: Post, context: Context | None, known: set[str]) -> Iterator[Finding]:
    """Judge an update.

    Args:
        post: The request.
        context: The context that it names, None if that is not open.
        known: Versions of it that the application had answered when it wrote the request.
    """
    yield from _version(post, context, known)
    bundles = [it.get("resource") for it in items_of(post.event) if it.get("key") == "updates"]
    if len(bundles) != 1 or not isinstance(bundles[0], dict):
        yield "CONT-08", f"{len(bundles)} items updates with a Bundle instead of one"
        return
    yield "CONT-08", ""
    bundle = bundles[0]
    entries = objects(bundle.get("entry"))
    yield from _bundle(bundle, entries)
    for entry in entries:
        yield from _entry(entry, context)


def _version(post: Post, context: Context | None, known: set[str]) -> Iterator[Finding]:
    stated = post.event.get("context.versionId") or post.event.get("versionId")
    yield "CONT-02", "" if stated else "an update without context.versionId"
    if context is None or not stated:
        return
    # What is still on its way cannot be known: only a version that was answered must be used.
    is_stale = stated != context.version and context.version in known
    problem = f"an update on {stated}, though {context.version} was answered" if is_stale else ""
    if stated not in {context.version, *context.earlier}:
        problem = f"an update on {stated}, which was never a version of this context"
    yield "CONT-17", problem
    yield "IRA-CC-04", problem


def _bundle(bundle: Json, entries: list[Json]) -> Iterator[Finding]:
    is_right = bundle.get("resourceType") == "Bundle" and bundle.get("type") == "transaction"
    yield "CONT-09", "" if is_right else f"updates is no transaction but {bundle.get('type')!r}"
    if "link" in bundle:
        yield "CONT-09", "the Bundle has a link"
    twice = [it for it, times in Counter(map(_target, entries)).items() if it and times > 1]
    yield "CONT-09", "a resource occurs twice in one Bundle" if twice else ""


def _entry(entry: Json, context: Context | None) -> Iterator[Finding]:
    request = entry.get("request")
    method = request.get("method") if isinstance(request, dict) else None
    is_allowed = method in {"PUT", "DELETE"}
    yield "CONT-12", "" if is_allowed else f"an entry with the method {method!r}"
    if method == "DELETE":
        yield from _delete(entry, context)
    elif method == "PUT":
        yield from _put(entry, context)
    elif isinstance(entry.get("resource"), dict):
        yield from _content(entry["resource"])


def _delete(entry: Json, context: Context | None) -> Iterator[Finding]:
    lacks = [] if entry.get("fullUrl") else ["fullUrl"]
    lacks += [] if entry["request"].get("url") else ["request.url"]
    problem = f"a DELETE without {', '.join(lacks)}" if lacks else ""
    yield "CONT-11", problem or ("a DELETE with a resource" if "resource" in entry else "")
    is_opened = context is not None and _target(entry) in context.opened
    yield "CONT-13", "a DELETE of a resource of the open event" if is_opened else ""


def _put(entry: Json, context: Context | None) -> Iterator[Finding]:
    resource = entry.get("resource")
    lacks = [] if entry["request"].get("url") else ["request.url"]
    by_reference = str(entry.get("fullUrl", "")).startswith(("http://", "https://"))
    if not isinstance(resource, dict):
        yield (
            "IRA-CC-04",
            "" if by_reference else "a PUT with neither resource nor absolute fullUrl",
        )
        if not by_reference:
            yield "CONT-10", "a PUT without a resource"
        return
    lacks += [] if resource.get("id") and resource.get("resourceType") else ["type or id"]
    extra = sorted({"search", "response"} & set(entry))
    yield "CONT-10", f"a PUT without {', '.join(lacks)}" if lacks else ""
    if extra:
        yield "CONT-10", f"a PUT with {', '.join(extra)}"
    if context is not None and name_of(resource) in context.opened:
        yield "CONT-14", ""  # an attribute of an open resource, changed as it should be
    yield from _content(resource)
    if context is not None and context.patient:
        subject = reference(resource.get("subject"))
        is_other = subject.startswith("Patient/") and subject != context.patient
        yield "EVT-17", "shared content is about another patient" if is_other else ""
        if is_other:
            yield "PROF-03", "shared content is about another patient"


def _content(resource: Json) -> Iterator[Finding]:
    kind = str(resource.get("resourceType"))
    yield "IRA-CC-02", "" if kind in _SHARED else f"{kind} is shared"
    if kind in {"Observation", "ImagingSelection"}:
        named = identifiers(resource) or kind == "ImagingSelection"
        yield "CONT-20", "" if named else f"{kind} without a business identifier"
        unique = is_uuid(resource.get("id"))
        yield "PROF-13", "" if unique else f"{kind}.id is no UUID"
        if not unique:
            yield "CONT-20", f"{kind}.id is no UUID"
    if kind == "Observation":
        yield from _observation(resource)
    if kind == "ImagingSelection":
        yield from _selection(resource)


def _observation(observation: Json) -> Iterator[Finding]:
    subject = reference(observation.get("subject"))
    yield "CONT-21", "" if subject else "Observation without a subject"
    origins = [reference(it) for it in objects(observation.get("derivedFrom"))]
    studies = [it for it in origins if it.startswith("ImagingStudy/")]
    yield "IRA-PR-04", "" if subject.startswith("Patient/") else "Observation.subject is no Patient"
    yield "IRA-PR-04", f"Observation.derivedFrom {len(studies)} studies" if len(studies) > 1 else ""


def _selection(selection: Json) -> Iterator[Finding]:
    is_unknown = selection.get("status") == "unknown"
    yield "IRA-PR-04", "" if is_unknown else "ImagingSelection.status is not unknown"
    yield "IRA-PR-04", "" if selection.get("code") else "ImagingSelection without code"
    origins = [reference(it) for it in objects(selection.get("derivedFrom"))]
    wrong = [it for it in origins if not it.startswith("ImagingStudy/")]
    yield "IRA-PR-04", "ImagingSelection.derivedFrom is no ImagingStudy" if wrong else ""


def _target(entry: Json) -> str:
    resource, request = entry.get("resource"), entry.get("request")
    if isinstance(resource, dict):
        return name_of(resource)
    url = request.get("url") if isinstance(request, dict) else ""
    return str(entry.get("fullUrl") or url or "")
