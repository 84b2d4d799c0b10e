"""A cluster: one line for commands and one to hear to each master, and who has which slot.

1. The nodes are asked every few seconds who has which slot, and at once when one says that it has
   not, or when a line breaks. The newest view counts, and none of a node that is cut off.
2. A topic whose slot is at another server than before may have published what was not heard: as
   after any gap its subscribers are told, and what was known of it is read again.
3. While a slot is being moved, or has no master, its topics cannot be reached: what was asked is
   tried again for as long as an answer may take, then it is `Unavailable`. Others go on.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fhircast_hub.backends.redis import keys
from fhircast_hub.backends.redis.commands import Commands, Elsewhere, away
from fhircast_hub.backends.redis.hearing import Hearing
from fhircast_hub.backends.redis.server import Lost
from fhircast_hub.backends.redis.topology import ASKED, view_from, view_of
from fhircast_hub.protocol.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fhircast_hub.backends.redis.hearing import Ear
    from fhircast_hub.backends.redis.place import Place
    from fhircast_hub.backends.redis.scripts import Script
    from fhircast_hub.backends.redis.server import Server
    from fhircast_hub.backends.redis.topology import Address, View

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.05
"""Before something is tried again, and between two looks at the nodes at the least."""


@dataclass(slots=True, eq=False)
class _Shard:
    """One master."""

    address: Address
    commands: Commands
    hearing: Hearing
    serving: list[asyncio.Task[None]] = field(default_factory=list)


class Cluster:
    """Asks and hears a cluster; see `asking`.

    Args:
        server: Its nodes, some of which the URL names.
        ear: Who is told what is heard.
    """

    def __init__(self, server: Server, ear: Ear) -> None:
        self._server = server
        self._ear = ear
        self._shards: dict[Address, _Shard] = {}
        self._owners: list[Address | None] = [None] * keys.SLOTS
        self._changes = 0
        self._has_to_look = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._is_reached = True

    @property
    def epoch(self) -> int:
        """Counts breaks of all lines, and changes of who has what."""
        return self._changes + sum(it.commands.epoch for it in self._shards.values())

    @property
    def is_up(self) -> bool:
        """Whether any master is reached: what is of the others has to wait."""
        return any(it.commands.is_up and it.hearing.is_up for it in self._shards.values())

    def reaches(self, key: str) -> bool:
        """See `Asking.reaches`."""
        shard = self._shard_of(key)
        return shard is not None and shard.commands.is_up

    async def run(self) -> None:
        """Serve until cancelled."""
        async with self._tasks:
            while True:
                self._has_to_look.clear()
                await self._look()
                await asyncio.sleep(_PAUSE_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._server.timeout_seconds):
                        await self._has_to_look.wait()

    async def run_script(
        self, script: Script, *arguments: bytes | str | int, epoch: int | None = None
    ) -> Any:
        """See `Commands.run_script`."""
        sharded = script.sharded

        async def run(commands: Commands, epoch: int | None) -> Any:
            return await commands.run_script(sharded, *arguments, epoch=epoch)

        return await self._insist(str(arguments[0]), run, epoch)

    async def ask(self, *command: bytes | str | int, epoch: int | None = None) -> Any:
        """See `Commands.ask`."""

        async def ask(commands: Commands, epoch: int | None) -> Any:
            return await commands.ask(*command, epoch=epoch)

        return await self._insist(str(command[1]), ask, epoch)

    async def follow(self, topic: str) -> None:
        """See `Hearing.follow`."""
        channel = keys.of_topic(topic).channel
        until = self._deadline()
        while (shard := self._shard_of(channel)) is None:
            await self._wait(until)
        await shard.hearing.follow(topic)
        if self._shard_of(channel) is not shard:
            raise away()

    def place_of(self, topic: str) -> Place | None:
        """See `Hearing.place_of`."""
        shard = self._shard_of(keys.of_topic(topic).channel)
        return shard.hearing.place_of(topic) if shard is not None else None

    def leave_unused(self) -> None:
        """See `Hearing.leave_unused`."""
        for it in self._shards.values():
            it.hearing.leave_unused()

    async def catch_up(self) -> None:
        """See `Hearing.catch_up`; of those that can be heard."""
        heard = [it.hearing.catch_up() for it in self._shards.values() if it.hearing.is_up]
        await asyncio.gather(*heard, return_exceptions=True)

    def _shard_of(self, key: str) -> _Shard | None:
        owner = self._owners[keys.slot_of(key)]
        return self._shards[owner] if owner is not None else None

    async def _insist(
        self, key: str, asked: Callable[[Commands, int | None], Awaitable[Any]], epoch: int | None
    ) -> Any:
        """Ask who has a key, and again if it is another one by now."""
        until = self._deadline()
        while True:
            if epoch is not None and epoch != self.epoch:
                raise away()
            shard = self._shard_of(key)
            if shard is not None:
                own = shard.commands.epoch if epoch is not None else None
                try:
                    return await asked(shard.commands, own)
                except Elsewhere:
                    pass
                except Unavailable:
                    self._has_to_look.set()
                    raise
            await self._wait(until)

    async def _wait(self, until: float) -> None:
        self._has_to_look.set()
        if asyncio.get_running_loop().time() >= until:
            raise away()
        await asyncio.sleep(_PAUSE_SECONDS)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._server.timeout_seconds

    async def _look(self) -> None:
        """Ask the nodes who has which slot."""
        up = [it for it in self._shards.values() if it.commands.is_up]
        views = [it for it in await asyncio.gather(*map(self._view_of, up)) if it is not None]
        if not views:
            views = await self._first_view()
        if views:
            self._take(max(views, key=lambda it: it.epoch))

    async def _view_of(self, shard: _Shard) -> View | None:
        try:
            said, slots = await asyncio.gather(*[shard.commands.ask(*it) for it in ASKED])
            return view_of(said, slots, shard.address)
        except Unavailable:
            return None
        except Lost as why:
            # Others may have made another one the master of what it has.
            logger.warning("Redis at %s:%d: %s", *shard.address, why)
            shard.commands.cut()
            shard.hearing.cut()
            return None

    async def _first_view(self) -> list[View]:
        """Ask those that are known, one after the other, until one tells."""
        for address in dict.fromkeys((*self._shards, *self._server.store.addresses)):
            try:
                view = await view_from(self._server, address)
            except Lost as why:
                if self._is_reached:
                    logger.warning("no cluster is reached at %s:%d: %s", *address, why)
                continue
            self._is_reached = True
            return [view]
        self._is_reached = False
        return []

    def _take(self, view: View) -> None:
        """Let every slot be where the newest view has it."""
        if view.owners == self._owners:
            return
        masters = {it for it in view.owners if it is not None}
        for address in masters - self._shards.keys():
            self._shards[address] = self._open(address)
        self._owners = view.owners
        self._changes += 1
        for address, shard in list(self._shards.items()):
            shard.hearing.leave_moved(lambda it, own=address: self._is_owned(it, own))  # type: ignore[misc]  # a default
            if address not in masters:
                del self._shards[address]
                self._changes += shard.commands.epoch
                for task in shard.serving:
                    task.cancel()
        logger.info("the cluster has %d masters", len(masters))

    def _is_owned(self, channel: bytes, address: Address) -> bool:
        return self._owners[keys.slot_of(channel.decode())] == address

    def _open(self, address: Address) -> _Shard:
        server = replace(self._server, address=address)
        commands = Commands(server)
        hearing = Hearing(server, commands, self._ear, self._has_to_look.set)
        serving = [self._tasks.create_task(it.run()) for it in (commands, hearing)]
        return _Shard(address, commands, hearing, serving)
