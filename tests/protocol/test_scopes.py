from __future__ import annotations

import pytest
from fhircast_hub.protocol.errors import Forbidden
from fhircast_hub.protocol.scopes import ALL, parse_scopes


@pytest.mark.parametrize(
    ("scope", "read", "write"),
    [
        ("fhircast/Patient-open.read", True, False),
        ("fhircast/Patient-open.write", False, True),
        ("fhircast/Patient-open.*", True, True),
        ("fhircast/*.read", True, False),
        ("fhircast/*.write", False, True),
        ("fhircast/*.*", True, True),
        ("fhircast/PATIENT-open.read", True, False),
        ("fhircast/Patient-close.*", False, False),
    ],
)
def test_a_scope_allows_what_it_says(scope: str, read: bool, write: bool) -> None:
    """2.2: SCO-01; names without regard to case (GEN-03)."""
    scopes = parse_scopes(scope)
    assert scopes.allow("patient-open", "read") is read
    assert scopes.allow("patient-open", "write") is write


@pytest.mark.parametrize(
    "scope",
    [
        "",
        "fhircast/Patient-*.read",
        "fhircast/*-open.read",
        "fhircast/Patient-open",
        "fhircast/Patient-open.readwrite",
        "fhircast/.read",
        "fhircast/Patient-open.rs",
        "patient/Patient.read",
        "xfhircast/*.*",
        "fhircast/*.*x",
        "openid launch fhircast",
        "openid\nfhircast/*.*",
        "openid\u00a0fhircast/*.*",
    ],
)
def test_nothing_else_grants_anything(scope: str) -> None:
    """2.2: SCO-01."""
    scopes = parse_scopes(scope)
    assert not scopes.allow("patient-open", "read")
    assert not scopes.allow("patient-open", "write")


def test_scopes_of_other_kinds_stand_beside_ours() -> None:
    """SMART: `openid launch` and resource scopes are passed over."""
    scopes = parse_scopes("openid launch fhircast/SyncError.write  fhircast/org.example.thing.read")
    assert scopes.allow("syncerror", "write")
    assert scopes.allow("org.example.thing", "read")
    assert not scopes.allow("syncerror", "read")


@pytest.mark.parametrize(("access", "rule"), [("read", "SCO-02"), ("write", "SCO-03")])
def test_a_missing_scope_is_named(access: str, rule: str) -> None:
    """2.2: SCO-02, SCO-03."""
    scopes = parse_scopes("fhircast/Patient-close.*")
    with pytest.raises(Forbidden, match=rf"fhircast/Patient-open\.{access}") as caught:
        scopes.require(
            "patient-open", "read" if access == "read" else "write", event="Patient-open"
        )
    assert caught.value.rule == rule


def test_all_covers_every_event_both_ways() -> None:
    """2.2: what a hub without authentication grants."""
    ALL.require("org.example.thing", "read", event="org.example.thing")
    ALL.require("syncerror", "write", event="SyncError")
