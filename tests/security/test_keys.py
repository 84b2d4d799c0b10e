"""Keys: what a key may verify is said by its kind, its set and the settings, never by a token."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from fhircast_hub.security.jws import is_signed_with, read_token
from fhircast_hub.security.keys import MAX_KEYS, UnusableKey, parse_jwks, parse_pem, secret_key
from issuing import EC, PRIVATE_KEYS, RSA, jwk, jwks, public_pem, signed

if TYPE_CHECKING:
    from fhircast_hub.security.keys import Key

SECRET = "a key for tests only, which is 64 characters long and even longer"


def only(keys: tuple[Key, ...]) -> Key:
    (key,) = keys
    return key


@pytest.mark.parametrize("algorithm", PRIVATE_KEYS)
def test_a_public_key_verifies_its_private_half(algorithm: str) -> None:
    """SUB-10: from a PEM file and from a key set alike."""
    private = PRIVATE_KEYS[algorithm]
    token = read_token(signed(private, algorithm))
    pem, entry = only(parse_pem(public_pem(private))), only(parse_jwks(jwks(jwk(private))))
    assert is_signed_with(token, pem)
    assert is_signed_with(token, entry)
    assert pem.thumbprint == entry.thumbprint


def test_the_alg_of_a_key_narrows_it() -> None:
    """SUB-10: what the issuer says of its key binds."""
    key = only(parse_jwks(jwks(jwk(RSA, algorithm="PS256"))))
    assert key.algorithms == {"PS256"}
    assert not is_signed_with(read_token(signed(RSA, "RS256")), key)


def test_the_settings_narrow_it_further() -> None:
    assert only(parse_jwks(jwks(jwk(RSA)), ("RS256", "ES256"))).algorithms == {"RS256"}
    with pytest.raises(UnusableKey):
        parse_pem(public_pem(RSA), ("ES256",))


def test_a_shared_secret_is_for_one_algorithm() -> None:
    assert secret_key(SECRET).algorithms == {"HS256"}
    assert not is_signed_with(read_token(signed(SECRET, "HS512")), secret_key(SECRET))


def test_a_certificate_stands_for_its_key() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, EC.public_key(), 1, now, now + timedelta(days=1))
        .sign(EC, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    assert parse_pem(certificate) == parse_pem(public_pem(EC))


def private_pem(private: Any) -> bytes:
    pem: bytes = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem


WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)
UNUSABLE_PEMS = {
    "a private key": private_pem(EC),
    "a weak key": public_pem(WEAK),
    "an unusual curve": public_pem(ec.generate_private_key(ec.SECP256K1())),
    "an unusual kind": public_pem(ed448.Ed448PrivateKey.generate()),
    "no key": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "nothing": b"",
}


@pytest.mark.parametrize("name", UNUSABLE_PEMS)
def test_an_unusable_pem(name: str) -> None:
    """A private key does not belong on the hub, a weak one protects nobody."""
    with pytest.raises(UnusableKey):
        parse_pem(UNUSABLE_PEMS[name])


UNUSABLE_ENTRIES: dict[str, Any] = {
    "for encryption": jwk(RSA, use="enc"),
    "for signing only": jwk(RSA, key_ops=["sign"]),
    "odd operations": jwk(RSA, key_ops="verify"),
    "a secret": {"kty": "oct", "k": "AAAA"},
    "an unknown kind": {"kty": "AKP"},
    "a list as kind": {"kty": ["RSA"]},
    "no members": {"kty": "RSA"},
    "odd members": {"kty": "RSA", "n": 7, "e": "AQAB"},
    "members that are no numbers": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    "not on the curve": {**jwk(EC), "y": jwk(EC)["x"]},
    "an unknown curve": {**jwk(EC), "crv": "P-1"},
    "a weak key": jwk(WEAK),
    "an algorithm of another kind": jwk(RSA, algorithm="ES256"),
    "no algorithm": jwk(RSA, algorithm="none"),
    "odd algorithm": jwk(RSA, alg=["RS256"]),
    "odd kid": jwk(RSA, kid=7),  # type: ignore[arg-type]
    "no object": "key",
}


@pytest.mark.parametrize("name", UNUSABLE_ENTRIES)
def test_an_unusable_entry_is_passed_over(name: str) -> None:
    """RFC 7517, 5: a key set may hold keys for other purposes."""
    entry = UNUSABLE_ENTRIES[name]
    assert only(parse_jwks(jwks(entry, jwk(EC, "good")))).id == "good"
    with pytest.raises(UnusableKey):
        parse_jwks(jwks(entry))


def test_a_private_key_in_a_set_is_read_as_its_public_half() -> None:
    """Somebody will publish one; the hub keeps what it needs."""
    private = {**jwk(EC), "d": "AAAA"}
    assert parse_jwks(jwks(private)) == parse_jwks(jwks(jwk(EC)))


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"7", b"{}", b'{"keys": {}}', b'{"keys": null}', b"<html>", b"[" * 100_000],
)
def test_no_key_set(text: bytes) -> None:
    with pytest.raises(UnusableKey):
        parse_jwks(text)


def test_a_set_of_too_many_keys() -> None:
    with pytest.raises(UnusableKey):
        parse_jwks(json.dumps({"keys": [jwk(EC)] * (MAX_KEYS + 1)}).encode())


def test_a_key_does_not_show_itself() -> None:
    """House rule: whatever logs a key must not log a secret."""
    assert SECRET not in repr(secret_key(SECRET))
