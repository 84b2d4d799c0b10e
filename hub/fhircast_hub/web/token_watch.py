"""Tokens that end before their time: what was subscribed with them ends too (guarantee 5)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING

from fhircast_hub.protocol.errors import Unavailable

if TYPE_CHECKING:
    from fhircast_hub.holders import TokenHolders
    from fhircast_hub.security.tokens import Verifier

logger = logging.getLogger(__name__)

_AT_ONCE = 10
_CONNECTING_AT_ONCE = 25
"""Questions about tokens of sockets that are being opened; together fewer than a verifier takes."""
_TRIES = 5
_AGAIN_SECONDS = 1.0
"""How long who got no answer waits, before anything else is asked: an outage lasts that long."""


class TokenWatch:
    """Looks at the tokens of live subscriptions again: one task, however many there are.

    A look asks about every token. One that cannot be judged is asked about again at the end of the
    look, a few times, and first of all in the next: an issuer that refuses some of the questions
    puts off what is asked about, and keeps no token out of sight.
    """

    def __init__(self, holders: TokenHolders, verifier: Verifier) -> None:
        self._holders = holders
        self._verifier = verifier
        self._connecting = asyncio.Semaphore(_CONNECTING_AT_ONCE)
        self._left: list[str] = []
        """What the last look could not judge."""

    async def run(self) -> None:
        """Look every now and then, until cancelled."""
        while self._verifier.watch_seconds:
            await asyncio.sleep(self._verifier.watch_seconds)
            try:
                await self._look()
            except Exception as error:
                _log_fault(error)

    async def has_ended(self, token_id: str) -> bool:
        """Tell whether a token was withdrawn since a subscribe; if so, end what stands on it.

        When a whole site comes back at once, they wait for each other: to be too busy to ask is no
        reason to let somebody in.

        Spec: CONF-06.
        """
        if not (token_id and self._verifier.watch_seconds):
            return False
        async with self._connecting:
            try:
                is_withdrawn = await self._verifier.is_withdrawn(token_id)
            except Unavailable:
                return False
            if is_withdrawn:
                with suppress(Unavailable):  # the socket gets nothing, whatever can be kept of it
                    await self._holders.end_tokens([token_id])
            return is_withdrawn

    async def _look(self) -> None:
        token_ids = await self._holders.token_ids()
        first = [it for it in self._left if it in token_ids]
        waiting = deque([*first, *token_ids.difference(first)])
        tries: Counter[str] = Counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(_AT_ONCE, len(waiting))):
                tasks.create_task(self._work(waiting, tries))
        self._left = [it for it, count in tries.items() if count == _TRIES]

    async def _work(self, waiting: deque[str], tries: Counter[str]) -> None:
        while waiting:
            token_id = waiting.popleft()
            try:
                await self._end_if_withdrawn(token_id)
            except Unavailable:
                await asyncio.sleep(_AGAIN_SECONDS)
                tries[token_id] += 1
                if tries[token_id] < _TRIES:
                    waiting.append(token_id)
            except Exception as error:  # one token's fault is not the others'
                _log_fault(error)

    async def _end_if_withdrawn(self, token_id: str) -> None:
        if await self._verifier.is_withdrawn(token_id):
            await self._holders.end_tokens([token_id])


def _log_fault(error: Exception) -> None:
    logger.error("a look at tokens failed: %s", type(error).__name__)
