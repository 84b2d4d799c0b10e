"""A chain of hashes over lines, so that a change of what was written shows.

A line is a JSON object: `seq`, `previous` (the hash of the line before), then `event`, or `opened`
in the first line of a file, and last `hash`: the SHA-256 of the line without that member. Sequence
and hashes run on over the files. A line that is changed no longer has its hash; one that is taken
out, put in or moved breaks the sequence. What is cut off at the end leaves no trace in what
remains: only somebody who noted the last hash or the count knows. And whoever can write the file
can compute a whole new chain: note the last hash elsewhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_TAIL = b',"hash":"'
_TAIL_BYTES = len(_TAIL) + 64 + len(b'"}')


@dataclass(frozen=True, slots=True)
class Position:
    """Where a chain stands: sequence number and hash of its last line."""

    seq: int
    hash: str


START = Position(-1, "0" * 64)
"""Before the first line of all."""


class BrokenLine(Exception):
    """A line that is not as it was written, or not where it was written.

    Attributes:
        reason: What is wrong with it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Record(msgspec.Struct, frozen=True):
    seq: int
    previous: str
    event: dict[str, Any] | None = None
    opened: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line whose hash fits.

    Attributes:
        before: Where the chain stood before it.
        after: Where it stands from here on.
        event: The AuditEvent, None in the first line of a file.
        opened: About the file, in its first line; else None.
    """

    before: Position
    after: Position
    event: dict[str, Any] | None
    opened: dict[str, Any] | None


def seal(after: Position, content: Mapping[str, Any]) -> tuple[bytes, Position]:
    """Return the line that comes next, without its line end, and where the chain then stands.

    Args:
        after: Where the chain stands.
        content: `event` or `opened`.
    """
    seq = after.seq + 1
    body = msgspec.json.encode({"seq": seq, "previous": after.hash, **content})
    digest = hashlib.sha256(body).hexdigest()
    return body[:-1] + _TAIL + digest.encode() + b'"}', Position(seq, digest)


def read_line(line: bytes) -> Line:
    """Return what a line holds, without its line end.

    Raises:
        BrokenLine: It was changed, or was never a line of an audit trail.
    """
    body, tail = line[:-_TAIL_BYTES] + b"}", line[-_TAIL_BYTES:]
    if not (tail.startswith(_TAIL) and tail.endswith(b'"}')):
        raise BrokenLine("not a line of an audit trail")
    digest = hashlib.sha256(body).hexdigest()
    if tail[len(_TAIL) : -2] != digest.encode():
        raise BrokenLine("changed: its hash does not fit")
    try:
        record = msgspec.json.decode(body, type=_Record)
    except msgspec.MsgspecError:
        raise BrokenLine("not a line of an audit trail") from None
    before = Position(record.seq - 1, record.previous)
    return Line(before, Position(record.seq, digest), record.event, record.opened)


@dataclass(frozen=True, slots=True)
class Break:
    """The first thing that is wrong.

    Attributes:
        file: Name of the file.
        line: Number of the line, from 1.
        reason: What is wrong.
    """

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of files found.

    Attributes:
        count: Lines that hold, up to the break.
        last: Where the chain stands after them; None if no line holds.
        broken: The first break, None if there is none.
        first_seq: Sequence number of the first line; above 0, older files were not looked at.
        incomplete: Files whose last line was never finished, as the next file says.
    """

    count: int = 0
    last: Position | None = None
    broken: Break | None = None
    first_seq: int = 0
    incomplete: tuple[str, ...] = ()


def verify(files: Sequence[tuple[str, Iterable[bytes]]]) -> Verdict:
    """Check the lines of files, in the order in which they were written.

    Args:
        files: Name and lines of each file; lines with their line ends.
    """
    walk = _Walk()
    for name, lines in files:
        broken = walk.through(name, lines)
        if broken is not None:
            return walk.verdict(broken)
    return walk.verdict(walk.unfinished)


class _Walk:
    """A walk over lines, from the first on."""

    def __init__(self) -> None:
        self._count = 0
        self._at: Position | None = None
        self._first_seq = 0
        self._incomplete: tuple[str, ...] = ()
        self.unfinished: Break | None = None

    def verdict(self, broken: Break | None) -> Verdict:
        return Verdict(self._count, self._at, broken, self._first_seq, self._incomplete)

    def through(self, name: str, lines: Iterable[bytes]) -> Break | None:
        """Walk over one file; return what is broken."""
        number = 0
        for number, raw in enumerate(lines, 1):
            if not raw.endswith(b"\n"):
                # Whether the hub knows of it, the next file tells.
                self.unfinished = Break(name, number, "incomplete: cut off before its end")
                return self.unfinished if number == 1 else None
            try:
                line = read_line(raw[:-1])
                self._step(line, is_first=number == 1)
            except BrokenLine as broken:
                return self.unfinished or Break(name, number, broken.reason)
        return None if number else Break(name, 1, "missing: the file is empty")

    def _step(self, line: Line, *, is_first: bool) -> None:
        if is_first and line.opened is None:
            raise BrokenLine("the first line of the file is missing")
        if self.unfinished is not None:
            if not (line.opened or {}).get("after_incomplete_line"):
                raise BrokenLine("follows a line that is incomplete")
            self._incomplete += (self.unfinished.file,)
            self.unfinished = None
        if self._at is None:
            self._first_seq = line.after.seq
        elif line.before.seq != self._at.seq:
            raise BrokenLine(
                f"out of sequence: number {line.after.seq} after number {self._at.seq}"
            )
        elif line.before.hash != self._at.hash:
            raise BrokenLine("does not follow the line before: another hash is named")
        self._at = line.after
        self._count += 1
