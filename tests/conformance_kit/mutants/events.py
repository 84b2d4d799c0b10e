"""Broken in what is done with a request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conformance_kit.mutants.registry import around, mutant
from fhircast_hub import fanout, hub
from fhircast_hub.protocol import delivery, judging
from fhircast_hub.protocol.errors import FhircastError
from fhircast_hub.protocol.remembered import RecentEvents
from msgspec.structs import replace

if TYPE_CHECKING:
    import pytest


@mutant("an id that is no UUID is replaced by one of the hub's own", red="D-50")
def events_get_new_ids(patch: pytest.MonkeyPatch) -> None:
    def renamed(original: Any) -> Any:
        def encode(*args: Any, **kwargs: Any) -> bytes:
            encoded = bytes(original(*args, **kwargs))
            frame = json.loads(encoded)
            if frame["id"].count("-") == 4:
                return encoded
            return json.dumps(frame | {"id": f"hub-{frame['id']}"}).encode()

        return encode

    around(patch, delivery, "encode_notification", renamed)
    around(patch, fanout, "encode_notification", renamed)


@mutant("a request that comes again is broadcast again", red="D-28 D-46 IRA-HUB-20", profile="ira")
def duplicates_are_broadcast(patch: pytest.MonkeyPatch) -> None:
    def forgetful(original: Any) -> Any:
        return lambda state, *args, **kwargs: original(
            replace(state, remembered=RecentEvents()), *args, **kwargs
        )

    around(patch, hub, "decide", forgetful)


@mutant("a context without its anchor is broadcast", red="EVT-14 EVT-15 CONT-08 PROF-09")
def anchors_may_be_missing(patch: pytest.MonkeyPatch) -> None:
    def lax(original: Any) -> Any:
        def judge(state: Any, notification: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return original(state, notification, *args, **kwargs)
            except FhircastError as error:
                if "EVT-14" not in str(error.rule) and "EVT-15" not in str(error.rule):
                    raise
                return judging._accepted(state, notification)

        return judge

    around(patch, hub, "decide", lax)
