"""Texts become values: one parser for each kind of setting."""

from __future__ import annotations

import ipaddress
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fhircast_hub.config.names import SettingError, is_loopback
from fhircast_hub.config.stores import parse_store

if TYPE_CHECKING:
    from collections.abc import Mapping


def parse_value(variable: str, text: str, metadata: Mapping[str, Any]) -> Any:
    """Return the value of a setting.

    Args:
        variable: Its name, for the error.
        text: As given.
        metadata: Of its field in `Settings`: kind and what is allowed.

    Raises:
        SettingError: The text is not allowed.
    """
    kind = metadata.get("kind", "text")
    match kind:
        case "seconds" | "count" | "port":
            return _parse_number(variable, text, kind, metadata.get("least", 0))
        case "choice":
            if text not in metadata["choices"]:
                raise SettingError(variable, text, " or ".join(metadata["choices"]))
        case "switch":
            if text.lower() not in {"0", "1", "true", "false", "yes", "no", ""}:
                raise SettingError(variable, text, "1 or 0")
            return text.lower() in {"1", "true", "yes"}
        case "names" | "paths" | "origins" | "networks":
            return _parse_list(variable, text, kind, metadata)
        case "path":
            if not _is_path(text):
                raise SettingError(variable, text, "a path that starts and does not end with /")
        case "url":
            if text and not _is_url(text):
                raise SettingError(variable, text, "an http(s) URL that does not end with /")
        case "secure-url":
            if text and not is_secure_url(text):
                raise SettingError(variable, text, SECURE_URL)
        case "backend":
            if not _is_backend(text):
                raise SettingError(variable, text, _BACKENDS)
        case _:
            pass
    return text


SECURE_URL = "an https URL, or an http one on loopback, without user and fragment"


def is_secure_url(text: str) -> bool:
    """Tell whether what is sent to this URL, and comes from it, can be trusted on its way."""
    try:
        it = urlsplit(text)
        host = it.hostname if it.port != 0 else ""
    except ValueError:
        return False
    if not host or it.username is not None or it.fragment or not text.isprintable() or " " in text:
        return False
    return it.scheme == "https" or (it.scheme == "http" and is_loopback(host))


_BACKENDS = (
    "memory://, redis://HOST:PORT/DATABASE, unix:///PATH, redis+sentinel://HOST:PORT,…/MASTER or "
    "redis+cluster://HOST:PORT,…; rediss instead of redis for TLS"
)


def _is_backend(text: str) -> bool:
    try:
        parse_store(text)
    except ValueError:
        return False
    return True


def _parse_list(
    variable: str, text: str, kind: str, metadata: Mapping[str, Any]
) -> tuple[str, ...]:
    parts = tuple(filter(None, (part.strip() for part in text.split(","))))
    if kind == "names" and not set(parts) <= set(metadata["choices"]):
        allowed = ", ".join(metadata["choices"])
        raise SettingError(variable, text, f"a comma separated list of {allowed}")
    if kind == "paths" and not all(map(_is_path, parts)):
        raise SettingError(
            variable, text, "a comma separated list of paths that start and do not end with /"
        )
    if kind == "origins" and not all(map(_is_origin, parts)):
        raise SettingError(
            variable, text, "a comma separated list of origins (https://host:port, no path), or *"
        )
    if kind == "networks" and not all(map(_is_network, parts)):
        raise SettingError(
            variable, text, "a comma separated list of addresses and networks (10.1.0.0/16)"
        )
    return parts


def _is_origin(text: str) -> bool:
    # What does not look like what a browser sends would never match, and nobody would know why.
    scheme, _, rest = text.partition("://")
    return text in {"*", "null"} or bool(
        scheme and rest and text == text.lower() and not set(rest) & set("/?#@ ")
    )


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        (parts.hostname or "").encode("idna")
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # half a bracket, a name that is none, or a port that is none
        return False
    if not text.isprintable() or " " in text:
        return False
    return parts.scheme in {"http", "https"} and has_host and not text.endswith("/")


def _is_path(text: str) -> bool:
    return text.startswith("/") and not text.endswith("/")


def _parse_number(variable: str, text: str, kind: str, least: float) -> float:
    most = 65_535 if kind == "port" else math.inf
    try:
        number = float(text) if kind == "seconds" else int(text)
    except ValueError:
        number = math.nan
    if not (least <= number <= most) or number == math.inf:
        unit = "a number of seconds" if kind == "seconds" else "a whole number"
        raise SettingError(
            variable, text, f"{unit} from {least:g}" + (f" to {most:g}" if kind == "port" else "")
        )
    return number
