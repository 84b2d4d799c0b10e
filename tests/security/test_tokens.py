"""Bearer tokens become grants: which issuer, which key, which algorithm, how long."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from fhircast_hub.clock import SystemClock
from fhircast_hub.protocol.errors import Forbidden, Unauthorized, Unavailable
from fhircast_hub.security import jws
from fhircast_hub.security.claims import ClaimRules
from fhircast_hub.security.issuers import Issuer, Issuers
from fhircast_hub.security.key_sources import FixedKeys
from fhircast_hub.security.keys import parse_jwks, parse_pem, secret_key
from fhircast_hub.security.tokens import JwtVerifier, NoAuthentication, TokenLimits, digest
from hypothesis import given
from hypothesis import strategies as st
from issuing import EC, PRIVATE_KEYS, RSA, claims_of, jwk, jwks, public_pem, signed

if TYPE_CHECKING:
    from fhircast_hub.security.keys import Key

SECRET = "a key for tests only, 32 characters and more"


class Later(SystemClock):
    """A clock that can be moved on."""

    ahead = timedelta()

    def utc(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Changing(FixedKeys):
    """Keys that a test may change."""

    async def keys(self) -> tuple[Key, ...]:
        if not self._keys:
            raise Unavailable("no keys", rule="SUB-10")
        return self._keys

    def set(self, *keys: Key) -> None:
        self._keys = keys


def verifier_with(*keys: Key, clock: SystemClock | None = None, **rules: Any) -> JwtVerifier:
    """A verifier of one issuer with these keys, by default the shared secret."""
    source = FixedKeys(*(keys or (secret_key(SECRET),)))
    return JwtVerifier(Issuers([Issuer(ClaimRules(**rules), source)]), clock=clock or Later())


def bearer(key: Any = SECRET, algorithm: str = "HS256", **more: Any) -> str:
    return "Bearer " + signed(key, algorithm, **more)


def by_hand(header: bytes, claims: bytes | None = None, key: bytes = SECRET.encode()) -> str:
    """A token as no library makes it, signed with HMAC."""
    parts = header, claims if claims is not None else json.dumps(claims_of()).encode()
    text = b".".join(base64.urlsafe_b64encode(it).rstrip(b"=") for it in parts)
    signature = hmac.new(key, text, hashlib.sha256).digest()
    return f"{text.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


# The header


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic dXNlcjpwdw==", "x", bearer()[7:], "Bearer x.y.z", "Bearer é"],
)
async def test_a_header_without_a_good_token(header: str) -> None:
    """SUB-10."""
    with pytest.raises(Unauthorized):
        await verifier_with().verify(header)


async def test_the_scheme_has_no_case() -> None:
    """RFC 9110, 11.1."""
    assert await verifier_with().verify(bearer().replace("Bearer", "bEARER"))


async def test_a_token_that_is_too_long_is_not_read() -> None:
    """SUB-10: the header block of a server is larger than what is worth verifying."""
    verifier = JwtVerifier(Issuers([]), clock=Later(), limits=TokenLimits(max_bytes=100))
    with pytest.raises(Unauthorized, match="longer than 100 bytes"):
        await verifier.verify("Bearer " + "x" * 101)


async def test_the_refusal_does_not_repeat_the_token() -> None:
    """House rule: never a token in a message."""
    token = bearer(exp=1)
    with pytest.raises(Unauthorized) as refused:
        await verifier_with().verify(token)
    assert token[7:] not in str(refused.value)


# Forgeries


async def test_the_public_key_is_no_shared_secret() -> None:
    """SUB-10, the old trick: a token signed with HS256 and the text of the public key."""
    forged = by_hand(b'{"alg":"HS256"}', key=public_pem(EC))
    assert jwt.get_unverified_header(forged)["alg"] == "HS256"
    with pytest.raises(Unauthorized):
        await verifier_with(*parse_pem(public_pem(EC))).verify(f"Bearer {forged}")


HEADERS = {
    "unsigned": b'{"alg":"none"}',
    "no algorithm": b"{}",
    "odd algorithm": b'{"alg":["HS256"]}',
    "another algorithm": b'{"alg":"HS512"}',
    "must be understood": b'{"alg":"HS256","crit":["exp"]}',
    "nothing must be understood": b'{"alg":"HS256","crit":[]}',
    "not encoded": b'{"alg":"HS256","b64":false}',
    "odd kid": b'{"alg":"HS256","kid":7}',
    "no object": b'["HS256"]',
    "no JSON": b"HS256",
    "no end": b'{"alg":"HS256"',
    "deep": b"[" * 5000,
    "no text": b"\xff",
    "empty": b"",
}


@pytest.mark.parametrize("name", HEADERS)
async def test_a_header_that_must_not_be_believed(name: str) -> None:
    """SUB-10: refused, and never a fault of ours."""
    with pytest.raises(Unauthorized):
        await verifier_with().verify(f"Bearer {by_hand(HEADERS[name])}")


async def test_keys_that_a_token_brings_are_not_looked_at(tmp_path: Any) -> None:
    """SUB-10: nor is its key id a path, an address or a query."""
    header: dict[str, Any] = {
        "jwk": jwk(EC),
        "jku": "http://127.0.0.1:9/jwks",
        "x5u": "http://127.0.0.1:9/x5u",
        "x5c": ["AAAA"],
    }
    for kid in ("", "mine", "../../../dev/null", "' OR 1=1", "http://127.0.0.1:9/"):
        with pytest.raises(Unauthorized):
            await verifier_with(*parse_pem(public_pem(RSA))).verify(
                bearer(EC, "ES256", kid=kid, header=header)
            )
    ours = parse_jwks(jwks(jwk(EC, "ours")))
    assert await verifier_with(*ours).verify(bearer(EC, "ES256", kid="ours", header=header))


@given(st.text() | st.builds(by_hand, st.binary(), st.binary()))
def test_no_text_is_a_fault_of_ours(text: str) -> None:
    """SUB-10: 401, never 500."""
    with pytest.raises(Unauthorized):
        jws.read_token(text)


def test_one_token_is_one_text() -> None:
    """SUB-10: what is counted by token must not be had twice by another spelling of its end."""
    token = signed(RSA, "RS256")
    assert jws.read_token(token)
    last = token[-1]
    twin = token[:-1] + chr(ord(last) + 1)
    for spelling in (twin, token + "=", token + "\n", token[:-1], token + "AA.", token + " "):
        with pytest.raises(Unauthorized):
            jws.read_token(spelling)


@pytest.mark.parametrize("part", range(3))
async def test_no_part_of_a_token_can_be_changed(part: int) -> None:
    """SUB-10."""
    parts = signed(SECRET, "HS256").split(".")
    other = signed(SECRET, "HS256", sub="admin").split(".")
    parts[part] = other[part] if part else by_hand(b'{"alg":"HS256","kid":"x"}').split(".")[0]
    with pytest.raises(Unauthorized):
        await verifier_with().verify("Bearer " + ".".join(parts))


# Keys


async def test_the_key_id_chooses_among_keys() -> None:
    """SUB-10: a key that is named and does not verify is not replaced by one that would."""
    keys = parse_jwks(jwks(jwk(EC, "a"), jwk(RSA, "b")))
    assert await verifier_with(*keys).verify(bearer(RSA, "RS256", kid="b"))
    assert await verifier_with(*keys).verify(bearer(RSA, "RS256"))
    with pytest.raises(Unauthorized, match="no key"):
        await verifier_with(*keys).verify(bearer(RSA, "RS256", kid="a"))


async def test_only_some_keys_are_tried_for_a_token_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SUB-10: a set of a hundred keys must not make a bad token a hundred times as dear."""
    tried: list[Key] = []
    monkeypatch.setattr(
        "fhircast_hub.security.issuers.is_signed_with", lambda _, key: tried.append(key)
    )
    keys = parse_jwks(jwks(*(jwk(EC, f"k{it}") for it in range(100))))
    with pytest.raises(Unauthorized):
        await verifier_with(*keys).verify(bearer(EC, "ES256"))
    assert len(tried) == 8


async def test_a_key_without_id_verifies_tokens_with_one() -> None:
    """A PEM file has none, and the issuer's tokens do."""
    assert await verifier_with(*parse_pem(public_pem(EC))).verify(bearer(EC, "ES256", kid="k"))


# Issuers


def of_issuer(name: str, key: Key, **rules: Any) -> Issuer:
    return Issuer(ClaimRules(issuer=name, **rules), FixedKeys(key))


async def test_the_keys_of_one_issuer_verify_for_no_other() -> None:
    """SUB-10: even with the same key id."""
    (a,), (b,) = parse_jwks(jwks(jwk(EC, "k"))), parse_jwks(jwks(jwk(RSA, "k")))
    verifier = JwtVerifier(Issuers([of_issuer("a", a), of_issuer("b", b)]), clock=Later())
    assert await verifier.verify(bearer(EC, "ES256", kid="k", iss="a"))
    assert await verifier.verify(bearer(RSA, "RS256", kid="k", iss="b"))
    for private, algorithm, iss in ((EC, "ES256", "b"), (RSA, "RS256", "a")):
        with pytest.raises(Unauthorized, match="no key"):
            await verifier.verify(bearer(private, algorithm, kid="k", iss=iss))


@pytest.mark.parametrize("iss", [None, "", "c", "A", ["a"], {"a": 1}, 7])
async def test_a_token_of_an_unknown_issuer(iss: Any) -> None:
    """SUB-10."""
    token = by_hand(b'{"alg":"HS256"}', json.dumps(claims_of(iss=iss)).encode())
    verifier = JwtVerifier(Issuers([of_issuer("a", secret_key(SECRET))]), clock=Later())
    with pytest.raises(Unauthorized, match=r"iss"):
        await verifier.verify(f"Bearer {token}")


async def test_an_issuer_without_a_name_is_not_for_tokens_of_another() -> None:
    """SUB-10: a key for "any issuer" cannot speak for one that has keys of its own."""
    anyone = Issuer(ClaimRules(), FixedKeys(secret_key(SECRET)))
    named = of_issuer("a", parse_pem(public_pem(EC))[0])
    verifier = JwtVerifier(Issuers([anyone, named]), clock=Later())
    assert await verifier.verify(bearer(iss="other"))
    assert await verifier.verify(bearer())
    with pytest.raises(Unauthorized):
        await verifier.verify(bearer(iss="a"))


async def test_each_issuer_has_its_own_audience() -> None:
    """SUB-10."""
    key = secret_key(SECRET)
    a, b = (of_issuer(it, key, audiences=frozenset({f"hub-{it}"})) for it in "ab")
    verifier = JwtVerifier(Issuers([a, b]), clock=Later())
    assert await verifier.verify(bearer(iss="a", aud="hub-a"))
    with pytest.raises(Unauthorized, match="aud"):
        await verifier.verify(bearer(iss="b", aud="hub-a"))


async def test_the_same_user_of_two_issuers_is_two_owners() -> None:
    """UNS-05, D-48: neither may end what the other subscribed."""
    verifier = verifier_with()
    owners = {(await verifier.verify(bearer(iss=it))).subject for it in ("a", "b")}
    assert len(owners) == 2


# What was verified is remembered


async def test_a_token_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """SUB-10: not for every event."""
    verifier, token = verifier_with(), bearer()
    grant = await verifier.verify(token)
    monkeypatch.setattr("fhircast_hub.security.issuers.is_signed_with", _must_not_be_asked)
    assert await verifier.verify(token) is grant
    assert grant.token_id == digest(token[7:])


def _must_not_be_asked(*_: object) -> bool:
    raise AssertionError("verified again")


async def test_a_remembered_token_still_ends() -> None:
    """SMART-08, SUB-10: at its second."""
    clock = Later()
    verifier, token = verifier_with(clock=clock), bearer()
    await verifier.verify(token)
    clock.ahead = timedelta(seconds=61)
    with pytest.raises(Unauthorized, match="expired"):
        await verifier.verify(token)


async def test_a_withdrawn_key_ends_what_it_had_verified() -> None:
    """SMART-08, CONF-06: remembered tokens too; one that cannot be judged is left alone."""
    old, new = parse_jwks(jwks(jwk(EC, "old"), jwk(RSA, "new")))
    source = Changing(old, new)
    verifier = JwtVerifier(Issuers([Issuer(ClaimRules(), source)]), clock=Later())
    tokens = bearer(EC, "ES256", kid="old"), bearer(RSA, "RS256", kid="new")
    ids = [(await verifier.verify(it)).token_id for it in tokens]
    ids.append("unknown")
    assert [await verifier.is_withdrawn(it) for it in ids] == [False, False, False]
    source.set(new)
    assert [await verifier.is_withdrawn(it) for it in ids] == [True, False, False]
    with pytest.raises(Unauthorized):
        await verifier.verify(tokens[0])
    source.set()
    assert [await verifier.is_withdrawn(it) for it in ids] == [False, False, False]
    with pytest.raises(Unavailable):
        await verifier.verify(tokens[1])


async def test_no_more_tokens_are_remembered_than_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """House rule: everything is bounded; what was used last stays."""
    issuers = Issuers([Issuer(ClaimRules(), FixedKeys(secret_key(SECRET)))])
    verifier = JwtVerifier(issuers, clock=Later(), limits=TokenLimits(max_cached=2))
    first, second, third = (bearer(sub=it) for it in "abc")
    for token in (first, second, first, third):
        await verifier.verify(token)
    monkeypatch.setattr("fhircast_hub.security.issuers.is_signed_with", _must_not_be_asked)
    await verifier.verify(first)
    await verifier.verify(third)
    with pytest.raises(AssertionError):
        await verifier.verify(second)


# The grant


async def test_a_grant_tells_what_the_claims_say() -> None:
    """SMART-08, D-36, D-48: topic, owner, and the name for a subscriber without one."""
    grant = await verifier_with().verify(bearer(client_id="viewer", **{"hub.topic": "t"}))
    assert (grant.subject, grant.client_name, grant.topic) == ("user|viewer", "viewer", "t")
    grant.require("read", "t")
    with pytest.raises(Forbidden):
        grant.require("read", "other")


async def test_without_authentication_everybody_may_do_everything() -> None:
    """Whatever the header says; only for one machine."""
    grant = await NoAuthentication().verify("Bearer nonsense")
    assert grant.scopes.allow("patient-open", "write")
    assert (grant.topic, grant.expires_at, grant.token_id) == ("", None, "")
    assert not await NoAuthentication().is_withdrawn("")


@pytest.mark.parametrize("algorithm", PRIVATE_KEYS)
async def test_every_algorithm_of_a_public_key(algorithm: str) -> None:
    """SUB-10."""
    private = PRIVATE_KEYS[algorithm]
    grant = await verifier_with(*parse_jwks(jwks(jwk(private)))).verify(bearer(private, algorithm))
    expires_at = grant.expires_at
    assert expires_at is not None
    assert abs(expires_at.timestamp() - time.time() - 60) < 30
