"""Fetching content that an update only refers to (IRA-SUB-04), from places that are trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx
from fhircast_hub.protocol.messages import reference_key

from fhircast_subscribers.http import Token, bearer, is_loopback
from fhircast_subscribers.wire import decode, resource_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_subscribers.wire import Resource


class FhirFetch:
    """Reads single resources from FHIR servers that the site trusts: `connect(fetch=…)`.

    A `fullUrl` comes from another subscriber. So nothing is asked of a server that is not listed,
    no redirect is followed, the token goes to these servers only, and the answer has to be the
    resource that the URL names.
    """

    def __init__(
        self,
        trusted: Iterable[str],
        *,
        token: Token = None,
        timeout_seconds: float = 5,
        max_bytes: int = 4 * 1024 * 1024,
    ) -> None:
        """Trust these base URLs.

        Args:
            trusted: Base URLs of FHIR servers, e.g. "https://fhir.example.org/r4".
            token: Bearer token for them, or what fetches a fresh one.
            timeout_seconds: For one step of one request.
            max_bytes: Largest answer read.
        """
        self._trusted = tuple(it.rstrip("/") + "/" for it in trusted)
        self._token = token
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes

    def trusts(self, url: str) -> bool:
        """Whether a URL points below one of the trusted bases."""
        parts = urlsplit(url)
        is_plain = not parts.query and not parts.fragment and ".." not in unquote(parts.path)
        return is_plain and url.startswith(self._trusted)

    async def __call__(self, url: str) -> Resource | None:
        """Return the resource at this URL, None if it cannot be had."""
        if not self.trusts(url):
            return None
        headers = {"Accept": "application/fhir+json, application/json"} | await bearer(self._token)
        async with (
            httpx.AsyncClient(
                timeout=self._timeout_seconds, trust_env=not is_loopback(url)
            ) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK:
                return None
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > self._max_bytes:
                    return None
        return _resource(bytes(body), url)


def _resource(body: bytes, url: str) -> Resource | None:
    try:
        value = decode(body)
    except ValueError:
        return None
    is_wanted = isinstance(value, dict) and resource_key(value) == reference_key(url)
    return value if is_wanted else None
