"""Signed tokens as texts: read without trust, then verified with a key (RFC 7515)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError
from jwt.utils import base64url_decode, base64url_encode

from fhircast_hub.protocol.errors import Unauthorized

if TYPE_CHECKING:
    from fhircast_hub.security.keys import Key

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_JWS = PyJWS()


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says of itself: good for choosing a key, and for nothing else.

    Attributes:
        text: The token.
        algorithm: Its `alg`.
        key_id: Its `kid`, None if it names none.
        claims: Its payload.
    """

    text: str
    algorithm: str
    key_id: str | None
    claims: dict[str, Any]


def read_token(text: str) -> Unverified:
    """Return what a token says of itself.

    Keys and their addresses in the header (`jku`, `jwk`, `x5u`, `x5c`) are not looked at.

    Raises:
        Unauthorized: Not a signed JSON Web Token, or it demands extensions (`crit`).
    """
    parts = _COMPACT.fullmatch(text)
    if parts is None:
        raise _not_a_token()
    header, claims = _read_part(parts[1]), _read_part(parts[2])
    # One token is one text: what is counted or remembered by its digest must not have two.
    if base64url_encode(_decode(parts[3])).decode() != parts[3]:
        raise _not_a_token()
    algorithm, key_id = header.get("alg"), header.get("kid")
    if "crit" in header or not isinstance(algorithm, str):
        raise _not_a_token()
    if key_id is not None and not isinstance(key_id, str):
        raise _not_a_token()
    return Unverified(text, algorithm, key_id, claims)


def is_signed_with(token: Unverified, key: Key) -> bool:
    """Tell whether a key may verify the token's algorithm, and does."""
    if token.algorithm not in key.algorithms:
        return False
    try:
        _JWS.decode(token.text, key.material, algorithms=[token.algorithm])
    except (PyJWTError, ValueError, RecursionError):
        return False
    return True


def _read_part(part: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(_decode(part))
    except (ValueError, RecursionError):
        raise _not_a_token() from None
    if not isinstance(value, dict):
        raise _not_a_token()
    return value


def _decode(part: str) -> bytes:
    try:
        return base64url_decode(part)
    except ValueError:
        raise _not_a_token() from None


def _not_a_token() -> Unauthorized:
    return Unauthorized("Authorization: the token is no signed JSON Web Token", rule="SUB-10")
