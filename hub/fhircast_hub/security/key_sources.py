"""Where an issuer's keys come from: given at the start, a file that may change, a URL."""

from __future__ import annotations

import asyncio
import logging
from math import inf
from typing import TYPE_CHECKING, Protocol

from fhircast_hub.protocol.errors import Unavailable
from fhircast_hub.security.fetching import Fetcher, FetchFailed
from fhircast_hub.security.keys import UnusableKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fhircast_hub.clock import Clock
    from fhircast_hub.security.keys import Key

    Parse = Callable[[bytes], tuple[Key, ...]]

logger = logging.getLogger(__name__)

_MAX_FILE_BYTES = 262_144


class KeySource(Protocol):
    """The keys of one issuer."""

    async def keys(self) -> tuple[Key, ...]:
        """Return the keys that hold now.

        Raises:
            Unavailable: They cannot be had, and what was known is too old.
        """
        ...

    def held(self) -> tuple[Key, ...] | None:
        """Return the keys that hold now if nobody has to be asked, None otherwise."""
        ...

    async def newer(self) -> tuple[Key, ...]:
        """Return the keys after a token named one that is not among them; see `keys`."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class FixedKeys:
    """Keys that were given at the start."""

    def __init__(self, *keys: Key) -> None:
        self._keys = keys

    async def keys(self) -> tuple[Key, ...]:
        """See `KeySource.keys`."""
        return self._keys

    def held(self) -> tuple[Key, ...]:
        """See `KeySource.held`."""
        return self._keys

    async def newer(self) -> tuple[Key, ...]:
        """See `KeySource.newer`."""
        return self._keys

    async def close(self) -> None:
        """See `KeySource.close`."""


class FileKeys:
    """Keys of a file, read again when it changes.

    A file that cannot be read any more, or holds no usable keys, leaves the keys that are known. A
    key set without any key withdraws them.

    Raises:
        UnusableKey: It cannot be read at the start, or holds no usable key.
    """

    def __init__(self, path: Path, parse: Parse) -> None:
        self._path = path
        self._parse = parse
        self._seen = self._stamp()
        try:
            self._keys = self._read()
        except OSError:
            raise UnusableKey("a file that cannot be read") from None
        if not self._keys:
            raise UnusableKey("a set without keys")

    async def keys(self) -> tuple[Key, ...]:
        """See `KeySource.keys`."""
        return self.held()

    def held(self) -> tuple[Key, ...]:
        """See `KeySource.held`: the file is on this machine."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._keys = self._read()
            except (OSError, UnusableKey) as error:
                kind = type(error).__name__
                logger.error("a key file is not usable, its former keys stay: %s", kind)
        return self._keys

    async def newer(self) -> tuple[Key, ...]:
        """See `KeySource.newer`."""
        return await self.keys()

    async def close(self) -> None:
        """See `KeySource.close`."""

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            it = self._path.stat()
        except OSError:
            return None
        return it.st_mtime_ns, it.st_size, it.st_ino

    def _read(self) -> tuple[Key, ...]:
        with self._path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES + 1)
        if len(text) > _MAX_FILE_BYTES:
            raise UnusableKey(f"more than {_MAX_FILE_BYTES} bytes")
        return self._parse(text)


class UrlKeys:
    """Keys of a URL, fetched when they are needed and kept for a while.

    One fetch at a time; whoever comes meanwhile uses the keys that are known, or waits if there are
    none. However many tokens name unknown keys, and however long the server is down, fetches are
    `retry_seconds` apart.

    Args:
        url: Of the JSON Web Key Set.
        parse: Reads it.
        clock: Where the time comes from.
        fresh_seconds: How long keys are used without asking again.
        retry_seconds: Least time between two fetches.
        stale_seconds: How long keys are used while the server cannot be asked.
    """

    def __init__(
        self,
        url: str,
        parse: Parse,
        *,
        clock: Clock,
        fresh_seconds: float,
        retry_seconds: float,
        stale_seconds: float,
    ) -> None:
        self._url = url
        self._parse = parse
        self._clock = clock
        self._fresh_seconds = fresh_seconds
        self._retry_seconds = retry_seconds
        self._stale_seconds = stale_seconds
        self._fetcher = Fetcher(url)
        self._fetching = asyncio.Lock()
        self._keys: tuple[Key, ...] = ()
        self._fetched_at = -inf
        self._tried_at = -inf

    async def keys(self) -> tuple[Key, ...]:
        """See `KeySource.keys`."""
        if self._age() >= self._fresh_seconds:
            await self._refresh()
        return self._usable()

    def held(self) -> tuple[Key, ...] | None:
        """See `KeySource.held`."""
        return self._keys if self._age() < self._fresh_seconds else None

    async def newer(self) -> tuple[Key, ...]:
        """See `KeySource.newer`."""
        await self._refresh()
        return self._usable()

    async def close(self) -> None:
        """See `KeySource.close`."""
        await self._fetcher.close()

    def _age(self) -> float:
        return self._clock.monotonic() - self._fetched_at

    def _may_try(self) -> bool:
        return self._clock.monotonic() - self._tried_at >= self._retry_seconds

    def _usable(self) -> tuple[Key, ...]:
        if self._age() >= max(self._stale_seconds, self._fresh_seconds):
            self._keys = ()
            raise Unavailable("the keys that verify tokens cannot be fetched now", rule="SUB-10")
        return self._keys

    async def _refresh(self) -> None:
        if self._fetching.locked() and self._keys:
            return
        async with self._fetching:
            if self._may_try():
                self._tried_at = self._clock.monotonic()
                await self._fetch()

    async def _fetch(self) -> None:
        try:
            self._keys = self._parse(await self._fetcher.get(self._url))
            self._fetched_at = self._clock.monotonic()
        except (FetchFailed, UnusableKey) as error:
            logger.warning("the keys of an issuer could not be fetched: %s", error)
