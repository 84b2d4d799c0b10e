"""Sentinels: they say which of several servers is the master, and make another one if it dies."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fhircast_hub.backends.redis.server import Lost, Server

if TYPE_CHECKING:
    from fhircast_hub.backends.redis.server import Reached

_Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Sentinels(Server):
    """The master that Sentinels name, asked at each connect and every few seconds after.

    More than half of them are asked, and the newest answer counts: one of those has taken part in
    the last failover. A master that was demoted, or is cut off from them, is left, though it may
    go on to answer.
    """

    async def connect(self) -> Reached:
        """See `Server.connect`."""
        address = await self._newest()
        if address is None:
            raise Lost("no Sentinel tells where the master is")
        # Not super(): a class with slots is made a second time, and it would mean the first.
        return await Server.connect(replace(self, address=address))

    async def is_current(self, reached: _Address | None) -> bool:
        """See `Server.is_current`; while no Sentinel answers, nobody knows better."""
        return await self._newest() in (None, reached)

    async def _newest(self) -> _Address | None:
        asked = [asyncio.create_task(self._ask(it)) for it in self.store.addresses]
        told: list[tuple[int, _Address]] = []
        answered = 0
        try:
            for it in asyncio.as_completed(asked):
                answer = await it
                if answer is not None:
                    told.append(answer)
                    answered += 1
                if answered > len(asked) // 2:
                    break
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return max(told)[1] if told else None

    async def _ask(self, address: _Address) -> tuple[int, _Address] | None:
        """Return where a Sentinel says that the master is, and how new that is; None if nowhere."""
        options = replace(self, address=address).options()
        for it in ("username", "password", "db"):
            options.pop(it, None)
        options |= self.store.of_sentinels
        try:
            [said] = await self.ask_once(("SENTINEL", "MASTER", self.store.master), options=options)
        except Lost:
            return None
        fields = dict(zip(said[::2], said[1::2], strict=True))
        epoch, port = int(fields[b"config-epoch"]), int(fields[b"port"])
        return epoch, (fields[b"ip"].decode(), port)
