"""The URL that says where sessions are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

_SCHEME = re.compile(r"(rediss?)(?:\+(sentinel|cluster))?")
_PORTS = {"": 6379, "sentinel": 26379, "cluster": 6379}
_OF_SENTINELS = {"sentinel_username": "username", "sentinel_password": "password"}


@dataclass(frozen=True, slots=True)
class Store:
    """Where sessions are kept.

    Attributes:
        kind: "memory", "server", "sentinel" or "cluster".
        addresses: Host and port: of the server, of the Sentinels, or of some nodes of a cluster.
        is_encrypted: Whether nobody on the way can read what goes there.
        master: Under which name the Sentinels know the servers.
        shown: The URL as it may be shown: without user, password and options.
        url: That of one server, as redis-py reads it: with the first address; may hold a password.
        of_sentinels: User name and password for the Sentinels themselves.
    """

    kind: str
    addresses: tuple[tuple[str, int], ...]
    is_encrypted: bool
    master: str
    shown: str
    url: str = field(repr=False, default="")
    of_sentinels: dict[str, str] = field(repr=False, default_factory=dict)


def parse_store(text: str) -> Store:
    """Return what a URL says.

    Raises:
        ValueError: It is none of those that there are.
    """
    if text == "memory://":
        return Store("memory", (), True, "", text)
    it = urlsplit(text)
    if it.scheme == "unix":
        if not it.path.startswith("/") or it.hostname:
            raise ValueError
        return Store("server", (), True, "", f"unix://{it.path}", text)
    found = _SCHEME.fullmatch(it.scheme)
    if found is None:
        raise ValueError
    transport, kind = found[1], found[2] or ""
    user, at, hosts = it.netloc.rpartition("@")
    addresses = tuple(_address(part, _PORTS[kind]) for part in hosts.split(","))
    master, database = _path(kind, it.path.removeprefix("/"))
    if not kind and len(addresses) > 1:
        raise ValueError
    options = parse_qsl(it.query, keep_blank_values=True)
    own = _OF_SENTINELS if kind == "sentinel" else {}
    host, port = addresses[0]
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    query = urlencode([(name, value) for name, value in options if name not in own])
    return Store(
        kind or "server",
        addresses,
        transport == "rediss",
        master,
        f"{it.scheme}://{hosts}{it.path}",
        f"{transport}://{user}{at}{where}/{database}" + (f"?{query}" if query else ""),
        {own[name]: value for name, value in options if name in own},
    )


def _address(part: str, port: int) -> tuple[str, int]:
    it = urlsplit(f"//{part}")
    if not it.hostname or it.port == 0 or it.path or not part.isprintable() or " " in part:
        raise ValueError
    return it.hostname, it.port or port


def _path(kind: str, path: str) -> tuple[str, str]:
    """Return the master's name and the database."""
    master, database = "", path
    if kind == "sentinel":
        master, _, database = path.partition("/")
        if not master:
            raise ValueError
    if database and (kind == "cluster" or not database.isdecimal()):
        raise ValueError
    return master, database
