"""Tokens that end before their time: what was subscribed with them ends too (guarantee 5)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhircast_hub.holders import TokenHolders
    from fhircast_hub.security.tokens import Verifier

logger = logging.getLogger(__name__)


class TokenWatch:
    """Looks at the tokens of live subscriptions again: one task, however many there are."""

    def __init__(self, holders: TokenHolders, verifier: Verifier) -> None:
        self._holders = holders
        self._verifier = verifier

    async def run(self) -> None:
        """Look every now and then, until cancelled."""
        while self._verifier.watch_seconds:
            await asyncio.sleep(self._verifier.watch_seconds)
            try:
                await self._look()
            except Exception as error:
                logger.error("a look at tokens failed: %s", type(error).__name__)

    async def has_ended(self, token_id: str) -> bool:
        """Tell whether a token was withdrawn since a subscribe; if so, end what stands on it.

        Spec: CONF-06.
        """
        if not (token_id and self._verifier.watch_seconds):
            return False
        ended = await self._verifier.withdrawn([token_id])
        await self._holders.end_tokens(ended)
        return token_id in ended

    async def _look(self) -> None:
        ended = await self._verifier.withdrawn(await self._holders.token_ids())
        await self._holders.end_tokens(ended)
