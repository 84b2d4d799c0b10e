"""Scopes narrowed and in words; memory that is bounded."""

from __future__ import annotations

import pytest
from fhircast_demo.smart import SmartSettings
from fhircast_demo.smart.clients import registered
from fhircast_demo.smart.expiring import Expiring
from fhircast_demo.smart.scopes import in_words, narrow
from fhircast_demo.smart.sessions import Sessions
from fhircast_demo.smart.users import USERS
from smart_browser import ORIGIN, ClockAtHand

PAGE = ("fhircast/*.read", "fhircast/Patient-open.write", "user/*.rs", "user/Observation.cruds")


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("fhircast/*.*", ["fhircast/*.read", "fhircast/Patient-open.write"]),
        ("fhircast/Patient-open.*", ["fhircast/Patient-open.*"]),
        ("fhircast/patient-OPEN.*", ["fhircast/patient-OPEN.*"]),
        ("fhircast/Patient-close.*", ["fhircast/Patient-close.read"]),
        ("fhircast/Patient-close.write", []),
        ("fhircast/Patient-*.read", []),
        ("user/*.cruds", ["user/*.rs", "user/Observation.cruds"]),
        ("user/Patient.cruds", ["user/Patient.rs"]),
        ("user/Patient.*", ["user/Patient.read"]),
        ("user/Patient.write", []),
        ("user/Observation.*", ["user/Observation.*"]),
        ("user/Observation.cu", ["user/Observation.cu"]),
        ("user/Patient.sr", []),
        ("user/Patient.", []),
        ("user/patient.rs", []),
        ("patient/*.rs", []),
        ("openid", []),
        ("*", []),
    ],
)
def test_scopes_are_narrowed(asked: str, granted: list[str]) -> None:
    """SMART-04, SCO-01: to the part that is allowed, in the spelling that was asked in."""
    assert list(narrow([asked], PAGE)) == granted


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("fhircast/*.read", "be told of every event"),
        ("fhircast/Patient-open.*", "be told of and request Patient-open"),
        ("user/Patient.rs", "read, search every Patient that you may"),
        ("user/*.*", "read, search, create, change, delete every resource that you may"),
        ("openid", "know who you are"),
        ("patient/*.rs", "patient/*.rs"),
    ],
)
def test_scopes_are_said_in_words(scope: str, words: str) -> None:
    """SMART-04: the consent page is for people."""
    assert in_words(scope) == words


def test_memory_is_bounded_and_forgets() -> None:
    """SEC-01: the oldest goes; what is over is gone; a value can be taken once."""
    clock = ClockAtHand()
    memory: Expiring[int] = Expiring(clock, life_seconds=10, limit=2)
    for number in range(3):
        memory.put(f"name-{number}", number)
    assert [memory.get(f"name-{number}") for number in range(3)] == [None, 1, 2]
    assert (memory.take("name-1"), memory.take("name-1")) == (1, None)
    clock.seconds += 10
    assert memory.get("name-2") is None
    assert len(memory) == 0


def test_one_sign_in_too_many_ends_the_oldest() -> None:
    """SEC-01: and what hangs on it; topics stay apart."""
    settings = SmartSettings(ORIGIN, "http://hub.test/api/hub", "s", max_sessions=1)
    sessions = Sessions(settings, ClockAtHand())
    first_cookie, first = sessions.sign_in(USERS["student"])
    _cookie, second = sessions.sign_in(USERS["student"])
    assert sessions.of_cookie(first_cookie) is None
    assert not sessions.is_live(first.id)
    assert sessions.is_live(second.id)
    assert first.topic != second.topic


def test_clients_are_exact_and_keep_their_secret() -> None:
    """SMART-05: redirect URIs as registered; no secret in a repr."""
    clients = registered(ORIGIN, service_secret="s3cret", redirect_uris=["http://x.test/cb"])
    assert clients["demo-viewer"].redirect_uris == (f"{ORIGIN}/viewer",)
    assert "http://x.test/cb" in clients["my-app"].redirect_uris
    assert "s3cret" not in repr(clients)
    assert not clients["my-app"].is_secret("")
