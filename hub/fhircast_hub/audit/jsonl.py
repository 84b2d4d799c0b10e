"""The audit trail in a file: one line an entry, chained, rotated, never overwritten."""

from __future__ import annotations

import asyncio
import glob
import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fhircast_hub.audit.chain import START, BrokenLine, Line, read_line, seal
from fhircast_hub.audit.events import instant
from fhircast_hub.audit.lane import SinkFailed

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

logger = logging.getLogger(__name__)

_TWO_LINES_BYTES = 2 * 65_536
"""More than the two longest lines: where the last whole one of a file is looked for."""


class AuditFileUnusable(Exception):
    """The file cannot be written, or what is in it is not ours to continue."""


class JsonlFile:
    """An audit file that is open for appending; one thread at a time.

    What was rotated away is named like the file, with the number of its first line behind it. A
    write that fails takes back what it wrote, so that a full disk leaves no half line; what a crash
    left incomplete is kept, and the next file says so.

    Args:
        path: The file; made with mode 0600 if it is not there.
        max_bytes: Size beyond which a new file is begun.
        keep: Rotated files kept, the newest; 0 keeps all.
        now: Where the time comes from, aware UTC.

    Raises:
        AuditFileUnusable: It cannot be opened, another hub writes it, or it is no audit trail.
    """

    def __init__(
        self, path: Path, *, max_bytes: int, keep: int, now: Callable[[], datetime]
    ) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._now = now
        self._fd: int | None = None
        self._size = 0
        self._first_seq = 0
        self._at = START
        self._turn = threading.Lock()
        try:
            self._continue()
        except OSError as error:
            self._release()
            raise AuditFileUnusable(error.strerror or "cannot be written") from None
        except BrokenLine:
            self._release()
            raise AuditFileUnusable(
                "its last line is not one of an audit trail; check it and move it away"
            ) from None

    def append(self, events: Sequence[dict[str, Any]]) -> int:
        """Write as many of these as fit into the file; return how many: at least the first.

        They are on the disk when this returns.

        Raises:
            OSError: Nothing was written.
        """
        with self._turn:
            size = self._ready_for(events[0])
            lines: list[bytes] = []
            position = self._at
            for event in events:
                line, after = seal(position, {"event": event})
                if lines and size + len(line) + 1 > self._max_bytes:
                    break
                lines.append(line + b"\n")
                size += len(line) + 1
                position = after
            self._write(b"".join(lines))
            self._at = position
            return len(lines)

    def close(self) -> None:
        """Close the file; it can be opened again."""
        with self._turn:
            self._release()

    def _ready_for(self, event: dict[str, Any]) -> int:
        """Make sure that the file is there and has room for this entry; return its size."""
        if self._fd is not None and not self._is_in_place():
            logger.error("audit file: it was moved away; a new one is begun")
            self._release()
        if self._fd is not None:
            line, _ = seal(self._at, {"event": event})
            if self._at.seq > self._first_seq and self._size + len(line) >= self._max_bytes:
                self._archive()
        if self._fd is None:
            self._begin()
        return self._size

    def _is_in_place(self) -> bool:
        assert self._fd is not None  # noqa: S101 - asked for an open file only
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def _continue(self) -> None:
        """Open what is there and find the end of its chain, or begin the first file."""
        try:
            self._take(os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            if archives := self._archives():
                self._at = _last_line(archives[-1].read_bytes()).after
            self._begin()
            return
        assert self._fd is not None  # noqa: S101 - just opened
        if os.fstat(self._fd).st_mode & 0o007:
            logger.warning("audit file: everybody on this machine may read it; it should be 0600")
        whole, rest = self._lines_at_end()
        if whole is None:  # an opening line that was never finished holds no entry
            self._cut(0)
            self._release()
            self.path.unlink()
            self._continue()
            return
        self._at = read_line(whole).after
        if rest:
            self._archive()
            self._begin(after_incomplete_line=True)

    def _lines_at_end(self) -> tuple[bytes | None, bytes]:
        """Return the last whole line, None if there is none, and what follows it."""
        assert self._fd is not None  # noqa: S101 - asked for an open file only
        first = _read_at(self._fd, 0)
        if b"\n" not in first:
            return None, first
        self._first_seq = read_line(first.partition(b"\n")[0]).after.seq
        end = _read_at(self._fd, max(0, self._size - _TWO_LINES_BYTES))
        before, _, rest = end.rpartition(b"\n")
        return before.rpartition(b"\n")[2], rest

    def _take(self, flags: int) -> None:
        """Open the file for this process alone."""
        fd = os.open(self.path, flags, 0o600)
        try:
            if sys.platform != "win32":
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise OSError(0, "another hub writes it; each needs a file of its own") from None
        except OSError:
            os.close(fd)
            raise
        self._fd, self._size = fd, os.fstat(fd).st_size

    def _begin(self, *, after_incomplete_line: bool = False) -> None:
        """Begin a file where none is: its first line continues the chain."""
        self._take(os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL)
        opened: dict[str, Any] = {"at": instant(self._now())}
        if after_incomplete_line:
            opened["after_incomplete_line"] = True
        line, position = seal(self._at, {"opened": opened})
        try:
            self._write(line + b"\n")
        except OSError:
            self._release()
            self.path.unlink()
            raise
        self._first_seq = position.seq
        self._at = position
        self._sync_directory()
        self._prune()

    def _archive(self) -> None:
        """Give the file the name under which it is kept."""
        name = self.path.with_name(f"{self.path.name}.{self._first_seq:012}")
        if name.exists():
            raise FileExistsError(0, "the name for the rotated file is taken")
        self.path.rename(name)
        self._release()

    def _write(self, data: bytes) -> None:
        assert self._fd is not None  # noqa: S101 - its callers opened it
        try:
            self._cut(self._size)  # what an earlier write left, if taking it back failed too
            left = memoryview(data)
            while left:
                left = left[os.write(self._fd, left) :]
            os.fsync(self._fd)
        except OSError:
            self._cut(self._size)
            raise
        self._size += len(data)

    def _cut(self, size: int) -> None:
        assert self._fd is not None  # noqa: S101 - its callers opened it
        if os.fstat(self._fd).st_size != size:
            os.ftruncate(self._fd, size)

    def _archives(self) -> list[Path]:
        """Return the rotated files, the oldest first."""
        pattern = glob.escape(str(self.path)) + "." + "[0-9]" * 12
        return sorted(map(Path, glob.glob(pattern)))

    def _prune(self) -> None:
        for it in self._archives()[: -self._keep] if self._keep else ():
            it.unlink()
            logger.info("audit file: the oldest rotated file was removed")

    def _sync_directory(self) -> None:
        if sys.platform != "win32":
            fd = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def _release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _read_at(fd: int, offset: int) -> bytes:
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, _TWO_LINES_BYTES)


def _last_line(data: bytes) -> Line:
    whole, _, _ = data.rpartition(b"\n")
    return read_line(whole.rpartition(b"\n")[2])


class FileSink:
    """A file as a sink: written in a thread, tried again for ever."""

    name = "file"
    batch = 256
    max_attempts = 0

    def __init__(self, file: JsonlFile) -> None:
        self._file = file

    async def write(self, events: Sequence[dict[str, Any]]) -> int:
        """See `Sink.write`."""
        try:
            return await asyncio.to_thread(self._file.append, events)
        except OSError as error:
            raise SinkFailed(error.strerror or type(error).__name__) from None

    async def close(self) -> None:
        """See `Sink.close`."""
        await asyncio.to_thread(self._file.close)
