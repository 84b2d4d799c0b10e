"""Broken in content sharing and selection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conformance_kit.mutants.registry import around, mutant, replace_judge
from fhircast_hub import hub
from fhircast_hub.protocol import content, delivery, judging
from fhircast_hub.protocol.errors import FhircastError
from fhircast_hub.protocol.events import EventKind
from msgspec.structs import replace

if TYPE_CHECKING:
    import pytest


@mutant("a stale version is accepted", red="CONT-03 D-42")
def stale_versions_are_accepted(patch: pytest.MonkeyPatch) -> None:
    def lax(original: Any) -> Any:
        def update(state: Any, notification: Any, *args: Any) -> Any:
            known = state.contexts.get(judging.anchor_of(notification))
            if known is not None and notification.version_id:
                notification = replace(notification, version_id=known.version_id)
            return original(state, notification, *args)

        return update

    replace_judge(patch, EventKind.UPDATE, lax)


@mutant("an update keeps the version", red="CONT-04 CTX-05")
def updates_keep_the_version(patch: pytest.MonkeyPatch) -> None:
    def lazy(original: Any) -> Any:
        def update(state: Any, notification: Any, _version_id: str, *args: Any) -> Any:
            known = state.contexts.get(judging.anchor_of(notification))
            return original(state, notification, known.version_id if known else "", *args)

        return update

    replace_judge(patch, EventKind.UPDATE, lazy)


@mutant("updates carry no priorVersionId", red="CONT-04 D-11")
def no_prior_version(patch: pytest.MonkeyPatch) -> None:
    def shorter(original: Any) -> Any:
        def encode(notification: Any, *args: Any, **kwargs: Any) -> bytes:
            return bytes(original(replace(notification, prior_version_id=""), *args, **kwargs))

        return encode

    around(patch, delivery, "encode_notification", shorter)


@mutant("what is right in an update is applied, what is wrong refused", red="CONT-05")
def updates_are_half_applied(patch: pytest.MonkeyPatch) -> None:
    half: dict[str, Any] = {}

    def lenient(original: Any) -> Any:
        def changes(entry: Any, position: int, *args: Any, **kwargs: Any) -> Any:
            if position == 0:
                half.clear()
            change = original(entry, position, *args, **kwargs)
            half[change.key] = change
            return change

        return changes

    def keeping(original: Any) -> Any:
        async def request_change(self: Any, notification: Any, grant: Any) -> Any:
            try:
                return await original(self, notification, grant)
            except FhircastError:
                known = self._backend._topics.get(notification.topic)
                if half and known is not None and notification.name.spelling.endswith("-update"):
                    state = known.session
                    context = state.current_context
                    if context is not None:
                        applied = context.content.apply(tuple(half.values()))
                        changed = replace(context, content=applied)
                        known.session = replace(
                            state, contexts={**state.contexts, state.current: changed}
                        )
                raise

        return request_change

    around(patch, content, "_change", lenient)
    around(patch, hub.Hub, "request_change", keeping)


@mutant("a PUT merges into the resource that was there", red="CONT-10")
def puts_merge(patch: pytest.MonkeyPatch) -> None:
    def merging(original: Any) -> Any:
        def apply(self: Any, changes: Any) -> Any:
            there = {key: json.loads(it.resource) for key, it in self}
            merged = [
                replace(
                    it,
                    resource=json.dumps(there.get(it.key, {}) | json.loads(it.resource)).encode(),
                )
                if it.resource
                else it
                for it in changes
            ]
            return original(self, tuple(merged))

        return apply

    around(patch, content.Content, "apply", merging)


@mutant("content is lost when another context is opened", red="TAB-03")
def content_is_lost_at_a_switch(patch: pytest.MonkeyPatch) -> None:
    def forgetful(original: Any) -> Any:
        def opens(state: Any, notification: Any, *args: Any) -> Any:
            if notification.name.anchor_type is None:
                return original(state, notification, *args)
            opening = judging.anchor_of(notification)
            empty = {
                key: it if key == opening else replace(it, content=content.Content())
                for key, it in state.contexts.items()
            }
            return original(replace(state, contexts=empty), notification, *args)

        return opens

    replace_judge(patch, EventKind.OPEN, forgetful)


@mutant("content outlives the close of its context", red="CONT-16")
def content_outlives_its_context(patch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {}

    def keeping(original: Any) -> Any:
        def close(state: Any, notification: Any, *args: Any) -> Any:
            kept.update({state.topic + key: it.content for key, it in state.contexts.items()})
            return original(state, notification, *args)

        return close

    def restoring(original: Any) -> Any:
        def opens(state: Any, notification: Any, *args: Any) -> Any:
            decision = original(state, notification, *args)
            after = decision.session
            contexts = {
                key: replace(it, content=kept.get(state.topic + key, it.content))
                if key not in state.contexts
                else it
                for key, it in after.contexts.items()
            }
            return replace(decision, session=replace(after, contexts=contexts))

        return opens

    replace_judge(patch, EventKind.CLOSE, keeping)
    replace_judge(patch, EventKind.OPEN, restoring)


@mutant("a resource of the open event can be removed", red="CONT-13")
def opened_resources_can_go(patch: pytest.MonkeyPatch) -> None:
    def lax(original: Any) -> Any:
        return lambda bundle, **kwargs: original(bundle, **(kwargs | {"opened": {}}))

    around(patch, judging, "parse_updates", lax)


@mutant("a selection is taken for any open context", red="SEL-03 D-29")
def selections_anywhere(patch: pytest.MonkeyPatch) -> None:
    def lax(original: Any) -> Any:
        def select(state: Any, notification: Any, *args: Any) -> Any:
            anchor = judging.anchor_of(notification)
            if anchor not in state.contexts:
                return original(state, notification, *args)
            decision = original(replace(state, current=anchor), notification, *args)
            return replace(decision, session=state)

        return select

    replace_judge(patch, EventKind.SELECT, lax)


@mutant("a selection makes a new version", red="SEL-04")
def selections_make_versions(patch: pytest.MonkeyPatch) -> None:
    def eager(original: Any) -> Any:
        def select(state: Any, notification: Any, version_id: str, *args: Any) -> Any:
            decision = original(state, notification, version_id, *args)
            context = replace(state.current_context, version_id=version_id)
            after = replace(state, contexts={**state.contexts, state.current: context})
            return replace(decision, session=after)

        return select

    replace_judge(patch, EventKind.SELECT, eager)
