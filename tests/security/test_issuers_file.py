"""The file with issuers: what may stand in it, and the one line that stops the start."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from fhircast_hub.clock import SystemClock
from fhircast_hub.config import SettingError, load_settings
from fhircast_hub.protocol.errors import Unauthorized
from fhircast_hub.security.issuers_file import IssuerEntry, read_issuers
from fhircast_hub.security.verifiers import verifier_of
from issuing import signed

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "a key for tests only, 32 characters and more"
URL = "https://as.example/jwks"


def written(path: Path, entries: Any) -> Path:
    path.write_text(json.dumps(entries))
    return path


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    """SUB-10: paths start at the file's own directory."""
    toml = tmp_path / "issuers.toml"
    toml.write_text(
        f'[[issuers]]\nissuer = "a"\njwks_url = "{URL}"\naudience = ["hub", "h"]\n'
        '[[issuers]]\nissuer = "b"\nkey = "b.pem"\nalgorithms = ["ES256"]\n'
        '[[issuers]]\nissuer = "c"\njwks_file = "/etc/c.json"\naudience = "hub"\n'
    )
    entries = [
        {"issuer": "a", "jwks_url": URL, "audience": ["hub", "h"]},
        {"issuer": "b", "key": "b.pem", "algorithms": ["ES256"]},
        {"issuer": "c", "jwks_file": "/etc/c.json", "audience": "hub"},
    ]
    expected = [
        IssuerEntry("a", jwks_url=URL, audience=("hub", "h")),
        IssuerEntry("b", key=str(tmp_path / "b.pem"), algorithms=("ES256",)),
        IssuerEntry("c", jwks_file="/etc/c.json", audience=("hub",)),
    ]
    assert read_issuers(toml) == expected
    assert read_issuers(written(tmp_path / "a.json", entries)) == expected
    assert read_issuers(written(tmp_path / "b.json", {"issuers": entries})) == expected


GOOD = {"issuer": "a", "jwks_url": URL}
WRONG: dict[str, Any] = {
    "nothing": [],
    "no list": {"issuer": "a"},
    "no object": ["a"],
    "no issuer": [{"jwks_url": URL}],
    "odd issuer": [{**GOOD, "issuer": ["a"]}],
    "no keys": [{"issuer": "a"}],
    "keys twice": [{**GOOD, "key": SECRET}],
    "a misspelt name": [{**GOOD, "audiences": ["hub"]}],
    "odd audience": [{**GOOD, "audience": 7}],
    "an empty audience": [{**GOOD, "audience": [""]}],
    "an unknown algorithm": [{**GOOD, "algorithms": ["none"]}],
    "a secret's algorithm": [{**GOOD, "algorithms": ["HS256"]}],
    "http": [{**GOOD, "jwks_url": "http://as.example/jwks"}],
    "a short secret": [{"issuer": "a", "key": "too-short-secret"}],
    "an issuer twice": [GOOD, {"issuer": "a", "key": SECRET}],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_entry_stops_the_start(tmp_path: Path, name: str) -> None:
    """SUB-10: in one line, without any secret."""
    with pytest.raises(SettingError) as refused:
        read_issuers(written(tmp_path / "issuers.json", WRONG[name]))
    assert refused.value.variable == "FHIRCAST_ISSUERS_FILE"
    assert "\n" not in str(refused.value)
    assert "secret'" not in str(refused.value)


@pytest.mark.parametrize("text", [b"", b"[", b"\xff", b"[" * 100_000])
def test_a_file_that_cannot_be_read(tmp_path: Path, text: bytes) -> None:
    for path in (tmp_path / "a.toml", tmp_path / "a.json"):
        path.write_bytes(text)
        with pytest.raises(SettingError):
            read_issuers(path)
    with pytest.raises(SettingError):
        read_issuers(tmp_path / "missing.toml")


def entry_with_secret(tmp_path: Path, **more: Any) -> str:
    entry = {"issuer": "https://a.example", "key": SECRET, **more}
    return str(written(tmp_path / "issuers.json", [entry]))


@pytest.mark.parametrize(("audience", "is_let_in"), [("hub", True), ("billing", False)])
async def test_the_audience_of_the_settings_holds_for_issuers_that_name_none(
    tmp_path: Path, audience: str, *, is_let_in: bool
) -> None:
    """SUB-10: a token for somebody else is refused."""
    file = entry_with_secret(tmp_path)
    settings = load_settings(
        {}, {"auth": "jwt", "issuers_file": file, "audience": "hub", "policy": ""}
    )
    verifier = verifier_of(settings, SystemClock())
    header = "Bearer " + signed(SECRET, "HS256", iss="https://a.example", aud=audience)
    if is_let_in:
        assert await verifier.verify(header)
    else:
        with pytest.raises(Unauthorized):
            await verifier.verify(header)


def test_an_issuer_without_keys_of_its_own_is_no_issuer(tmp_path: Path) -> None:
    """SUB-10: beside the file alone it would be passed over in silence."""
    given = {"auth": "jwt", "issuers_file": entry_with_secret(tmp_path), "issuer": "https://b"}
    with pytest.raises(SettingError, match="FHIRCAST_ISSUER"):
        verifier_of(load_settings({}, given), SystemClock())


def test_a_long_secret_is_no_name_of_a_file(tmp_path: Path) -> None:
    """SUB-10: longer than any name may be, and still no fault."""
    [entry] = read_issuers(written(tmp_path / "i.json", [{"issuer": "a", "key": "k" * 600}]))
    assert entry.key == "k" * 600
