"""What tokens are signed with."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key to sign and to check with.

    Attributes:
        algorithm: HS256 or ES256; never taken from a token.
        key_id: `kid`, "" for a shared key.
        public: The key as a JSON Web Key, None for a shared key: that is not for publishing.
    """

    algorithm: str
    signs: Any = field(repr=False)
    checks: Any = field(repr=False)
    key_id: str = ""
    public: dict[str, Any] | None = None

    def sign(self, claims: dict[str, Any]) -> str:
        """Return the claims as a JSON Web Token."""
        headers = {"kid": self.key_id} if self.key_id else None
        return jwt.encode(claims, self.signs, algorithm=self.algorithm, headers=headers)


def shared_key(secret: str) -> SigningKey:
    """Return the key that a hub knows too (HS256)."""
    return SigningKey("HS256", secret, secret)


def new_key() -> SigningKey:
    """Return a new key of our own (ES256); its public half can be published."""
    private = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(ECAlgorithm.to_jwk(private.public_key()))
    key_id = sha256(json.dumps(public, sort_keys=True).encode()).hexdigest()[:16]
    described = {**public, "kid": key_id, "use": "sig", "alg": "ES256"}
    return SigningKey("ES256", private, private.public_key(), key_id, described)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of the server.

    Attributes:
        access: Signs access tokens; a shared key if the hub has no other way to check them.
        identity: Signs id tokens; always one that applications can check.
    """

    access: SigningKey
    identity: SigningKey

    def jwks(self) -> dict[str, Any]:
        """Return the published keys."""
        public = {it.key_id: it.public for it in (self.access, self.identity) if it.public}
        return {"keys": list(public.values())}


def keys(access: SigningKey | None = None) -> Keys:
    """Return keys that sign access tokens with the given one, or all with a new one."""
    if access is None:
        access = new_key()
    return Keys(access, access if access.public else new_key())
