"""The parsers of the hub."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cache, partial
from itertools import count
from typing import Any
from urllib.parse import urlencode

import jwt
import msgspec
from builders import BASE, IRA, STUDY, event, item, judge, opened
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fhircast_hub.clock import SystemClock
from fhircast_hub.config import SettingError, Settings, load_settings, unknown_variables
from fhircast_hub.protocol.content import UpdateRules, parse_updates
from fhircast_hub.protocol.dialects import Dialect, with_post_ids
from fhircast_hub.protocol.errors import FhircastError, InvalidRequest
from fhircast_hub.protocol.events import parse_event_name, parse_subscribed_name
from fhircast_hub.protocol.json_text import MAX_DEPTH, read_json
from fhircast_hub.protocol.messages import (
    encode_notification,
    format_timestamp,
    literal_reference,
    parse_notification,
    parse_response,
    parse_timestamp,
    reference_key,
)
from fhircast_hub.protocol.scopes import parse_scopes
from fhircast_hub.protocol.session import Rules, Session
from fhircast_hub.protocol.stu2 import as_stu2
from fhircast_hub.protocol.subscription import endpoint_id_of, parse_subscription_request
from fhircast_hub.protocol.views import encode_current_context, replay
from fhircast_hub.security.claims import ClaimRules
from fhircast_hub.security.issuers import Issuer, Issuers
from fhircast_hub.security.key_sources import FixedKeys
from fhircast_hub.security.keys import parse_pem, secret_key
from fhircast_hub.security.tokens import JwtVerifier
from security.fuzz.target import Target, header_of, text_of

KEY = "a key for tests only, 32 characters and more"
DIALECTS = Rules(ira=True, dialects=frozenset(Dialect))
STRICT = Rules(refuses_post=True, refuses_profile_faults=True, updates_current_only=True)


def read_form(data: bytes, *, ira: bool) -> object:
    asked = parse_subscription_request(data, ira=ira)
    again = {
        "hub.channel.type": "websocket",
        "hub.mode": "unsubscribe" if asked.is_unsubscribe else "subscribe",
        "hub.topic": asked.topic,
        "subscriber.name": asked.subscriber_name,
        "hub.events": ",".join(asked.events.values()),
    }
    if asked.endpoint_id:
        again["hub.channel.endpoint"] = f"wss://hub.example/ws/{asked.endpoint_id}"
    if asked.lease_seconds is not None:
        again["hub.lease_seconds"] = str(asked.lease_seconds)
    if "?" not in asked.endpoint_id:
        assert parse_subscription_request(urlencode(again).encode(), ira=ira) == asked
    return asked


@cache
def _session(rules: Rules) -> Session:
    session = opened()
    if rules is DIALECTS:
        session = judge(session, event("DiagnosticReport-open", item(STUDY)), "v1", rules).session
    return session


def judge_notification(data: bytes, *, rules: Rules) -> object:
    """Read a request, judge it, and show everybody what became of it."""
    request = parse_notification(data)
    again = parse_notification(encode_notification(request, request.name.spelling))
    assert (again.id, again.topic, again.name, again.happened_at) == (
        request.id,
        request.topic,
        request.name,
        request.happened_at,
    )
    assert again.context == request.context
    completed = with_post_ids(request, map(str, count()))
    decision = judge(_session(rules), completed, "v2", rules)
    assert decision.broadcast is not None
    read_json(encode_notification(decision.broadcast))
    view = encode_current_context(decision.session, lambda _name: True)
    read_json(view)
    as_stu2(view)
    return [encode_notification(it) for it in replay(decision.session, lambda _name: True)]


def read_updates(data: bytes) -> object:
    return parse_updates(data, opened={}, rules=UpdateRules())


def read_sound_json(data: bytes) -> object:
    """What we take for sound JSON, the strictest reader reads too, and reads the same."""
    value = read_json(data)
    assert msgspec.json.decode(data) == value
    json.loads(data, object_pairs_hook=_all_different, parse_constant=_refused, parse_int=str)
    assert _depth(value) <= MAX_DEPTH
    return value


def _all_different(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def _refused(constant: str) -> object:
    raise AssertionError(constant)


def _depth(value: object) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(map(_depth, inner), default=0) if isinstance(inner, list) else 0


def read_response(data: bytes) -> object:
    response = parse_response(data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return response
    assert parse_response(text) == response
    if response is not None and response.status is not None:
        again = msgspec.json.encode({"id": response.id, "status": str(response.status)})
        assert parse_response(again) == response
    return response


def read_endpoint(data: bytes) -> object:
    return endpoint_id_of(text_of(data))


def read_names(data: bytes) -> object:
    text = text_of(data)
    parse_subscribed_name(text)
    name = parse_event_name(text)
    assert parse_event_name(name.spelling) == name
    return name


def read_timestamp(data: bytes) -> object:
    moment = parse_timestamp(text_of(data))
    assert abs((parse_timestamp(format_timestamp(moment)) - moment).total_seconds()) < 0.001
    return moment


def read_reference(data: bytes) -> object:
    key = reference_key(text_of(data))
    assert reference_key(key) == key
    return key, literal_reference(msgspec.json.encode({"reference": text_of(data)}))


def read_scopes(data: bytes) -> object:
    scopes = parse_scopes(text_of(data))
    words = [f"fhircast/{it}.read" for it in scopes.read]
    words += [f"fhircast/{it}.write" for it in scopes.write]
    assert parse_scopes(" ".join(words)) == scopes
    return scopes


@cache
def _verifiers() -> tuple[JwtVerifier, JwtVerifier]:
    """One that checks a shared secret, one that checks a key of a key set and all claims."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    rules = ClaimRules(issuer="https://as.example", audiences=frozenset({"hub"}))
    issuers = (
        Issuer(ClaimRules(), FixedKeys(secret_key(KEY))),
        Issuer(rules, FixedKeys(*parse_pem(pem))),
    )
    shared, published = (JwtVerifier(Issuers([it]), clock=SystemClock()) for it in issuers)
    return shared, published


def _verified(verifier: JwtVerifier, header: str) -> object:
    """Drive the verification to its end: with keys at hand it never has to wait."""
    waiting = verifier.verify(header)
    try:
        waiting.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


def verify_header(data: bytes, *, kind: int) -> object:
    return _verified(_verifiers()[kind], header_of(data))


def verify_claims(data: bytes) -> object:
    """Any payload, rightly signed: an issuer may be careless."""
    token = jwt.api_jws.encode(data, KEY, algorithm="HS256")
    return _verified(_verifiers()[0], f"Bearer {token}")


_NAMES = [it.name for it in fields(Settings) if it.name not in {"tls_cert", "tls_key"}]


def read_settings(data: bytes) -> object:
    """The first byte chooses the setting, the rest is its text; also lines of NAME=text."""
    text = data[1:].decode("utf-8", errors="surrogateescape")
    unknown_variables({f"FHIRCAST_{text[:60]}": ""})
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    load_settings({f"FHIRCAST_{name}": value for name, value in lines.items()})
    return load_settings({}, {_NAMES[data[0] % len(_NAMES)] if data else "port": text})


_ERRORS = (FhircastError,)

HUB = {
    "form": Target(partial(read_form, ira=False), _ERRORS, seeds=("form",)),
    "form-ira": Target(partial(read_form, ira=True), _ERRORS, seeds=("form",)),
    **{
        f"notification-{name}": Target(
            partial(judge_notification, rules=rules), _ERRORS, seeds=("event",)
        )
        for name, rules in {
            "base": BASE,
            "ira": IRA,
            "dialects": DIALECTS,
            "strict": STRICT,
        }.items()
    },
    "updates-bundle": Target(read_updates, _ERRORS, seeds=("bundle",)),
    "json": Target(read_sound_json, (ValueError,), seeds=("event", "json")),
    "response": Target(read_response, seeds=("frame",)),
    "endpoint-url": Target(read_endpoint, (InvalidRequest,), seeds=("url",)),
    "event-name": Target(read_names, (InvalidRequest,), seeds=("name",)),
    "timestamp": Target(read_timestamp, (InvalidRequest,), seeds=("time",)),
    "reference": Target(read_reference, seeds=("url", "name")),
    "scopes": Target(read_scopes, seeds=("scope",)),
    "authorization-hs256": Target(partial(verify_header, kind=0), _ERRORS, seeds=("token",)),
    "authorization-es256": Target(partial(verify_header, kind=1), _ERRORS, seeds=("token",)),
    "claims": Target(verify_claims, _ERRORS, seeds=("claims",)),
    "settings": Target(read_settings, (SettingError,), seeds=("setting",)),
}
"""Every parser of the hub, by name."""
