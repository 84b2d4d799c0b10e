"""Broken in keeping several open contexts and the current one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance_kit.mutants.registry import alter_get, mutant, replace_judge
from fhircast_hub.protocol.events import EventKind
from msgspec.structs import replace

if TYPE_CHECKING:
    import pytest


@mutant("a close ends the current context, whatever it names", red="TAB-02 D-26")
def close_clears_the_wrong_anchor(patch: pytest.MonkeyPatch) -> None:
    def clumsy(original: Any) -> Any:
        def close(state: Any, notification: Any, *args: Any) -> Any:
            decision = original(state, notification, *args)
            after = replace(decision.session, current="", version_id=args[0])
            return replace(decision, session=after)

        return close

    replace_judge(patch, EventKind.CLOSE, clumsy)


@mutant("after a close the context before is current", red="CTX-04")
def close_falls_back(patch: pytest.MonkeyPatch) -> None:
    def falling(original: Any) -> Any:
        def close(state: Any, notification: Any, *args: Any) -> Any:
            decision = original(state, notification, *args)
            after = decision.session
            if not after.current and after.contexts:
                after = replace(after, current=list(after.contexts)[-1])
            return replace(decision, session=after)

        return close

    replace_judge(patch, EventKind.CLOSE, falling)


@mutant("an open closes the contexts before it", red="TAB-01 TAB-03 REP-01 CONT-23 WK-05")
def only_one_context_is_open(patch: pytest.MonkeyPatch) -> None:
    def jealous(original: Any) -> Any:
        def opens(state: Any, notification: Any, *args: Any) -> Any:
            decision = original(state, notification, *args)
            after = decision.session
            if notification.name.anchor_type is None:
                return decision
            only = {key: it for key, it in after.contexts.items() if key == after.current}
            return replace(decision, session=replace(after, contexts=only))

        return opens

    replace_judge(patch, EventKind.OPEN, jealous)


@mutant("Home-open closes every context", red="INF-04")
def home_closes_everything(patch: pytest.MonkeyPatch) -> None:
    def tidy(original: Any) -> Any:
        def opens(state: Any, notification: Any, *args: Any) -> Any:
            decision = original(state, notification, *args)
            if notification.name.anchor_type is None:
                return replace(decision, session=replace(decision.session, contexts={}))
            return decision

        return opens

    replace_judge(patch, EventKind.OPEN, tidy)


@mutant("GET shows the report as it is now, not as it was opened", red="CTX-07")
def get_shows_updated_resources(patch: pytest.MonkeyPatch) -> None:
    def current(view: dict[str, Any]) -> None:
        shared = {}
        for it in view["context"]:
            if it["key"] == "content":
                for entry in it["resource"].get("entry", []):
                    shared[entry["resource"]["id"]] = entry["resource"]
        for it in view["context"]:
            if "resource" in it and it["resource"].get("id") in shared:
                it["resource"] = shared[it["resource"]["id"]]

    alter_get(patch, current)


@mutant("GET has no content", red="CTX-06 IRA-HUB-14", profile="ira")
def get_without_content(patch: pytest.MonkeyPatch) -> None:
    def without(view: dict[str, Any]) -> None:
        view["context"] = [it for it in view["context"] if it["key"] != "content"]

    alter_get(patch, without)
