"""Settings that must fit together, and the defaults that a profile brings."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fhircast_hub.config.names import SettingError, is_loopback, names_a_file, variable_of
from fhircast_hub.config.values import SECURE_URL

if TYPE_CHECKING:
    from fhircast_hub.config.table import Settings


def with_profile_defaults(settings: Settings) -> Settings:
    """Return the settings with what the profile decides where nothing was set."""
    ira = settings.is_ira
    defaults: dict[str, Any] = {
        "ack_policy": "strict" if ira else "adaptive",
        "reconnect_grace_seconds": 0.0 if ira else 5.0,
        "ping_seconds": 5.0 if ira else 15.0,
    }
    missing = {name: it for name, it in defaults.items() if getattr(settings, name) is None}
    return replace(settings, **missing)


def check(settings: Settings) -> Settings:
    """Return the settings if they fit together.

    Raises:
        SettingError: They do not.
    """
    _check_access(settings)
    _check_tls(settings)
    if settings.lease_default_seconds > settings.lease_max_seconds:
        raise SettingError(
            variable_of("lease_default_seconds"),
            str(settings.lease_default_seconds),
            f"at most {variable_of('lease_max_seconds')} ({settings.lease_max_seconds})",
        )
    if settings.workers > 1 and settings.backend == "memory://":
        raise SettingError(
            variable_of("workers"),
            str(settings.workers),
            f"1, as with {variable_of('backend')}=memory:// each process would have sessions of "
            f"its own; or redis://… there",
        )
    if settings.audit_required and not (settings.audit_file or settings.audit_fhir_url):
        raise SettingError(
            variable_of("audit_required"),
            "1",
            f"0, or 1 beside {variable_of('audit_file')} or {variable_of('audit_fhir_url')}",
        )
    if "post" in settings.strict and "post-without-id" in settings.dialects:
        raise SettingError(
            variable_of("strict"),
            "post",
            f"profiles only, beside {variable_of('dialects')}=post-without-id",
        )
    return settings


def _check_access(settings: Settings) -> None:
    if settings.auth == "none" and not (settings.allow_insecure or is_loopback(settings.host)):
        raise SettingError(
            variable_of("auth"),
            "none",
            f"jwt on {settings.host}, or {variable_of('allow_insecure')}=1 to let everybody in",
        )
    if settings.auth == "none":
        _check_that_nothing_was_forgotten(settings)
    if settings.auth == "none" and settings.reject == "late":
        raise SettingError(
            variable_of("reject"),
            "late",
            f"at-once with {variable_of('auth')}=none, where requesters cannot be told apart",
        )
    if settings.auth == "jwt":
        _check_keys(settings)
    if settings.auth == "introspection":
        _check_introspection(settings)
    if settings.auth == "none" and settings.require_topic:
        raise SettingError(
            variable_of("require_topic"), "1", f"0 with {variable_of('auth')}=none: no tokens"
        )


def _check_that_nothing_was_forgotten(settings: Settings) -> None:
    """Who names keys, or an address that others reach, did not mean to let everybody in."""
    for name in ("jwt_key", "jwks_file", "jwks_url", "issuers_file", "introspection_url"):
        if getattr(settings, name):
            method = "introspection" if name == "introspection_url" else "jwt"
            raise SettingError(variable_of("auth"), "none", f"{method}, beside {variable_of(name)}")
    host = urlsplit(settings.public_url).hostname or ""
    if host and not (is_loopback(host) or settings.allow_insecure):
        raise SettingError(
            variable_of("auth"),
            "none",
            f"jwt or introspection under {variable_of('public_url')}={settings.public_url}, or "
            f"{variable_of('allow_insecure')}=1 to let everybody in",
        )


def _check_introspection(settings: Settings) -> None:
    if not settings.introspection_url:
        raise SettingError(variable_of("introspection_url"), "", SECURE_URL)
    for name in ("jwt_key", "jwks_file", "jwks_url", "issuers_file"):
        if getattr(settings, name):
            allowed = f"nothing with {variable_of('auth')}=introspection, which asks the issuer"
            raise SettingError(variable_of(name), "…", allowed)


def _check_keys(settings: Settings) -> None:
    key = settings.jwt_key
    if key and not (names_a_file(key) or len(key) >= MIN_SECRET_LENGTH):
        raise SettingError(variable_of("jwt_key"), "…", JWT_KEY)
    given = [it for it in ("jwt_key", "jwks_file", "jwks_url") if getattr(settings, it)]
    if len(given) > 1:
        raise SettingError(
            variable_of(given[1]), "…", f"nothing beside {variable_of(given[0])}: one is used"
        )
    if not given and not settings.issuers_file:
        raise SettingError(
            variable_of("jwt_key"),
            "",
            f"{JWT_KEY}; or {variable_of('jwks_url')}, {variable_of('jwks_file')} or "
            f"{variable_of('issuers_file')} instead",
        )


MIN_SECRET_LENGTH = 32
JWT_KEY = f"a secret of {MIN_SECRET_LENGTH} characters or more, or the path of a PEM file"


def _check_tls(settings: Settings) -> None:
    """GEN-01, GEN-02: beyond this machine, https and wss only, unless somebody says otherwise."""
    cert, key = settings.tls_cert, settings.tls_key
    if bool(cert) != bool(key):
        name, other = ("tls_key", "tls_cert") if cert else ("tls_cert", "tls_key")
        raise SettingError(variable_of(name), "", f"a PEM file, beside {variable_of(other)}")
    if cert and settings.tls_self_signed:
        allowed = f"0 beside {variable_of('tls_cert')}"
        raise SettingError(variable_of("tls_self_signed"), "1", allowed)
    if cert:
        try:
            # A key with a password would ask for it on the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_none)
        except (OSError, ValueError):
            allowed = f"a PEM certificate that fits the key in {variable_of('tls_key')}"
            raise SettingError(variable_of("tls_cert"), cert, allowed) from None
    elif not (
        settings.allow_insecure
        or settings.tls_self_signed
        or is_loopback(settings.host)
        or settings.public_url.startswith("https://")
    ):
        raise SettingError(
            variable_of("host"),
            settings.host,
            f"loopback, or any with {variable_of('tls_cert')} and {variable_of('tls_key')}, with "
            f"{variable_of('public_url')}=https://… if a proxy does TLS, or with "
            f"{variable_of('allow_insecure')}=1",
        )


def _none() -> str:
    return ""
