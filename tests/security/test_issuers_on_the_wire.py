"""A hub that believes issuers of its own: keys from a URL, a file, several issuers at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from fhircast_hub.config import SettingError
from issuing import EC, RSA, jwk, jwks, key_server, public_pem, signed
from wire_messages import open_request

if TYPE_CHECKING:
    from pathlib import Path

    from hub_server import RunningHub, StartHub


async def status_with(hub: RunningHub, token: str) -> int:
    return (await (await hub.client(token)).subscribe(TOPIC)).status_code


async def test_a_rotation_is_followed(start_hub: StartHub) -> None:
    """SUB-10, SMART-08: keys come from the issuer's URL, and a new one is known when it is used."""
    async with key_server(jwks(jwk(EC, "old"))) as server:
        hub = await start_hub(auth="jwt", jwks_url=server.url, jwks_retry_seconds="0")
        wire = await hub.client(signed(EC, "ES256", kid="old"))
        socket = await wire.join(TOPIC)
        assert await status_with(hub, signed(RSA, "RS256", kid="new", jti="1")) == 401
        server.body = jwks(jwk(EC, "old"), jwk(RSA, "new"))
        new = signed(RSA, "RS256", kid="new", jti="2")  # the first is refused for a while
        assert await status_with(hub, new) == 202
        sent = open_request()
        await wire.post(sent)
        assert (await socket.next())["id"] == sent["id"]


async def test_nobody_gets_in_while_the_keys_are_not_known(start_hub: StartHub) -> None:
    """SUB-10: 503 and a retry, not 401: the token may be good."""
    async with key_server(b"not yet") as server:
        hub = await start_hub(auth="jwt", jwks_url=server.url, jwks_retry_seconds="0")
        wire = await hub.client(signed(EC, "ES256"))
        answer = await wire.subscribe(TOPIC)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        server.body = jwks(jwk(EC))
        assert (await wire.subscribe(TOPIC)).status_code == 202


async def test_several_issuers(start_hub: StartHub, tmp_path: Path) -> None:
    """SUB-10: each with keys and an audience of its own, beside the one of the settings."""
    pem = tmp_path / "single.pem"
    store(pem, public_pem(RSA))
    store(tmp_path / "a.json", jwks(jwk(EC, "k")))
    issuers = [{"issuer": "a", "jwks_file": "a.json", "audience": "hub"}]
    store(tmp_path / "issuers.json", json.dumps(issuers).encode())
    hub = await start_hub(
        auth="jwt", jwt_key=str(pem), issuer="single", issuers_file=str(tmp_path / "issuers.json")
    )
    assert await status_with(hub, signed(RSA, "RS256", iss="single")) == 202
    assert await status_with(hub, signed(EC, "ES256", iss="a", aud="hub")) == 202
    assert await status_with(hub, signed(EC, "ES256", iss="a")) == 401
    assert await status_with(hub, signed(RSA, "RS256", iss="a", aud="hub")) == 401
    assert await status_with(hub, signed(EC, "ES256", iss="single")) == 401
    assert await status_with(hub, signed(EC, "ES256", iss="b", aud="hub")) == 401


def store(path: Path, text: bytes) -> None:
    path.write_bytes(text)


@pytest.mark.parametrize("setting", ["jwt_key", "jwks_file"])
async def test_a_key_file_that_is_none_stops_the_start(
    start_hub: StartHub, tmp_path: Path, setting: str
) -> None:
    """SUB-10: in one line that names the setting, not at the first token."""
    broken = tmp_path / "broken.pem"
    store(broken, b"no key")
    for path in (broken, tmp_path / "missing.pem"):
        with pytest.raises(SettingError) as refused:
            await start_hub(auth="jwt", **{setting: str(path)})
        assert refused.value.variable == f"FHIRCAST_{setting.upper()}"
        assert "\n" not in str(refused.value)


async def test_an_issuer_is_configured_once(start_hub: StartHub, tmp_path: Path) -> None:
    """SUB-10: nobody could tell which keys are meant."""
    path = tmp_path / "issuers.json"
    store(path, json.dumps([{"issuer": "a", "key": "k" * 32}]).encode())
    with pytest.raises(SettingError, match="FHIRCAST_ISSUER="):
        await start_hub(auth="jwt", jwt_key="k" * 32, issuer="a", issuers_file=str(path))


async def test_a_fault_behind_the_file_of_issuers_names_that_file(
    start_hub: StartHub, tmp_path: Path
) -> None:
    """SUB-10: a key file that is none, algorithms of which no key is left."""
    path = tmp_path / "issuers.json"
    store(path, json.dumps([{"issuer": "a", "jwks_file": "missing.json"}]).encode())
    with pytest.raises(SettingError, match="FHIRCAST_ISSUERS_FILE="):
        await start_hub(auth="jwt", issuers_file=str(path))
    entry = {"issuer": "a", "jwks_url": "https://as.example/jwks", "algorithms": ["ES256"]}
    store(path, json.dumps([entry]).encode())
    with pytest.raises(SettingError, match="FHIRCAST_JWT_ALGORITHMS="):
        await start_hub(auth="jwt", issuers_file=str(path), jwt_algorithms="RS256")
