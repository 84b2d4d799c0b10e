"""A file with issuers: TOML with `[[issuers]]` tables, or JSON with the same list."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhircast_hub.config import SettingError, variable_of
from fhircast_hub.config.checks import JWT_KEY, MIN_SECRET_LENGTH
from fhircast_hub.config.names import is_file, names_a_file
from fhircast_hub.config.values import SECURE_URL, is_secure_url
from fhircast_hub.security.keys import PUBLIC_KEY_ALGORITHMS

if TYPE_CHECKING:
    from pathlib import Path

_TEXTS = ("issuer", "key", "jwks_file", "jwks_url")
_LISTS = ("audience", "algorithms")


@dataclass(frozen=True, slots=True)
class IssuerEntry:
    """One issuer as it is written down.

    Attributes:
        issuer: Its `iss`, "" for any.
        key: HS256 secret or path of a PEM public key.
        jwks_file: Path of a key set.
        jwks_url: URL of a key set.
        audience: One of them must be in the `aud` of a token; none: any.
        algorithms: Allowed for public keys; none: all that fit.
    """

    issuer: str = ""
    key: str = ""
    jwks_file: str = ""
    jwks_url: str = ""
    audience: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ()


def read_issuers(path: Path) -> list[IssuerEntry]:
    """Return the issuers of a file; relative paths in it start at its own directory.

    Raises:
        SettingError: The file cannot be read, or an entry is not allowed.
    """
    entries = _load(path)
    issuers = [_entry(path, number, it) for number, it in enumerate(entries, 1)]
    names = [it.issuer for it in issuers]
    for number, name in enumerate(names, 1):
        if name in names[: number - 1]:
            raise _wrong(path, f"each issuer once (entry {number} repeats one)")
    return issuers


def _load(path: Path) -> list[Any]:
    try:
        text = path.read_text(encoding="utf-8")
        value: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError, RecursionError):
        raise _wrong(path, "a file that can be read, .toml, or else JSON") from None
    entries = value.get("issuers") if isinstance(value, dict) else value
    if not isinstance(entries, list) or not entries:
        raise _wrong(path, "a list of issuers, named issuers")
    return entries


def _entry(path: Path, number: int, value: Any) -> IssuerEntry:
    def wrong(allowed: str) -> SettingError:
        return _wrong(path, f"{allowed} (entry {number})")

    if not isinstance(value, dict) or not value.keys() <= {*_TEXTS, *_LISTS}:
        raise wrong(f"entries with {', '.join((*_TEXTS, *_LISTS))} only")
    texts = {name: value.get(name, "") for name in _TEXTS}
    if not all(isinstance(it, str) for it in texts.values()) or not texts["issuer"]:
        raise wrong("entries whose issuer, key, jwks_file and jwks_url are texts, the first needed")
    audience, algorithms = (_texts(value.get(name, [])) for name in _LISTS)
    if audience is None or algorithms is None or not {*algorithms} <= {*PUBLIC_KEY_ALGORITHMS}:
        raise wrong(f"audience a list, algorithms a list of {', '.join(PUBLIC_KEY_ALGORITHMS)}")
    if sum(bool(texts[name]) for name in _TEXTS[1:]) != 1:
        raise wrong("one of key, jwks_file and jwks_url in each entry")
    if texts["jwks_url"] and not is_secure_url(texts["jwks_url"]):
        raise wrong(f"jwks_url {SECURE_URL}")
    if texts["key"] and not (
        names_a_file(texts["key"]) or is_file(str(path.parent / texts["key"]))
    ):
        if len(texts["key"]) < MIN_SECRET_LENGTH:
            raise wrong(f"key {JWT_KEY}")
    elif texts["key"]:
        texts["key"] = str(path.parent / texts["key"])
    if texts["jwks_file"]:
        texts["jwks_file"] = str(path.parent / texts["jwks_file"])
    return IssuerEntry(**texts, audience=audience, algorithms=algorithms)


def _texts(value: Any) -> tuple[str, ...] | None:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(it, str) and it for it in values):
        return None
    return tuple(values)


def _wrong(path: Path, allowed: str) -> SettingError:
    return SettingError(variable_of("issuers_file"), str(path), allowed)
