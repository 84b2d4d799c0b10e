"""Claims: each may be missing, wrong, or of any type, and the outcome is a grant or a refusal."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from builders import NOON
from fhircast_hub.protocol.errors import Forbidden, Unauthorized
from fhircast_hub.security.claims import ClaimRules, grant_of
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from fhircast_hub.security.grant import Grant
    from issuing import Claims

SECOND = NOON.timestamp()


def granted(rules: ClaimRules | None = None, **claims: Any) -> Grant:
    """The grant of these claims at noon; a claim of None is left out."""
    said = {"sub": "user", "client_id": "viewer", "exp": SECOND + 60, **claims}
    return grant_of(
        {name: it for name, it in said.items() if it is not None},
        rules or ClaimRules(),
        now=NOON,
        token_id="digest",
    )


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": SECOND},
        {"exp": SECOND - 1},
        {"exp": 0},
        {"exp": -1e300},
        {"exp": None},
        {"nbf": SECOND + 31},
        {"iat": SECOND + 31},
        {"nbf": 10**400},
    ],
)
def test_a_token_out_of_its_time(claims: dict[str, Any]) -> None:
    """SUB-10, SMART-08: at its last second it is over, and without an end it never began."""
    with pytest.raises(Unauthorized):
        granted(**claims)


def test_the_issuers_clock_may_be_ahead_a_little() -> None:
    """SUB-10: a token is used in the second in which it is made."""
    assert granted(nbf=SECOND + 30, iat=SECOND + 30)
    with pytest.raises(Unauthorized, match="nbf"):
        granted(ClaimRules(leeway_seconds=0), nbf=SECOND + 1)


def test_the_end_may_be_a_fraction_or_beyond_all_dates() -> None:
    """SUB-09: some issuers count in milliseconds; that is no fault of the caller's."""
    assert granted(exp=SECOND + 0.5).expires_at == NOON + timedelta(seconds=0.5)
    for exp in (1_900_000_000_000, 10**400, 1e300):
        expires_at = granted(exp=exp).expires_at
        assert expires_at is not None
        assert expires_at.year == 9999


def test_an_answer_of_introspection_may_have_no_end() -> None:
    """SMART-07: RFC 7662 makes it optional."""
    assert granted(ClaimRules(requires_expiry=False), exp=None).expires_at is None


NOT_READABLE: dict[str, list[Any]] = {
    "exp": ["soon", True, [1], {}, float("nan"), float("inf")],
    "nbf": ["x", False],
    "iat": [[]],
    "iss": [["a"]],
    "sub": [["user"], 7, {"a": 1}, True],
    "client_id": [["viewer"]],
    "scope": [7, {"fhircast/*.*": 1}, [["fhircast/*.*"]], ["x", None]],
    "hub.topic": [["t"], 7, False],
}


@pytest.mark.parametrize("name", NOT_READABLE)
def test_a_claim_of_an_odd_type(name: str) -> None:
    """SUB-10: a topic that is not understood must not become no topic."""
    for odd in NOT_READABLE[name]:
        with pytest.raises(Unauthorized, match=name.replace(".", r"\.")):
            granted(**{name: odd})


def test_the_issuer_and_the_audience_as_configured() -> None:
    """SUB-10: a list of audiences is one for each of them."""
    rules = ClaimRules(issuer="as", audiences=frozenset({"hub", "hub.example"}))
    assert granted(rules, iss="as", aud="hub")
    assert granted(rules, iss="as", aud=["other", "hub.example"])
    faults: list[Claims] = [
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"iss": "AS"},
        {"iss": None},
    ]
    for wrong in faults:
        with pytest.raises(Unauthorized):
            granted(rules, **{"iss": "as", "aud": "hub", **wrong})
    with pytest.raises(Unauthorized, match="aud"):
        granted(rules, iss="as", aud=["hub", 7])


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "openid fhircast/Patient-open.read"},
        {"scope": ["openid", "fhircast/Patient-open.read"]},
        {"scp": ["fhircast/Patient-open.read"]},
        {"scp": "fhircast/PATIENT-open.*"},
    ],
)
def test_scopes_come_as_a_text_or_a_list(claims: dict[str, Any]) -> None:
    """SCO-01, GEN-03: as issuers write them, and names have no case."""
    scopes = granted(**claims).scopes
    assert scopes.allow("patient-open", "read")
    assert not scopes.allow("patient-close", "read")


@pytest.mark.parametrize("scope", ["", None, "openid patient/*.read", "fhircast/P*.read"])
def test_no_scopes_grant_nothing(scope: Any) -> None:
    """SCO-01."""
    assert not granted(scope=scope).scopes.allow("patient-open", "read")


def test_a_bound_token_can_be_demanded() -> None:
    """SMART-08, SEC-04: 403 for a token that would open every session."""
    rules = ClaimRules(requires_topic=True)
    assert granted(rules, **{"hub.topic": "t"}).topic == "t"
    for topic in (None, ""):
        with pytest.raises(Forbidden, match=r"hub\.topic"):
            granted(rules, **{"hub.topic": topic})


def test_the_application_may_be_called_otherwise() -> None:
    """D-36: `azp` is what OpenID Connect calls it."""
    assert granted(client_id=None, azp="viewer").client_name == "viewer"
    assert granted(client_id=None).client_name == "user"


def test_no_two_owners_share_a_text() -> None:
    """UNS-05, D-48: whatever is in the names."""
    names = [("a", "b|c"), ("a|b", "c"), ("a%7Cb", "c"), ("", "c"), ("c", ""), ("a", "b")]
    owners = {granted(sub=sub, client_id=client).subject for sub, client in names}
    assert len(owners) == len(names)
    assert granted(iss="a", sub="b", client_id="").subject not in owners
    assert granted(iss="a", sub="b", client_id="c").subject == "a|b|c"


def test_who_names_nobody_owns_what_that_token_made() -> None:
    """UNS-05, D-48: and nothing else of the others without a name."""
    nobody = granted(sub=None, client_id=None)
    assert nobody.subject == "token:digest"
    assert nobody.client_name == "subscriber"


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NAMES = ("exp", "nbf", "iat", "iss", "aud", "sub", "client_id", "azp", "scope", "scp", "hub.topic")


@given(st.dictionaries(st.sampled_from(NAMES), ANY_JSON))
def test_no_claims_are_a_fault_of_ours(claims: dict[str, Any]) -> None:
    """SUB-10: 401 or 403, never 500."""
    rules = ClaimRules(audiences=frozenset({"hub"}), requires_expiry=False)
    with suppress(Unauthorized, Forbidden):
        grant_of(claims, rules, now=NOON, token_id="digest")
