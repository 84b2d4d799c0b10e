"""Who the client behind a proxy is: read from headers, if and only if a trusted proxy sent them.

A client can send these headers, too. So they count only on connections of a trusted proxy, and of a
list of addresses the right one is the last that is no trusted proxy: what stands left of it was
written by somebody else. Only one of the two families of headers is read, by setting: a proxy adds
to the one it knows and passes the other on as the client wrote it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAX_HOPS = 32
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
_PAIR = re.compile(r'\s*([A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]+))\s*(;|,|$)')


@dataclass(frozen=True, slots=True)
class Client:
    """Who sent a request, as far as the hub believes it.

    Attributes:
        address: Of the client.
        scheme: "http" or "https" towards the client, "" if nothing was said.
        host: Host and port that the client asked for, "" if nothing was said.
    """

    address: str
    scheme: str = ""
    host: str = ""


class TrustedProxies:
    """Addresses and networks whose word counts."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: tuple[_Network, ...] = tuple(map(ipaddress.ip_network, networks))

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        parsed = _parse_address(address)
        return parsed is not None and any(parsed in it for it in self._networks)


def is_host(text: str) -> bool:
    """Tell whether a Host header's value is a name or address, with or without a port."""
    return _HOST.fullmatch(text) is not None


def client_of(
    peer: str, headers: Sequence[tuple[str, str]], trusted: TrustedProxies, *, is_forwarded: bool
) -> Client:
    """Return the client of a request.

    Args:
        peer: Address that the connection comes from.
        headers: All headers: lower-case name, value.
        trusted: Whose word counts.
        is_forwarded: Read `Forwarded` (RFC 7239) instead of `X-Forwarded-*`.

    Returns:
        The client. What is malformed counts as not said, and the client then is the peer.
    """
    if peer not in trusted:
        return Client(peer)
    hops = _forwarded(headers) if is_forwarded else _x_forwarded(headers)
    for hop in reversed(hops[-_MAX_HOPS:]):
        address = _parse_address(_without_port(hop.address))
        if address is None:
            return Client(peer, hop.scheme, hop.host)
        if str(address) not in trusted or hop is hops[0]:
            return Client(str(address), hop.scheme, hop.host)
    return Client(peer)


def _x_forwarded(headers: Sequence[tuple[str, str]]) -> list[Client]:
    """Return the hops of X-Forwarded-For; scheme and host are those of the nearest proxy."""
    addresses = _list_of(headers, "x-forwarded-for")
    scheme = _last(_list_of(headers, "x-forwarded-proto")).lower()
    host = _last(_list_of(headers, "x-forwarded-host"))
    return [_hop(it, scheme, host) for it in addresses or [""]]


def _forwarded(headers: Sequence[tuple[str, str]]) -> list[Client]:
    """Return the hops of Forwarded, none if one cannot be read: places would be wrong."""
    text = ",".join(value for name, value in headers if name == "forwarded")
    hops, pairs, position = [], dict[str, str](), 0
    while position < len(text):
        found = _PAIR.match(text, position)
        if found is None:
            return []
        name, quoted, plain, end = found.groups()
        pairs[name.lower()] = plain or re.sub(r"\\(.)", r"\1", quoted)
        if end != ";":
            hops.append(
                _hop(pairs.get("for", ""), pairs.get("proto", "").lower(), pairs.get("host", ""))
            )
            pairs = {}
        position = found.end()
    return hops


def _hop(address: str, scheme: str, host: str) -> Client:
    return Client(
        address, scheme if scheme in {"http", "https"} else "", host if is_host(host) else ""
    )


def _list_of(headers: Sequence[tuple[str, str]], wanted: str) -> list[str]:
    text = ",".join(value for name, value in headers if name == wanted)
    return [part.strip() for part in text.split(",")] if text else []


def _last(parts: Sequence[str]) -> str:
    return parts[-1] if parts else ""


def _without_port(text: str) -> str:
    found = _WITH_PORT.fullmatch(text)
    return found[1] or found[2] if found else text


def _parse_address(text: str) -> _Address | None:
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
