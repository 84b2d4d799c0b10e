"""Which backend a setting chooses, and what is said about it."""

from __future__ import annotations

import logging
import sys

import pytest
from fhircast_hub.backends.memory import MemoryBackend
from fhircast_hub.backends.redis import RedisBackend
from fhircast_hub.config import SettingError, load_settings
from fhircast_hub.web.app import create_app

BEYOND = "redis://user:secret@redis.example:6380/2"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryBackend),
        ("redis://127.0.0.1:6380", RedisBackend),
        ("rediss://redis.example", RedisBackend),
        ("unix:///run/valkey.sock", RedisBackend),
        ("redis+sentinel://127.0.0.1,127.0.0.1:26380/sessions", RedisBackend),
        ("redis+cluster://127.0.0.1:7000,127.0.0.1:7001", RedisBackend),
        ("rediss+cluster://one.example,two.example", RedisBackend),
    ],
)
def test_the_setting_chooses(url: str, kind: type, caplog: pytest.LogCaptureFixture) -> None:
    """SUB-13: nothing is reached for yet; what stays private needs no warning."""
    app = create_app(load_settings({}, {"backend": url}))
    assert isinstance(app.state.backend, kind)
    assert caplog.records == []


def test_what_others_could_read_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """SEC-03: sessions hold patient data; the password is for no log."""
    with caplog.at_level(logging.DEBUG):
        create_app(load_settings({}, {"backend": BEYOND}))
    assert "in the clear" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("option", ["max_connections=5", "no_such_option=1"])
def test_what_no_connection_has_is_refused_at_the_start(option: str) -> None:
    """SEC-03: in words, and not when the hub runs; the password is for no log."""
    with pytest.raises(SettingError, match="options") as refused:
        create_app(load_settings({}, {"backend": f"{BEYOND}?{option}"}))
    assert "secret" not in str(refused.value)


def test_without_its_extra_the_start_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """SEC-03: which extra is missing, and no password."""
    monkeypatch.setitem(sys.modules, "fhircast_hub.backends.redis", None)
    with pytest.raises(SettingError, match=r"fhircast-hub\[redis\]") as refused:
        create_app(load_settings({}, {"backend": BEYOND}))
    assert "secret" not in str(refused.value)
