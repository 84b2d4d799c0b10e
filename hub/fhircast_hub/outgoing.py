"""Clients for the servers that the hub asks and tells: which way, and which certificates.

`SSL_CERT_FILE`, `SSL_CERT_DIR` and the proxies of the environment (`HTTPS_PROXY`, `NO_PROXY` …)
count, with one exception: what is for this machine never leaves it. Plain http to loopback is
allowed as safe on its way, and a proxy would read it, secrets and all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from fhircast_hub.config import SettingError, is_loopback

if TYPE_CHECKING:
    import ssl


def client_for(
    url: str,
    *,
    timeout_seconds: float,
    auth: tuple[str, str] | None = None,
    headers: dict[str, str] | None = None,
    max_connections: int = 100,
) -> httpx.AsyncClient:
    """Return a client for the server of a URL; it follows no redirect.

    Raises:
        SettingError: The environment names certificates that cannot be read, or an odd proxy.
    """
    try:
        return httpx.AsyncClient(
            auth=auth,
            headers=headers,
            verify=_trusted(),
            trust_env=not is_loopback(urlsplit(url).hostname or ""),
            timeout=timeout_seconds,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=max_connections),
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        if isinstance(error, SettingError):
            raise
        # Its value may hold a password.
        allowed = "the http or https URL of a proxy, or nothing"
        raise SettingError("HTTP_PROXY, HTTPS_PROXY, ALL_PROXY or NO_PROXY", "…", allowed) from None


def _trusted() -> ssl.SSLContext:
    """Return what httpx would trust by itself if no proxy were in question."""
    try:
        return httpx.create_ssl_context()
    except OSError:  # ssl.SSLError is one, too
        name = "SSL_CERT_FILE" if os.environ.get("SSL_CERT_FILE") else "SSL_CERT_DIR"
        allowed = "a PEM file of certificates" if name == "SSL_CERT_FILE" else "a directory of them"
        raise SettingError(name, os.environ.get(name, ""), allowed) from None
