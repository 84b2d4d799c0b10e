"""The bounded queue between the channels and one socket."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_hub.protocol.channel_state import CloseReason


class Outbox:
    """Frames waiting for one socket; a `FrameSink`.

    Args:
        max_frames: Frames that may wait.
        max_bytes: Their size.
    """

    def __init__(self, *, max_frames: int, max_bytes: int) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._closed = asyncio.Event()
        self.close_reason: CloseReason | None = None

    def put(self, frame: bytes) -> bool:
        """Take a frame; False if there is no room or the outbox is closed."""
        if self.close_reason is not None:
            return False
        if len(self._frames) >= self._max_frames or self._bytes + len(frame) > self._max_bytes:
            return False
        self._add(frame)
        return True

    def close(self, reason: CloseReason, last: Iterable[bytes] = ()) -> None:
        """Close after what was put and these last frames, for which there always is room."""
        if self.close_reason is None:
            self.close_reason = reason
            for frame in last:
                self._add(frame)
            self._changed.set()
            self._closed.set()

    async def take(self) -> bytes | None:
        """Return the next frame, waiting for one; None when closed and empty."""
        while not self._frames:
            if self.close_reason is not None:
                return None
            self._changed.clear()
            await self._changed.wait()
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        return frame

    async def closed(self) -> CloseReason:
        """Wait until the hub closes the outbox; return why."""
        await self._closed.wait()
        assert self.close_reason is not None  # noqa: S101 - set before the event
        return self.close_reason

    def _add(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._bytes += len(frame)
        self._changed.set()
