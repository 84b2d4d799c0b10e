"""Broken in what a late joiner is shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from conformance_kit.mutants.registry import around, mutant
from fhircast_hub import fanout, hub
from msgspec import Raw
from msgspec.structs import replace

if TYPE_CHECKING:
    import pytest


@mutant("closed contexts are replayed", red="REP-04 REP-01 DER-04 D-15")
def closed_contexts_are_replayed(patch: pytest.MonkeyPatch) -> None:
    opened: dict[str, dict[str, Any]] = {}

    def remembering(original: Any) -> Any:
        def shown(state: Any, *args: Any, **kwargs: Any) -> Any:
            everything = opened.setdefault(state.topic, {})
            return original(
                replace(state, contexts={**everything, **state.contexts}), *args, **kwargs
            )

        return shown

    def noting(original: Any) -> Any:
        def decide(state: Any, *args: Any, **kwargs: Any) -> Any:
            decision = original(state, *args, **kwargs)
            opened.setdefault(state.topic, {}).update(decision.session.contexts)
            return decision

        return decide

    around(patch, hub, "decide", noting)
    around(patch, fanout, "replay", remembering)


@mutant("every open context is replayed, not the newest of each type", red="REP-01")
def everything_is_replayed(patch: pytest.MonkeyPatch) -> None:
    def one_by_one(original: Any) -> Any:
        def shown(state: Any, *args: Any, **kwargs: Any) -> list[Any]:
            alone = [replace(state, contexts={key: it}) for key, it in state.contexts.items()]
            alone = alone or [state]
            return [it for one in alone for it in original(one, *args, **kwargs)]

        return shown

    around(patch, fanout, "replay", one_by_one)


@mutant("nothing is replayed", red="REP-01 D-12 D-13 D-21 D-23 D-40")
def nothing_is_replayed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fanout, "replay", lambda *_, **__: [])


@mutant("a replayed open is stamped anew", red="REP-03")
def replays_are_stamped_anew(patch: pytest.MonkeyPatch) -> None:
    def stamped(original: Any) -> Any:
        def shown(*args: Any, **kwargs: Any) -> list[Any]:
            now = json.dumps(datetime.now(UTC).isoformat().replace("+00:00", "Z")).encode()
            return [
                replace(it, outer={**it.outer, "timestamp": Raw(now)})
                for it in original(*args, **kwargs)
            ]

        return shown

    around(patch, fanout, "replay", stamped)
