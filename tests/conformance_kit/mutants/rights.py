"""Broken in scopes, topics and discovery."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conformance_kit.mutants.registry import around, mutant
from fhircast_hub import fanout
from fhircast_hub.protocol.scopes import Scopes
from fhircast_hub.security import tokens
from fhircast_hub.web import routes
from msgspec import structs

if TYPE_CHECKING:
    import pytest


@mutant("anyone may publish", red="SCO-03")
def writing_needs_no_scope(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scopes, "require", lambda *_, **__: None)


@mutant("anyone may read", red="SCO-02 EVT-19 CTX-08 CONF-02 SUB-12 SCO-01 D-33")
def reading_needs_no_scope(patch: pytest.MonkeyPatch) -> None:
    def lax(original: Any) -> Any:
        return lambda self, key, access: access == "read" or original(self, key, access)

    around(patch, Scopes, "allow", lax)


@mutant("a token opens every topic", red="SMART-08")
def tokens_open_every_topic(patch: pytest.MonkeyPatch) -> None:
    def unbound(original: Any) -> Any:
        return lambda *claims, **more: replace(original(*claims, **more), topic="")

    around(patch, tokens, "grant_of", unbound)


@mutant("events go to every topic whose subscriber is called alike", red="SEC-04")
def topics_leak(patch: pytest.MonkeyPatch) -> None:
    def leaking(original: Any) -> Any:
        def notify(self: Any, published: Any, now: float) -> Any:
            yield from original(self, published, now)
            called = initials(self, published.topic)
            for topic in list(self._topics):
                if topic != published.topic and called == initials(self, topic) == {"S"}:
                    yield from original(self, structs.replace(published, topic=topic), now)

        return notify

    def initials(self: Any, topic: str) -> set[str]:
        links = self._topics.get(topic, {}).values()
        return {it.channel.subscription.subscriber_name[:1] for it in links}

    around(patch, fanout.Fanout, "_notify", leaking)


@mutant("the well-known document lists no events", red="WK-02")
def nothing_is_declared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(routes, "CATALOGUE", ())
