"""The audit trail at a FHIR server: every entry is posted as an AuditEvent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from fhircast_hub.audit.lane import EntryRefused, SinkFailed
from fhircast_hub.outgoing import client_for

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMEOUT_SECONDS = 10.0
_REFUSALS = frozenset({400, 409, 410, 412, 413, 422})
"""Answers that say that this entry is not wanted; anything else may be otherwise later."""


class FhirRepository:
    """A FHIR server as a sink.

    An entry whose answer got lost is posted again, so a server may hold it twice.
    """

    name = "repository"
    batch = 1
    max_attempts = 10

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url}/AuditEvent"
        self._http = client_for(base_url, timeout_seconds=_TIMEOUT_SECONDS)

    async def write(self, events: Sequence[dict[str, Any]]) -> int:
        """See `Sink.write`."""
        try:
            answer = await self._http.post(
                self._url,
                content=msgspec.json.encode(events[0]),
                headers={"Content-Type": "application/fhir+json", "Prefer": "return=minimal"},
            )
        except httpx.HTTPError as error:
            raise SinkFailed(f"no answer ({type(error).__name__})") from None
        if answer.status_code in _REFUSALS:
            raise EntryRefused(f"status {answer.status_code}")
        if not answer.is_success:
            raise SinkFailed(f"status {answer.status_code}")
        return 1

    async def close(self) -> None:
        """See `Sink.close`."""
        await self._http.aclose()
