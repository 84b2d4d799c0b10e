"""Broken in subscribing, confirming and ending subscriptions."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from conformance_kit.mutants.registry import around, mutant
from fhircast_hub import hub
from fhircast_hub.backends import memory
from fhircast_hub.clock import new_endpoint_id
from fhircast_hub.protocol import channel, delivery, subscription
from fhircast_hub.protocol.channel_state import CloseReason

if TYPE_CHECKING:
    import pytest
    from fhircast_hub.security.grant import Grant


@mutant("every subscriber gets every event", red="CONF-02 REP-02 SYNC-05 EVT-19 SCO-02 SUB-12")
def everyone_gets_everything(patch: pytest.MonkeyPatch) -> None:
    def generous(original: Any) -> Any:
        def to(self: Any, subscription: Any) -> Any:
            name = self._event.name
            events = {name.key: name.spelling, **subscription.events}
            return original(self, replace(subscription, events=events))

        return to

    around(patch, delivery.Deliveries, "to", generous)


@mutant("category wildcards are taken as events", red="SUB-07")
def wildcards_are_granted(patch: pytest.MonkeyPatch) -> None:
    def expanding(original: Any) -> Any:
        def parse(text: str) -> Any:
            opens = text.replace("*-open", "Patient-open,ImagingStudy-open")
            return original(opens.replace("Patient-*", "Patient-open,Patient-close"))

        return parse

    around(patch, subscription, "_parse_events", expanding)


@mutant("a repeated form field is taken as its last value", red="SUB-05")
def repeated_fields_are_taken(patch: pytest.MonkeyPatch) -> None:
    def lenient(original: Any) -> Any:
        return lambda body: original("&".join(_last_of_each(body.decode())).encode())

    around(patch, subscription, "_parse_form", lenient)


def _last_of_each(body: str) -> list[str]:
    return list({pair.split("=")[0]: pair for pair in body.split("&")}.values())


@mutant("any lease is granted as asked", red="SUB-09")
def leases_have_no_bound(patch: pytest.MonkeyPatch) -> None:
    def grant(self: Any, asked_seconds: int | None, **_: Any) -> int:
        return asked_seconds or int(self.default_seconds)

    patch.setattr(subscription.LeasePolicy, "grant", grant)


@mutant("the confirmation has further fields", red="CONF-01")
def confirmations_say_more(patch: pytest.MonkeyPatch) -> None:
    def longer(original: Any) -> Any:
        return lambda *args: json.dumps(
            json.loads(original(*args)) | {"hub.channel.type": "websocket"}
        ).encode()

    around(patch, channel, "encode_confirmation", longer)


@mutant("the lease is confirmed but never ends", red="CONF-03 SUB-09 D-24")
def leases_never_end(patch: pytest.MonkeyPatch) -> None:
    def endless(original: Any) -> Any:
        def tick(self: Any, now: float) -> Any:
            return original(self, min(now, self._lease_ends - 0.001))

        return tick

    def expiry(self: Any, _lease_seconds: int) -> Any:
        return self._clock.utc() + timedelta(days=1)

    around(patch, channel.Channel, "tick", endless)
    patch.setattr(hub.Hub, "_expiry", expiry)


@mutant("an unsubscribed socket is closed without a denial", red="UNS-03")
def unsubscribing_is_silent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CloseReason.UNSUBSCRIBED, "is_denial", False)


@mutant("anyone may end anyone's subscription", red="UNS-05")
def foreign_unsubscribe(patch: pytest.MonkeyPatch) -> None:
    def lax(original: Any) -> Any:
        async def own(self: Any, request: Any, grant: Grant) -> Any:
            found = await self._backend.find(request.endpoint_id)
            is_meant = found is not None and found.topic == request.topic
            if request.is_unsubscribe and is_meant:
                return found
            return await original(self, request, grant)

        return own

    around(patch, hub.Hub, "_own_subscription", lax)


@mutant("an endpoint can be used again after its end", red="UNS-04")
def endpoints_live_on(patch: pytest.MonkeyPatch) -> None:
    def keeping(original: Any) -> Any:
        async def end(self: Any, endpoint_id: str, reason: CloseReason, **more: Any) -> bool:
            kept = await self.find(endpoint_id)
            ended = await original(self, endpoint_id, reason, **more)
            if kept is not None and reason is CloseReason.UNSUBSCRIBED:
                await self.add(kept)
            return bool(ended)

        return end

    around(patch, memory.MemoryBackend, "end", keeping)


@mutant("endpoints are numbered", red="SUB-15")
def endpoints_can_be_guessed(patch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(10**9))
    length = len(new_endpoint_id())
    patch.setattr(hub, "new_endpoint_id", lambda: f"{next(numbers):0{length}}")
