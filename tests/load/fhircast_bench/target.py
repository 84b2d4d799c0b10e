"""Where the hub is, and whether it is on this machine."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class NoHub(Exception):
    """There is nothing to load: no hub at the URL, or none that lets anybody in."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect to, and what to ask for there.

    Attributes:
        url: As given, without a slash at its end.
        host: Name or address, an address of IPv6 without brackets.
        port: TCP port.
        path: Path and query of the request line.
        tls: What TLS trusts; None for none.
    """

    url: str
    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def target_of(url: str, tls: ssl.SSLContext) -> Target:
    """Return where a URL leads to.

    Args:
        url: `hub.url` (http, https) or an endpoint (ws, wss).
        tls: What to trust if the URL wants TLS.

    Raises:
        NoHub: It is no such URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        host, port = "", 0
    if not host or not port or not url.isascii() or not url.isprintable() or " " in url:
        raise NoHub(f"{url!r} is no hub.url: it has to be like http://127.0.0.1:8080/api/hub")
    path = parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")
    is_secure = parts.scheme in {"https", "wss"}
    return Target(url.rstrip("/"), host, port, path or "/", tls if is_secure else None)


def is_on_this_machine(host: str) -> bool:
    """Tell whether a host is loopback, under each of its addresses.

    Raises:
        NoHub: The name has no address.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = {it[4][0] for it in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        raise NoHub(f"no hub: {host} has no address") from None
    return all(ipaddress.ip_address(str(it).partition("%")[0]).is_loopback for it in found)
