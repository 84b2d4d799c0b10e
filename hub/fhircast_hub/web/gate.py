"""The gate of hub.url: who calls, and whether the call may come in now."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

    from fhircast_hub.security.grant import Grant
    from fhircast_hub.security.tokens import Verifier


class Gate:
    """Every request to hub.url passes here before its body is read."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def admit(self, request: Request) -> Grant:
        """Return what the caller may do.

        Raises:
            Unauthorized: No valid token (SUB-10).
        """
        return await self._verifier.verify(request.headers.get("authorization", ""))
