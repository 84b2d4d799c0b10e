"""Broken in telling who is out of step."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conformance_kit.mutants.registry import around, mutant
from fhircast_hub.protocol import channel, delivery
from msgspec.structs import replace as changed

if TYPE_CHECKING:
    import pytest


@mutant("a refusal is told to nobody", red="SYNC-01 ACK-03 D-04 D-17")
def refusals_are_swallowed(patch: pytest.MonkeyPatch) -> None:
    def deaf(original: Any) -> Any:
        def responded(self: Any, response: Any) -> Any:
            return original(self, changed(response, status=200))

        return responded

    around(patch, channel.Channel, "responded", deaf)


@mutant("a failing answer to a SyncError makes another SyncError", red="SYNC-14 D-20")
def sync_errors_about_sync_errors(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(channel, "SYNC_ERROR", object())


@mutant("SyncErrors go to everybody", red="SYNC-05")
def sync_errors_to_everybody(patch: pytest.MonkeyPatch) -> None:
    def generous(original: Any) -> Any:
        def to(self: Any, subscription: Any) -> Any:
            events = {"syncerror": "SyncError", **subscription.events}
            return original(self, replace(subscription, events=events))

        return to

    around(patch, delivery.Deliveries, "to", generous)


@mutant("a good-bye is taken for a failure", red="SYNC-07")
def leaving_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    def alarmed(original: Any) -> Any:
        return lambda self, code, now: original(self, 1006, now)

    around(patch, channel.Channel, "closed", alarmed)


@mutant("a mute subscriber is announced for ever", red="SYNC-09")
def mute_subscribers_stay(patch: pytest.MonkeyPatch) -> None:
    def patient(original: Any) -> Any:
        def missing(self: Any, now: float) -> Any:
            self._missing_in_a_row = -(10**6)
            return original(self, now)

        return missing

    around(patch, channel.Channel, "_missing_responses", patient)


@mutant(
    "a SyncError is an error and names nobody first",
    red="SYNC-03 IRA-HUB-17 D-02 D-03",
    profile="ira",
)
def sync_errors_are_shaped_wrong(patch: pytest.MonkeyPatch) -> None:
    def wrong(original: Any) -> Any:
        def encode(notification: Any, *args: Any, **kwargs: Any) -> bytes:
            frame = original(notification, *args, **kwargs)
            if notification.name.key != "syncerror":
                return bytes(frame)
            value = json.loads(frame)
            issue = value["event"]["context"][0]["resource"]["issue"][0]
            if "cannot follow" not in issue["diagnostics"]:  # a subscriber's own is passed on
                issue["severity"] = "error"
                issue["details"]["coding"].reverse()
            return json.dumps(value).encode()

        return encode

    around(patch, delivery, "encode_notification", wrong)
