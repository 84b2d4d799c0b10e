"""TLS of the hub itself: from files, or with a certificate of its own for trying things out."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fhircast_hub.security.self_signed import SelfSigned, make_self_signed

if TYPE_CHECKING:
    from fhircast_hub.config import Settings


def self_signed_for(settings: Settings) -> SelfSigned | None:
    """Return a new certificate for where clients reach the hub, None if it shall have none."""
    if not settings.tls_self_signed:
        return None
    names = ["localhost", "127.0.0.1", "::1", *_names_of_this_machine()]
    if not _is_any(settings.host):
        names.append(settings.host)
    public = urlsplit(settings.public_url).hostname
    return make_self_signed([*names, public] if public else names, now=datetime.now(UTC))


def tls_context(settings: Settings, own: SelfSigned | None) -> ssl.SSLContext:
    """Return the context of the server: TLS 1.2 or newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if own is not None:
        own.load_into(context)
    else:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context


def _names_of_this_machine() -> list[str]:
    """Return the host's name and addresses as far as they are known without asking anybody else."""
    name = socket.gethostname()
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        found = []
    addresses = [str(it[4][0]).partition("%")[0] for it in found]
    return [name, *addresses] if name.isascii() and name else addresses


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
