"""The gate of hub.url: who calls, and whether the call may come in now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

    from fhircast_hub.security.grant import Grant
    from fhircast_hub.security.policy import Policy
    from fhircast_hub.security.tokens import Verifier


class Gate:
    """Every request to hub.url passes here before its body is read."""

    def __init__(self, verifier: Verifier, policy: Policy) -> None:
        self._verifier = verifier
        self._policy = policy

    async def admit(self, request: Request) -> Grant:
        """Return what the caller may do.

        Raises:
            Unauthorized: No valid token (SUB-10).
            Forbidden: A token that is bound to no topic, where that is demanded.
            Unavailable: It cannot be told now whether the token is valid.
        """
        grant = await self._verifier.verify(request.headers.get("authorization", ""))
        return replace(grant, policy=self._policy)
