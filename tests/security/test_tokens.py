"""Bearer tokens become grants: which keys, which algorithms, which claims."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fhircast_hub.protocol.errors import Forbidden, Unauthorized
from fhircast_hub.security.tokens import JwtVerifier, NoAuthentication

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "a key for tests only, 32 characters and more"
PRIVATE_KEYS: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "user", "scope": "fhircast/*.read", "exp": int(time.time()) + 60, **more}


def signed(key: Any = SECRET, algorithm: str = "HS256", **more: Any) -> str:
    return "Bearer " + jwt.encode(claims(**more), key, algorithm=algorithm)


def public_pem(algorithm: str) -> bytes:
    public: bytes = (
        PRIVATE_KEYS[algorithm]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return public


@pytest.mark.parametrize("algorithm", PRIVATE_KEYS)
async def test_a_public_key_verifies_its_private_half(algorithm: str, tmp_path: Path) -> None:
    """The path of a PEM file stands for its key."""
    pem = tmp_path / "key.pem"
    pem.write_bytes(public_pem(algorithm))
    grant = await JwtVerifier(str(pem)).verify(signed(PRIVATE_KEYS[algorithm], algorithm))
    assert grant.scopes.allow("patient-open", "read")


async def test_the_public_key_is_no_shared_secret(tmp_path: Path) -> None:
    """The old trick: a token signed with HS256 and the text of the public key."""
    pem = tmp_path / "key.pem"
    pem.write_bytes(public_pem("ES256"))
    forged = jwt.api_jws.PyJWS()
    token = _hmac_signed(public_pem("ES256"))
    assert forged.get_unverified_header(token)["alg"] == "HS256"
    with pytest.raises(Unauthorized):
        await JwtVerifier(str(pem)).verify(f"Bearer {token}")


def _hmac_signed(key: bytes) -> str:
    """Sign by hand, since the library refuses to."""
    import hashlib
    import hmac
    import json

    head = jwt.utils.base64url_encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = jwt.utils.base64url_encode(json.dumps(claims()).encode())
    signature = hmac.new(key, head + b"." + body, hashlib.sha256).digest()
    return b".".join((head, body, jwt.utils.base64url_encode(signature))).decode()


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic dXNlcjpwdw==", "x", signed()[7:], "Bearer x.y.z", "Bearer é"],
)
async def test_a_header_without_a_good_token(header: str) -> None:
    """SUB-10."""
    with pytest.raises(Unauthorized):
        await JwtVerifier(SECRET).verify(header)


async def test_the_scheme_has_no_case() -> None:
    """RFC 9110, 11.1."""
    assert (
        await JwtVerifier(SECRET).verify(signed().replace("Bearer", "bEARER"))
    ).subject == "user|"


@pytest.mark.parametrize("more", [{"exp": 1}, {"nbf": 99_999_999_999}, {"exp": "soon"}])
async def test_a_token_out_of_its_time(more: dict[str, Any]) -> None:
    """SUB-10: expired, not yet valid, or with an end that is none."""
    with pytest.raises(Unauthorized):
        await JwtVerifier(SECRET).verify(signed(**more))


async def test_the_refusal_does_not_repeat_the_token() -> None:
    """House rule: never a token in a message."""
    token = signed(exp=1)
    with pytest.raises(Unauthorized) as refused:
        await JwtVerifier(SECRET).verify(token)
    assert token[7:] not in str(refused.value)


async def test_a_grant_tells_what_the_claims_say() -> None:
    """SMART-08, D-36, D-48: topic, owner, and the name for a subscriber without one."""
    bearer = signed(client_id="viewer", **{"hub.topic": "t"})
    grant = await JwtVerifier(SECRET).verify(bearer)
    assert (grant.subject, grant.client_name, grant.topic) == ("user|viewer", "viewer", "t")
    grant.require_topic("t")
    with pytest.raises(Forbidden):
        grant.require_topic("other")


async def test_a_token_without_scopes_grants_nothing() -> None:
    """SCO-01."""
    grant = await JwtVerifier(SECRET).verify(signed(scope="openid patient/*.read"))
    assert not grant.scopes.allow("patient-open", "read")


async def test_without_authentication_everybody_may_do_everything() -> None:
    """Whatever the header says; only for one machine."""
    grant = await NoAuthentication().verify("Bearer nonsense")
    assert grant.scopes.allow("patient-open", "write")
    assert (grant.topic, grant.expires_at) == ("", None)


async def test_an_expiry_beyond_all_dates_is_the_last_date() -> None:
    """Some issuers count in milliseconds; that is no fault of the caller's."""
    grant = await JwtVerifier(SECRET).verify(signed(exp=1_900_000_000_000))
    assert grant.expires_at is not None
    assert grant.expires_at.year == 9999
