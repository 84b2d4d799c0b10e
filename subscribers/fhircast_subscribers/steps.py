"""What one event, or the answer to a GET, makes of one open context: values in, values out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fhircast_subscribers.contexts import AppliedUpdate, OpenContext, apply_update
from fhircast_subscribers.relations import is_after, is_contained
from fhircast_subscribers.wire import selected_in

if TYPE_CHECKING:
    from fhircast_subscribers.wire import CurrentContext, Notification


def opened(event: Notification) -> OpenContext:
    """Return the context that an open makes; it tells all there is to know (EVT-11)."""
    return OpenContext(
        anchor=event.anchor,
        anchor_type=event.name.anchor_type or "" if event.name else "",
        items=event.items,
        event_id=event.id,
        opened_at=event.happened_at,
        version_id=event.version_id,
        needs_context=bool(event.prior_version_id),  # the hub knows it longer than we do
    )


def reopened(event: Notification, known: OpenContext) -> OpenContext:
    """Return an open context that was opened again by another event (D-11).

    With a prior version it is the same context further on; without one the hub had closed it.
    """
    prior, version = event.prior_version_id, event.version_id
    goes_on = bool(prior) or not version
    return known.at_version(
        version,
        items=event.items,
        event_id=event.id,
        opened_at=event.happened_at,
        content=known.content if goes_on else {},
        references=known.references if goes_on else {},
        selection=(),
        needs_context=known.needs_context or (prior != known.version_id if version else False),
        confirmed=True,
    )


def opened_again(event: Notification, known: OpenContext) -> OpenContext:
    """Return the context after a replay or resend of the open that is here.

    A replay shows the version first distributed (D-13); if it is not known here that this is an
    earlier one, something may be missing. One that is late is none of these: see `opened_late`.
    """
    again = replace(known, event_id=event.id, opened_at=event.happened_at, confirmed=True)
    if event.version_id == known.version_id:
        return again
    is_first = not known.event_id and not event.prior_version_id
    if is_first or is_contained(event, known):
        return again.having_passed(event.version_id)
    return replace(again, needs_context=True) if event.version_id else again


def opened_late(event: Notification, known: OpenContext) -> OpenContext:
    """Return the context after an open that is older than the latest one: only versions move.

    The hub passes it over as well, or knows better than we do what was latest; then the GET that is
    due shows this context as current, and when it was opened is not known.
    """
    is_its_own = not is_after(event, known.opened_at)
    late = replace(known, opened_at=known.opened_at if is_its_own else None, confirmed=True)
    if event.version_id in {"", known.version_id}:
        return late
    if is_contained(event, known):
        return late.having_passed(event.version_id)
    return late.at_version(event.version_id, needs_context=True)


def updated(event: Notification, known: OpenContext) -> tuple[OpenContext, AppliedUpdate]:
    """Return the context after an update that is not here yet, and what it did (CONT-10)."""
    bundles = (it.get("resource") for it in event.items if it.get("key") == "updates")
    applied = apply_update(known, next((it for it in bundles if isinstance(it, dict)), {}))
    after = known.at_version(
        event.version_id or known.version_id,
        content=applied.content,
        references=applied.references,
        selection=tuple(it for it in known.selection if it not in applied.removed),
        needs_context=known.needs_context or has_gap(event, known),
        confirmed=True,
    )
    return after, applied


def passed_over(event: Notification, known: OpenContext) -> OpenContext:
    """Return the context after an update of which only the version is taken (CONT-19)."""
    if not event.version_id or is_contained(event, known):
        return known
    needs_context = known.needs_context or has_gap(event, known)
    return known.at_version(event.version_id, needs_context=needs_context)


def has_gap(event: Notification, known: OpenContext) -> bool:
    """Whether an update is not the next one: something is missing (CONT-18, IRA-SUB-04)."""
    return bool(event.prior_version_id) and event.prior_version_id != known.version_id


def selected(event: Notification, known: OpenContext) -> OpenContext:
    """Return the context with another selection: what is known of it (SEL-02, IRA-SUB-05).

    The version that a selection shows may tell of a gap (D-10); then nothing of it is left out.
    """
    version = event.version_id
    gap = bool(version) and version not in {known.version_id, *known.past_versions}
    return replace(
        known,
        selection=tuple(it for it in selected_in(event.items) if known.knows(it) or gap),
        needs_context=known.needs_context or gap,
        confirmed=True,
    )


def read(answer: CurrentContext, known: OpenContext | None) -> OpenContext:
    """Return the context as a GET tells it: the content set is replaced (IRA-SUB-07)."""
    if known is None:
        return OpenContext(
            anchor=answer.anchor,
            anchor_type=answer.anchor_type,
            items=answer.items,
            version_id=answer.version_id,
            content=answer.content,
        )
    opened_anew = known.items != answer.items
    references = {key: url for key, url in known.references.items() if key not in answer.content}
    return known.at_version(
        answer.version_id,
        items=answer.items,
        content=answer.content,
        references=references,
        needs_context=False,
        confirmed=True,
        event_id="" if opened_anew else known.event_id,
        opened_at=None if opened_anew else known.opened_at,
    )
