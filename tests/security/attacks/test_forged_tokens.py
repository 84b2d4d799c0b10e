"""Tokens that nobody issued, or not for this: each is refused with 401 at every door."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from attacked import AUDIENCE, ISSUER, attacked_session, genuine
from builders import TOPIC
from cryptography.hazmat.primitives import serialization
from issuing import EC, PRIVATE_KEYS, RSA, claims_of, jwk, jwks, key_server, public_pem, signed
from raw_http import exchange, status_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from attacked import Attacked
    from hub_server import StartHub

OF_ATTACKER = PRIVATE_KEYS["ES384"]
CLAIMS: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "owner", "client_id": "viewer"}


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def unsigned(header: Any, **claims: Any) -> str:
    """Header and payload of a token, as no library writes them."""
    payload = claims_of(**{**CLAIMS, **claims})
    return f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(payload).encode())}"


def with_mac(key: bytes, **header: Any) -> str:
    """A token with an HMAC, whatever its header says."""
    text = unsigned({"alg": "HS256", **header})
    return f"{text}.{encoded(hmac.new(key, text.encode(), hashlib.sha256).digest())}"


def of_no_key(algorithm: Any, signature: str) -> str:
    """A token that says that nobody signed it."""
    return f"{unsigned({'alg': algorithm, 'kid': 'ours'})}.{signature}"


def spliced(part: int, donor: str) -> str:
    """A genuine token with one part of another one."""
    parts = genuine().split(".")
    parts[part] = donor.split(".")[part]
    return ".".join(parts)


def der() -> bytes:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return RSA.public_key().public_bytes(serialization.Encoding.DER, kind)


NONE_SPELLINGS = ["none", "None", "NONE", "nOnE", "none ", " none", "none\0", "", None, "null", 0]
PUBLIC_AS_SECRET = {
    "PEM": public_pem(RSA),
    "PEM without its last line end": public_pem(RSA).rstrip(),
    "DER": der(),
    "key set": jwks(jwk(RSA, "ours", "RS256"), jwk(EC, "curve", "ES256")),
    "its JWK": json.dumps(jwk(RSA, "ours", "RS256")).encode(),
    "its modulus": jwk(RSA)["n"].encode(),
    "nothing": b"",
}
KEY_IDS: dict[str, Any] = {
    "traversal": "../../../../../../dev/null",
    "file": "/dev/null",
    "file URL": "file:///dev/null",
    "SQL": "x' UNION SELECT '' -- ",
    "shell": "ours; cat /dev/null |",
    "NUL": "ours\0",
    "line end": "ours\r\n",
    "spaces": " ours",
    "case": "OURS",
    "look-alike": "our\u0455",
    "huge": "x" * 5000,
    "empty": "",
    "list": ["ours"],
    "object": {"ours": "ours"},
    "number": 0,
    "no": False,
}
FORGERIES: dict[str, dict[str, Callable[[], str]]] = {
    "not signed": {
        f"alg {name!r}, {end or 'nothing'}": partial(of_no_key, name, end)
        for name in NONE_SPELLINGS
        for end in ("", "AAAA")
    },
    "public key as secret": {
        name: partial(with_mac, key, kid="ours") for name, key in PUBLIC_AS_SECRET.items()
    },
    "key id": {name: partial(with_mac, b"", kid=kid) for name, kid in KEY_IDS.items()},
    "another key": {
        "own key under our kid": lambda: signed(OF_ATTACKER, "ES384", kid="ours", **CLAIMS),
        "one of our keys under another kid": lambda: signed(EC, "ES256", kid="ours", **CLAIMS),
        "another algorithm of our key": lambda: signed(RSA, "RS512", kid="ours", **CLAIMS),
        "zeroes for a curve": lambda: (
            f"{unsigned({'alg': 'ES256', 'kid': 'curve'})}.{encoded(bytes(64))}"
        ),
        "crit": lambda: signed(RSA, "RS256", kid="ours", header={"crit": ["exp"]}, **CLAIMS),
    },
    "tampered": {
        "payload of another": lambda: spliced(1, genuine(sub="admin")),
        "header of another": lambda: spliced(0, signed(EC, "ES256", kid="curve", **CLAIMS)),
        "signature of another": lambda: spliced(2, genuine(sub="admin")),
        "no signature": lambda: genuine().rpartition(".")[0],
        "empty signature": lambda: genuine().rpartition(".")[0] + ".",
        "half a signature": lambda: genuine()[:-100],
        "two signatures": lambda: genuine() + "." + genuine().rpartition(".")[2],
        "padding": lambda: genuine() + "==",
        "encrypted, it says": lambda: f"{unsigned({'alg': 'dir', 'enc': 'A256GCM'})}.A.A.A",
        "JSON form": lambda: json.dumps(
            dict(zip(("protected", "payload", "signature"), genuine().split("."), strict=True))
        ),
        "deep": lambda: f"{encoded(b'[' * 4000)}.{encoded(b'{}')}.AAAA",
    },
    "claims": {
        "expired": lambda: genuine(exp=int(time.time()) - 1),
        "not yet": lambda: genuine(nbf=int(time.time()) + 3600),
        "from the future": lambda: genuine(iat=int(time.time()) + 3600),
        "no end": lambda: genuine(exp=None),
        "an end in words": lambda: genuine(exp="9999999999"),
        "an endless end": lambda: genuine(exp=float("inf")),
        "another issuer": lambda: genuine(iss="https://evil.example"),
        "issuer with a slash": lambda: genuine(iss=ISSUER + "/"),
        "issuer in capitals": lambda: genuine(iss=ISSUER.upper()),
        "no issuer": lambda: genuine(iss=None),
        "another audience": lambda: genuine(aud="another"),
        "audience within a text": lambda: genuine(aud="another hub"),
        "audience as a key": lambda: genuine(aud={"hub": True}),
        "no audience": lambda: genuine(aud=None),
    },
}


@pytest.mark.parametrize("kind", FORGERIES)
async def test_a_forged_token_opens_no_door(attacked: Attacked, kind: str) -> None:
    """SUB-10, SMART-07, SMART-08: 401 with words, nothing done, the token not repeated."""
    for name, forge in FORGERIES[kind].items():
        token = forge()
        for answer in await attacked.at_every_door(await attacked.hub.client(token)):
            assert answer.status_code == 401, (name, answer.text)
            attacked.is_refused(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert token not in answer.text, name
    await attacked.is_unharmed()


@pytest.mark.parametrize(("size", "status"), [(2000, 401), (9000, 431), (100_000, 431)])
async def test_a_huge_token_is_not_read(
    start_hub: StartHub, tmp_path: Path, size: int, status: int
) -> None:
    """SUB-10, D-43: genuine as it is; beyond a header line's bound the block is refused."""
    attacked = await attacked_session(start_hub, tmp_path, max_token_bytes="1000")
    wire = await attacked.hub.client(genuine(x="x" * size))
    attacked.is_refused(await wire.get(TOPIC), status)
    await attacked.is_unharmed()


@pytest.mark.parametrize("kid", ["own", "ours", "url", None])
async def test_keys_that_a_token_brings_along_are_not_fetched(
    attacked: Attacked, kid: str | None
) -> None:
    """SUB-10: 401, and the attacker's server is never asked."""
    async with key_server(jwks(jwk(OF_ATTACKER, "own", "ES384"))) as evil:
        named = {"kid": evil.url if kid == "url" else kid} if kid else {}
        brought = {
            "jku": evil.url,
            "x5u": evil.url,
            "jwk": jwk(OF_ATTACKER, kid or ""),
            "x5c": [base64.b64encode(der()).decode()],
            "x5t": "AAAA",
            **named,
        }
        for issuer in (ISSUER, evil.url):
            token = signed(OF_ATTACKER, "ES384", header=brought, **{**CLAIMS, "iss": issuer})
            for answer in await attacked.at_every_door(await attacked.hub.client(token)):
                attacked.is_refused(answer, 401)
        assert evil.asked == 0
    await attacked.is_unharmed()


async def test_addresses_in_a_genuine_token_are_not_asked_either(attacked: Attacked) -> None:
    """SUB-10: it is good by its signature, and what else it says moves nobody."""
    async with key_server(b"{}") as evil:
        header = {"jku": evil.url, "x5u": evil.url, "jwk": jwk(OF_ATTACKER)}
        wire = await attacked.hub.client(signed(RSA, "RS256", kid="ours", header=header, **CLAIMS))
        assert await wire.context(TOPIC) == attacked.before
        assert evil.asked == 0


# A good token in a wrong place


def get(*headers: str, query: str = "") -> bytes:
    lines = [f"GET /api/hub/{TOPIC}{query} HTTP/1.1", "Host: hub", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


MISPLACED: dict[str, Callable[[str], bytes]] = {
    "query": lambda token: get(query=f"?access_token={token}&token={token}&authorization={token}"),
    "fragment": lambda token: get(query=f"%23access_token={token}"),
    "cookie": lambda token: get(f"Cookie: access_token={token}; Authorization=Bearer {token}"),
    "another header": lambda token: get(f"X-Authorization: Bearer {token}", f"Token: {token}"),
    "proxy header": lambda token: get(f"Proxy-Authorization: Bearer {token}"),
    "name with an underscore": lambda token: get(f"Authorization_: Bearer {token}"),
    "Basic": lambda token: get(
        "Authorization: Basic " + base64.b64encode(f"bearer:{token}".encode()).decode()
    ),
    "no scheme": lambda token: get(f"Authorization: {token}"),
    "another scheme": lambda token: get(f"Authorization: DPoP {token}"),
    "in a list": lambda token: get(f"Authorization: Bearer x.y.z, Bearer {token}"),
    "before another": lambda token: get(f"Authorization: Bearer {token}, x"),
    "a tab for the space": lambda token: get(f"Authorization: Bearer\t{token}"),
}


async def test_a_token_counts_in_its_header_only(attacked: Attacked) -> None:
    """SUB-10: 401 for a genuine token elsewhere; places that are logged are no place for it."""
    token = genuine()
    for name, request in MISPLACED.items():
        answer = await exchange(attacked.hub, request(token))
        assert status_of(answer) == 401, name
        attacked.tells_nothing(answer.decode())
        assert token not in answer.decode(), name


async def test_a_token_in_a_form_or_a_body_counts_for_nothing(attacked: Attacked) -> None:
    """SUB-10."""
    token, wire = genuine(), attacked.hub.wire
    named = {"access_token": token, "Authorization": f"Bearer {token}"}
    attacked.is_refused(await wire.subscribe(TOPIC, **named), 401)
    form = {"hub.mode": "unsubscribe", "hub.topic": TOPIC, "hub.channel.type": "websocket", **named}
    attacked.is_refused(await wire.form({**form, "subscriber.name": "Victim"}), 401)
    attacked.is_refused(await wire.post({"id": "x", **named}), 401)
    await attacked.is_unharmed()


@pytest.mark.parametrize("order", [1, -1])
async def test_two_tokens_are_none(attacked: Attacked, order: int) -> None:
    """SUB-10, RFC 9110, 5.3: a proxy may have judged the other one."""
    two = [f"Authorization: Bearer {it}" for it in (genuine(), genuine(sub="other"))][::order]
    answer = await exchange(attacked.hub, get(*two))
    assert status_of(answer) == 400
    assert b"Authorization: there may be only one" in answer
    attacked.tells_nothing(answer.decode())
