"""The URLs of where sessions are kept."""

from __future__ import annotations

import pytest
from fhircast_hub.config.stores import parse_store


def test_a_single_server() -> None:
    """SUB-13: with the port that is usual."""
    it = parse_store("rediss://user:secret@redis.example/2?ssl_ca_certs=/etc/ca.pem")
    assert (it.kind, it.addresses) == ("server", (("redis.example", 6379),))
    assert it.is_encrypted
    assert it.url == "rediss://user:secret@redis.example:6379/2?ssl_ca_certs=%2Fetc%2Fca.pem"


def test_sentinels() -> None:
    """SUB-13: the user of the servers is not that of the Sentinels."""
    it = parse_store(
        "redis+sentinel://user:secret@one,two:26380/sessions/3?sentinel_password=other&health=1"
    )
    assert (it.kind, it.master) == ("sentinel", "sessions")
    assert it.addresses == (("one", 26379), ("two", 26380))
    assert it.url == "redis://user:secret@one:26379/3?health=1"
    assert it.of_sentinels == {"password": "other"}


def test_a_cluster() -> None:
    """SUB-13: addresses of IPv6 stand in brackets."""
    it = parse_store("redis+cluster://[::1]:7000,127.0.0.1:7001")
    assert (it.kind, it.addresses) == ("cluster", (("::1", 7000), ("127.0.0.1", 7001)))
    assert it.url == "redis://[::1]:7000/"


@pytest.mark.parametrize(
    "url",
    [
        "rediss://user:secret@redis.example/2?password=secret",
        "redis+sentinel://user:secret@one,two/sessions?sentinel_password=secret",
        "redis+cluster://:secret@one,two",
        "unix:///run/redis.sock?password=secret",
    ],
)
def test_what_is_shown_holds_no_secret(url: str) -> None:
    """SEC-03."""
    it = parse_store(url)
    assert "secret" not in it.shown + repr(it)
    assert it.shown.startswith(url.partition("//")[0])
