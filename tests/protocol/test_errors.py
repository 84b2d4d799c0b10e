from __future__ import annotations

import pytest
from fhircast_hub.protocol import errors
from fhircast_hub.protocol.errors import (
    DuplicateId,
    FhircastError,
    InvalidRequest,
    LimitReached,
    MessageTooLarge,
    RequestTooSlow,
    TokenExpired,
    Unauthorized,
    Unavailable,
    UnknownTopic,
    UnsupportedContentType,
    VersionConflict,
)

STATUS_BY_NAME = {
    "FhircastError": 400,
    "InvalidRequest": 400,
    "AnchorLinkBroken": 400,
    "Unauthorized": 401,
    "TokenExpired": 401,
    "Forbidden": 403,
    "UnknownTopic": 404,
    "Conflict": 409,
    "VersionConflict": 409,
    "ContextNotOpen": 409,
    "ContextNotCurrent": 409,
    "PatientChanged": 409,
    "DuplicateId": 409,
    "RequestTooSlow": 408,
    "MessageTooLarge": 413,
    "UnsupportedContentType": 415,
    "LimitReached": 429,
    "Unavailable": 503,
}


def test_every_error_is_one_of_the_tree_and_has_its_status() -> None:
    """2.4, 2.6: a refusal is 4xx or 5xx (SUB-13, EVT-03, D-29, D-42)."""
    found = {
        name: kind.status
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, FhircastError)
    }
    assert found == STATUS_BY_NAME


def test_the_reason_names_the_field() -> None:
    """2.4: the text of a refusal names the field (SUB-13)."""
    error = InvalidRequest("hub.topic", "missing", rule="SUB-03")
    assert (str(error), error.rule, error.field) == ("hub.topic: missing", "SUB-03", "hub.topic")


def test_a_token_whose_time_is_over_is_no_guess() -> None:
    """SUB-10: an expired token is refused as one (RFC 6750, 3.1), apart from one never issued."""
    error = TokenExpired()
    assert isinstance(error, Unauthorized)
    assert (str(error), error.rule) == ("Authorization: the token has expired", "SUB-10")


def test_a_slow_body_is_told_how_long_it_may_take() -> None:
    """SUB-13: in words."""
    assert str(RequestTooSlow(2.5)) == "body: not complete within 2.5 seconds"


@pytest.mark.parametrize(("ira", "status"), [(False, 409), (True, 400)])
def test_a_wrong_version_is_409_and_400_in_ira_mode(ira: bool, status: int) -> None:
    """RAD-150: D-42, same text in both, which names both versions."""
    error = VersionConflict(expected="v2", got="v1", ira=ira)
    assert error.status == status
    assert "version mismatch" in error.reason
    assert all(version in error.reason for version in ("v1", "v2"))


def test_one_ira_conflict_does_not_change_the_status_of_the_next() -> None:
    """D-42: the status belongs to the error, not to its class."""
    VersionConflict(expected="v2", got="v1", ira=True)
    assert VersionConflict(expected="v2", got="v1", ira=False).status == 409


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (UnknownTopic(), "hub.topic"),
        (DuplicateId(), "id"),
        (MessageTooLarge(1024), "1024"),
        (Unauthorized("Authorization: no bearer token", rule="SUB-10"), "Authorization"),
        (UnsupportedContentType("Content-Type: not JSON", rule="OLD-02"), "Content-Type"),
        (Unavailable("store: not reachable", rule="2.6"), "store"),
    ],
)
def test_every_reason_says_where(error: FhircastError, word: str) -> None:
    """SUB-13: each text names what is wrong, and carries a rule."""
    assert word in str(error)
    assert error.rule


def test_a_limit_tells_when_to_come_back() -> None:
    """D-43: 429 over a limit."""
    assert (
        LimitReached("topics: too many", rule="D-43", retry_after_seconds=7).retry_after_seconds
        == 7
    )
    assert LimitReached("topics: too many", rule="D-43").retry_after_seconds > 0
