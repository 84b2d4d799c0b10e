"""How many there are of what is limited: topics, and what one holder has made.

A count lies in another slot than what it counts, so the two cannot change in one step. It is a
sorted set of what is counted, each with the time when it was last known to be there:

1. What is to be made is counted first, and never made beyond the limit.
2. Whoever dies, or loses Redis, between counting and making leaves something counted that is not
   there. A count that is full is looked through, and what is not there and was not counted just now
   is taken out. So nothing stays counted for ever, and nobody has to look while there is room.
3. What is made in the moment in which it is taken out is not counted: the limit may be exceeded by
   that.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from fhircast_hub.backends.redis import keys, scripts
from fhircast_hub.backends.redis.times import LONGEST
from fhircast_hub.protocol.errors import Unavailable

if TYPE_CHECKING:
    from fhircast_hub.backends.redis.asking import Asking

_MAKING_MS = 60_000
"""For which what was counted may be in the making."""

_LOOKED_AT_ONCE = 100
"""Members that one refusal looks through; those that are there are not looked at again soon."""

LONGEST_MS = int(LONGEST.total_seconds() * 1000)


class Quotas:
    """Counts under keys of their own.

    A member is the tag of a topic, or that and an endpoint.
    """

    def __init__(self, commands: Asking) -> None:
        self._commands = commands

    async def reserve(self, key: str, member: str, most: int) -> bool:
        """Count what is about to be made; tell whether there was room.

        Args:
            key: Where it is counted.
            member: What it is.
            most: How many there may be, 0 for any number: then nothing is counted.
        """
        if not most or await self._reserve(key, member, most):
            return True
        await self._look_through(key)
        return await self._reserve(key, member, most)

    async def has_room(self, key: str, most: int) -> bool:
        """Tell whether one more could be counted."""
        if not most or await self._commands.ask("ZCARD", key) < most:
            return True
        await self._look_through(key)
        counted: int = await self._commands.ask("ZCARD", key)
        return counted < most

    async def release(self, key: str, member: str) -> None:
        """Count no more what is gone, or was not made; if that fails, it is found in time."""
        with suppress(Unavailable):
            await self._commands.ask("ZREM", key, member)

    async def keep(self, key: str) -> None:
        """Let a count live on."""
        await self._commands.ask("PEXPIRE", key, LONGEST_MS)

    async def _reserve(self, key: str, member: str, most: int) -> bool:
        done = await self._commands.run_script(scripts.RESERVE, key, member, most, LONGEST_MS)
        return bool(done)

    async def _look_through(self, key: str) -> None:
        counted: list[bytes] = await self._commands.run_script(
            scripts.COUNTED, key, _MAKING_MS, _LOOKED_AT_ONCE
        )
        there = await asyncio.gather(*[self._is_there(it.decode()) for it in counted])
        found = list(zip(counted, there, strict=True))
        gone = [it for it, is_there in found if not is_there]
        seen = [it for it, is_there in found if is_there]
        if gone:
            await self._commands.ask("ZREM", key, *gone)
        if seen:
            await self._commands.run_script(scripts.SEEN, key, *seen)

    async def _is_there(self, member: str) -> bool:
        tag, _, endpoint_id = member.partition(" ")
        it = keys.of_tag(tag)
        if endpoint_id:
            return bool(await self._commands.ask("HEXISTS", it.records, endpoint_id))
        return bool(await self._commands.ask("EXISTS", it.session))
