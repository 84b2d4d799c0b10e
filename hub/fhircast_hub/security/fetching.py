"""Small answers of servers that the hub trusts: in time, bounded, from nowhere else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from fhircast_hub.outgoing import client_for

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_BYTES = 262_144
_DEADLINE_SECONDS = 5.0
_CONNECTIONS = 128
"""More than are ever asked at once: a wait for a free one would look like an outage."""

# Compressed, a small answer could become a large one.
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class FetchFailed(Exception):
    """No usable answer came; the text says of which kind, without anything that was sent.

    Attributes:
        status: Of the answer, 0 if it is not the status that was wrong.
    """

    def __init__(self, kind: str, status: int = 0) -> None:
        super().__init__(kind)
        self.status = status


class Fetcher:
    """A client for one server.

    Args:
        url: Of the server; one on loopback is asked without a proxy.
        basic_auth: Name and password of the hub there.

    Raises:
        SettingError: The environment names certificates or a proxy that cannot be used.
    """

    def __init__(self, url: str, *, basic_auth: tuple[str, str] | None = None) -> None:
        self._client = client_for(
            url,
            auth=basic_auth,
            headers=_HEADERS,
            timeout_seconds=_DEADLINE_SECONDS,
            max_connections=_CONNECTIONS,
        )

    async def get(self, url: str) -> bytes:
        """Return the body of a 200.

        Raises:
            FetchFailed: Another status (a redirect too), too slow, too large, or no answer.
        """
        return await self._fetch("GET", url)

    async def post(self, url: str, form: Mapping[str, str]) -> bytes:
        """Return the body of the 200 that a form gets; see `get`."""
        return await self._fetch("POST", url, form)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _fetch(self, method: str, url: str, form: Mapping[str, str] | None = None) -> bytes:
        try:
            async with (
                asyncio.timeout(_DEADLINE_SECONDS),
                self._client.stream(method, url, data=form) as answer,
            ):
                return await _read(answer)
        except TimeoutError:
            raise FetchFailed("no answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchFailed(type(error).__name__) from None


async def _read(answer: httpx.Response) -> bytes:
    if answer.status_code != httpx.codes.OK:
        raise FetchFailed(f"status {answer.status_code}", answer.status_code)
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise FetchFailed("a compressed answer")
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise FetchFailed(f"an answer of more than {_MAX_BYTES} bytes")
    return bytes(body)
