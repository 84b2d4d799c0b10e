"""Keys that sign tokens, for development: made, read, used."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

ALGORITHMS = ("ES256", "RS256", "EdDSA")
_PRIVATE, _PUBLIC = 0o600, 0o644


def mint_token(
    key: str,
    *,
    scope: str,
    subject: str,
    client_id: str,
    seconds: int,
    topic: str = "",
    issuer: str = "",
    audience: str = "",
    kid: str = "",
) -> str:
    """Return a signed token; its life is in seconds.

    Args:
        key: A shared secret (HS256), or the path of a PEM private key.
        scope: Its scopes.
        subject: Who holds it.
        client_id: The application.
        seconds: Its life.
        topic: The only topic that it opens, "" for any.
        issuer: Its `iss`, "" for none.
        audience: Its `aud`, "" for none.
        kid: Id of the key, "" for none.
    """
    import jwt

    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "client_id": client_id,
        "scope": scope,
        "hub.topic": topic,
        "iat": now,
        "exp": now + seconds,
    }
    said = {name: it for name, it in claims.items() if it}
    material, algorithm = _signing_key(key)
    return jwt.encode(said, material, algorithm, headers={"kid": kid} if kid else None)


def _signing_key(key: str) -> tuple[Any, str]:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not key.endswith(".pem"):
        return key, "HS256"
    try:
        material = load_pem_private_key(Path(key).read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        raise click.UsageError(f"{key}: not a PEM private key without password") from None
    match material:
        case rsa.RSAPrivateKey():
            return material, "RS256"
        case ed25519.Ed25519PrivateKey():
            return material, "EdDSA"
        case ec.EllipticCurvePrivateKey() if material.curve.name == "secp256r1":
            return material, "ES256"
        case ec.EllipticCurvePrivateKey() if material.curve.name == "secp384r1":
            return material, "ES384"
    raise click.UsageError(f"{key}: neither RSA, P-256, P-384 nor Ed25519")


def write_key_pair(algorithm: str, kid: str, private: Path, key_set: Path) -> None:
    """Make a key: its private half as PEM for its owner only, its public half as a key set.

    Raises:
        OSError: A file is there already, or cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from jwt.algorithms import get_default_algorithms

    material = _makers()[algorithm]()
    pem = material.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = get_default_algorithms()[algorithm].to_jwk(material.public_key(), as_dict=True)
    entry = {**public, "kid": kid, "alg": algorithm, "use": "sig", "key_ops": ["verify"]}
    text = json.dumps({"keys": [entry]}, indent=2) + "\n"
    _write_new(private, pem, _PRIVATE)
    _write_new(key_set, text.encode(), _PUBLIC)


def _makers() -> dict[str, Callable[[], Any]]:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    return {
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=3072),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }


def _write_new(path: Path, text: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(text)
