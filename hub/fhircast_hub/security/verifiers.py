"""From settings to the verifier of bearer tokens."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fhircast_hub.config import SettingError, variable_of
from fhircast_hub.config.names import names_a_file
from fhircast_hub.security.claims import ClaimRules
from fhircast_hub.security.introspection import Endpoint, IntrospectingVerifier
from fhircast_hub.security.issuers import Issuer, Issuers
from fhircast_hub.security.issuers_file import IssuerEntry, read_issuers
from fhircast_hub.security.key_sources import FileKeys, FixedKeys, UrlKeys
from fhircast_hub.security.keys import (
    PUBLIC_KEY_ALGORITHMS,
    UnusableKey,
    parse_jwks,
    parse_pem,
    secret_key,
)
from fhircast_hub.security.policy import load_policy
from fhircast_hub.security.tokens import JwtVerifier, NoAuthentication, TokenLimits, Verifier

if TYPE_CHECKING:
    from fhircast_hub.clock import Clock
    from fhircast_hub.config import Settings
    from fhircast_hub.security.key_sources import KeySource

_LEAST_WATCH_SECONDS = 0.1


def verifier_of(settings: Settings, clock: Clock) -> Verifier:
    """Return what verifies tokens as the settings say.

    Raises:
        SettingError: A file or a policy that they name is not usable.
    """
    policy = load_policy(settings.policy)
    if settings.auth == "none":
        return NoAuthentication(policy)
    limits = TokenLimits(settings.max_token_bytes, settings.max_cached_tokens)
    rules = ClaimRules(
        leeway_seconds=settings.token_leeway_seconds,
        requires_topic=settings.require_topic,
        policy=policy,
    )
    if settings.auth == "introspection":
        return _introspecting(settings, clock, limits, rules)
    return JwtVerifier(
        Issuers([_issuer(it, settings, clock, rules) for it in _entries(settings)]),
        clock=clock,
        limits=limits,
        watch_seconds=max(settings.jwks_seconds, _LEAST_WATCH_SECONDS),
    )


def _introspecting(
    settings: Settings, clock: Clock, limits: TokenLimits, rules: ClaimRules
) -> Verifier:
    return IntrospectingVerifier(
        Endpoint(
            settings.introspection_url,
            settings.introspection_client_id,
            settings.introspection_client_secret,
        ),
        replace(
            rules,
            issuer=settings.issuer,
            audiences=frozenset(_audience(settings)),
            requires_expiry=False,
        ),
        clock=clock,
        fresh_seconds=settings.introspection_seconds,
        limits=limits,
    )


def _audience(settings: Settings) -> tuple[str, ...]:
    return (settings.audience,) if settings.audience else ()


def _entries(settings: Settings) -> list[IssuerEntry]:
    entries = read_issuers(Path(settings.issuers_file)) if settings.issuers_file else []
    entries = [it if it.audience else replace(it, audience=_audience(settings)) for it in entries]
    if not (settings.jwt_key or settings.jwks_file or settings.jwks_url):
        if settings.issuer:
            raise SettingError(
                variable_of("issuer"),
                settings.issuer,
                f"nothing beside {variable_of('issuers_file')} alone: it names the issuers",
            )
        return entries
    if settings.issuer in {it.issuer for it in entries}:
        raise SettingError(
            variable_of("issuer"),
            settings.issuer,
            f"an issuer that is not in {variable_of('issuers_file')} too",
        )
    single = IssuerEntry(
        issuer=settings.issuer,
        key=settings.jwt_key,
        jwks_file=settings.jwks_file,
        jwks_url=settings.jwks_url,
        audience=_audience(settings),
    )
    return [single, *entries]


def _issuer(entry: IssuerEntry, settings: Settings, clock: Clock, rules: ClaimRules) -> Issuer:
    allowed = frozenset(settings.jwt_algorithms or PUBLIC_KEY_ALGORITHMS)
    allowed &= frozenset(entry.algorithms or PUBLIC_KEY_ALGORITHMS)
    if not allowed:
        raise SettingError(
            variable_of("jwt_algorithms"),
            ",".join(settings.jwt_algorithms),
            f"algorithms of which each issuer in {variable_of('issuers_file')} allows one",
        )
    rules = replace(rules, issuer=entry.issuer, audiences=frozenset(entry.audience))
    return Issuer(rules, _source(entry, settings, clock, allowed))


def _source(
    entry: IssuerEntry, settings: Settings, clock: Clock, allowed: frozenset[str]
) -> KeySource:
    if entry.jwks_url:
        return UrlKeys(
            entry.jwks_url,
            partial(parse_jwks, allowed=allowed),
            clock=clock,
            fresh_seconds=settings.jwks_seconds,
            retry_seconds=settings.jwks_retry_seconds,
            stale_seconds=settings.jwks_stale_seconds,
        )
    if entry.key and not names_a_file(entry.key):
        return FixedKeys(secret_key(entry.key))
    path, parse = (entry.jwks_file, parse_jwks) if entry.jwks_file else (entry.key, parse_pem)
    try:
        return FileKeys(Path(path), partial(parse, allowed=allowed))
    except UnusableKey as error:
        variable = next(
            (it for it in ("jwks_file", "jwt_key") if getattr(settings, it) == path), "issuers_file"
        )
        allowed_text = f"a file with usable keys; this is {error}"
        # It may be a secret that was taken for a path.
        shown = "…" if path == entry.key and not path.endswith(".pem") else path
        raise SettingError(variable_of(variable), shown, allowed_text) from None
