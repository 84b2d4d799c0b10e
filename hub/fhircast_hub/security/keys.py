"""Keys that verify tokens: from a shared secret, a PEM file or a JSON Web Key Set (RFC 7517).

The kind of a key decides which algorithms it verifies; a token never does.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import load_pem_x509_certificate
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

PUBLIC_KEY_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
MAX_KEYS = 100
"""Keys of one set."""

_RSA_BITS = range(2048, 8193)
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_READERS: dict[object, tuple[tuple[str, ...], Callable[[dict[str, Any]], Any]]] = {
    "RSA": (("n", "e"), RSAAlgorithm.from_jwk),
    "EC": (("crv", "x", "y"), ECAlgorithm.from_jwk),
    "OKP": (("crv", "x"), OKPAlgorithm.from_jwk),
}
"""Members of a public key by kty: private members, if somebody publishes them, are not read."""


class UnusableKey(ValueError):
    """A text holds no key that may verify a token."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        id: Its `kid`, "" if it has none. Only ever compared.
        algorithms: What it may verify.
        thumbprint: Digest of the key; two keys with the same one are the same.
        material: The key itself.
    """

    id: str
    algorithms: frozenset[str]
    thumbprint: str
    material: Any = field(repr=False, compare=False)


def secret_key(secret: str) -> Key:
    """Return the key that a shared secret is: for HS256 and nothing else."""
    material = secret.encode()
    return Key("", frozenset({"HS256"}), hashlib.sha256(material).hexdigest(), material)


def parse_pem(text: bytes, allowed: Collection[str] = PUBLIC_KEY_ALGORITHMS) -> tuple[Key, ...]:
    """Return the key of a PEM file: a public key, or a certificate that holds one.

    Raises:
        UnusableKey: It is neither, or too weak.
    """
    if b"PRIVATE KEY" in text:
        raise UnusableKey("a private key; the hub needs the public one")
    try:
        if b"BEGIN CERTIFICATE" in text:
            material: Any = load_pem_x509_certificate(text).public_key()
        else:
            material = serialization.load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableKey("not a PEM public key or certificate") from None
    return (_public_key(material, "", allowed),)


def parse_jwks(text: bytes, allowed: Collection[str] = PUBLIC_KEY_ALGORITHMS) -> tuple[Key, ...]:
    """Return the usable keys of a JSON Web Key Set; what is for other purposes is passed over.

    Raises:
        UnusableKey: Not a key set, or keys of which none is usable. A set without any is fine: its
            issuer has withdrawn them all.
    """
    try:
        entries = msgspec.json.decode(text)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UnusableKey("not a JSON Web Key Set") from None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise UnusableKey(f"not a JSON Web Key Set of at most {MAX_KEYS} keys")
    keys = []
    for entry in entries:
        try:
            keys.append(_parse_jwk(entry, allowed))
        except UnusableKey:
            continue
    if entries and not keys:
        raise UnusableKey("no key in the set is a public key for signatures with an allowed alg")
    return tuple(keys)


def _parse_jwk(entry: Any, allowed: Collection[str]) -> Key:
    if not isinstance(entry, dict) or entry.get("kty") not in ("RSA", "EC", "OKP"):
        raise UnusableKey("not a public key")
    operations = entry.get("key_ops", ["verify"])
    if (
        entry.get("use", "sig") != "sig"
        or not isinstance(operations, list)
        or "verify" not in operations
    ):
        raise UnusableKey("not for signatures")
    names, read = _READERS[entry["kty"]]
    members = {name: entry.get(name) for name in names}
    if not all(isinstance(it, str) for it in members.values()):
        raise UnusableKey("members missing")
    try:
        material = read({"kty": entry["kty"], **members})
    except (PyJWTError, ValueError, UnsupportedAlgorithm):
        raise UnusableKey("not a key") from None
    own = entry.get("alg")
    key_id = entry.get("kid", "")
    if not isinstance(key_id, str):
        raise UnusableKey("kid is no text")
    return _public_key(material, key_id, [it for it in allowed if own in (None, it)])


def _public_key(material: Any, key_id: str, allowed: Collection[str]) -> Key:
    algorithms = _algorithms_of(material) & {*allowed}
    if not algorithms:
        raise UnusableKey("no allowed algorithm fits the key")
    der = material.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Key(key_id, frozenset(algorithms), hashlib.sha256(der).hexdigest(), material)


def _algorithms_of(material: Any) -> set[str]:
    if isinstance(material, rsa.RSAPublicKey) and material.key_size in _RSA_BITS:
        return {it for it in PUBLIC_KEY_ALGORITHMS if it.startswith(("RS", "PS"))}
    if isinstance(material, ec.EllipticCurvePublicKey) and material.curve.name in _CURVES:
        return {_CURVES[material.curve.name]}
    return {"EdDSA"} if isinstance(material, ed25519.Ed25519PublicKey) else set()
