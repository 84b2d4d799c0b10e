"""`fhircast token`: keys and tokens for development, and what any token is good for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from click.testing import CliRunner, Result
from fhircast_hub.cli.main import main
from issuing import EC, claims_of, jwk, jwks, public_pem, signed

if TYPE_CHECKING:
    from pathlib import Path

    from hub_server import StartHub
    from issuing import Claims

KEY = "a key for tests only, 32 characters and more"


def token(*arguments: str, stdin: str = "", **environment: str) -> Result:
    """Run `fhircast token`."""
    return CliRunner().invoke(main, ("token", *arguments), input=stdin, env=environment)


@pytest.fixture
def own_key(tmp_path: Path) -> Path:
    """A directory with a key pair of keygen."""
    done = keygen(tmp_path)
    assert done.exit_code == 0, done.output
    return tmp_path


def keygen(path: Path, *more: str) -> Result:
    files = "--private", str(path / "key.pem"), "--jwks", str(path / "jwks.json")
    return token("keygen", "--kid", "k", *files, *more)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
async def test_a_key_of_ones_own_opens_a_hub(
    start_hub: StartHub, tmp_path: Path, algorithm: str
) -> None:
    """SUB-10: keygen, mint, serve, in this order, and nothing else is needed."""
    assert keygen(tmp_path, "--algorithm", algorithm).exit_code == 0
    key, key_set = str(tmp_path / "key.pem"), str(tmp_path / "jwks.json")
    about = ("--issuer", "https://as.example", "--audience", "hub")
    minted = token("mint", "--key", key, "--kid", "k", *about).output.strip()
    hub = await start_hub(
        auth="jwt", jwks_file=key_set, issuer="https://as.example", audience="hub"
    )
    assert (await (await hub.client(minted)).subscribe(TOPIC)).status_code == 202


def test_a_private_key_is_for_its_owner_only(own_key: Path) -> None:
    """And no key is ever overwritten."""
    key = own_key / "key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    again = keygen(own_key)
    assert (again.exit_code, "is there already" in again.output) == (1, True)
    assert key.read_bytes() == before
    assert b'"d"' not in (own_key / "jwks.json").read_bytes()


def test_a_key_that_cannot_be_written(tmp_path: Path) -> None:
    nowhere = keygen(tmp_path / "missing")
    assert (nowhere.exit_code, "No such file" in nowhere.output) == (1, True)
    assert token("keygen", "--private", str(tmp_path / "key")).exit_code == 2


def test_only_a_private_key_mints(tmp_path: Path) -> None:
    pem = tmp_path / "public.pem"
    pem.write_bytes(public_pem(EC))
    for path in (pem, tmp_path / "missing.pem"):
        done = token("mint", "--key", str(path))
        assert (done.exit_code, "not a PEM private key" in done.output) == (2, True)


def test_inspect_shows_and_does_not_believe() -> None:
    """It says so; times are readable, and nothing in a token reaches the terminal raw."""
    minted = signed(EC, "ES256", kid="k", sub="\x1b[31mred", exp=1_900_000_000, nbf=1e300)
    done = token("inspect", minted)
    assert done.exit_code == 0
    assert done.output.startswith("NOT VERIFIED")
    assert "2030-03-17 17:46:40 UTC" in done.output
    assert "\x1b" not in done.output
    shown = json.loads(token("inspect", "-", "--json", stdin=f"Bearer {minted}\n").output)
    assert (shown["verified"], shown["header"]) == (False, {"alg": "ES256", "kid": "k"})
    assert shown["claims"]["exp"] == 1_900_000_000


def test_inspect_says_what_is_no_token() -> None:
    done = token("inspect", "opaque")
    assert (done.exit_code, "opaque" in done.output) == (1, True)


def test_check_says_what_a_token_may_do(tmp_path: Path) -> None:
    """SMART-08, SCO-01: with the settings of the hub, from flags or the environment."""
    path = tmp_path / "jwks.json"
    path.write_bytes(jwks(jwk(EC)))
    scope = "fhircast/Patient-open.* fhircast/*.read"
    claims = claims_of(scope=scope, client_id="viewer", **{"hub.topic": "t"})
    good = signed(EC, "ES256", **claims)
    done = token("check", good, "--jwks-file", str(path))
    assert done.exit_code == 0
    assert done.output.startswith("valid\n")
    told = json.loads(
        token("check", "-", "--json", stdin=good, FHIRCAST_JWKS_FILE=str(path)).output
    )
    assert (told["reads"], told["requests"]) == (["*"], ["patient-open"])
    assert (told["topic"], told["client"]) == ("t", "viewer")


def test_check_says_why_not() -> None:
    """SUB-10: exit code 1, one line, and never the token."""
    faults: dict[str, Claims] = {
        "expired": {"exp": 1},
        "(iss)": {"iss": "other"},
        "(aud)": {"iss": "as"},
    }
    settings = ("--jwt-key", KEY, "--issuer", "as", "--audience", "hub")
    for word, claims in faults.items():
        bad = signed(KEY, "HS256", **claims_of(**{"iss": "as", "aud": "x", **claims}))
        done = token("check", bad, *settings)
        assert (done.exit_code, word in done.output) == (1, True), done.output
        assert bad not in done.output
        told = json.loads(token("check", bad, "--json", *settings).output)
        assert (told["valid"], told["status"]) == (False, 401)


def test_check_needs_settings() -> None:
    """Exit code 2: wrong use."""
    for settings in ((), ("--jwks-file", "missing.json"), ("--auth", "basic")):
        assert token("check", "x", *settings).exit_code == 2
