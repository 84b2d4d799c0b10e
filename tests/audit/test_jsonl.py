"""The audit file: chained, rotated, locked; it loses nothing and overwrites nothing."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from builders import NOON
from fhircast_hub.audit.chain import verify
from fhircast_hub.audit.jsonl import AuditFileUnusable, JsonlFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fhircast_hub.audit.chain import Verdict


def opened(path: Path, *, max_bytes: int = 65_536, keep: int = 0) -> JsonlFile:
    return JsonlFile(path, max_bytes=max_bytes, keep=keep, now=lambda: NOON)


def entries(count: int) -> list[dict[str, Any]]:
    return [{"resourceType": "AuditEvent", "outcomeDesc": "x" * 100} for _ in range(count)]


def append_all(file: JsonlFile, events: list[dict[str, Any]]) -> None:
    while events:
        events = events[file.append(events) :]


def files_of(path: Path) -> list[Path]:
    """All files of the trail, the oldest first."""
    return [*sorted(path.parent.glob(f"{path.name}.*")), path]


def verdict_of(path: Path) -> Verdict:
    return verify([(it.name, it.read_bytes().splitlines(keepends=True)) for it in files_of(path)])


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """No file of this process may grow beyond this many bytes: a write fails in its middle."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_only_its_owner_may_read_it(audit_file: Path) -> None:
    """It holds who looked at which patient."""
    opened(audit_file).close()
    assert stat.S_IMODE(audit_file.stat().st_mode) == 0o600


def test_entries_are_chained(audit_file: Path) -> None:
    file = opened(audit_file)
    append_all(file, entries(5))
    verdict = verdict_of(audit_file)
    assert (verdict.broken, verdict.count) == (None, 6)
    file.close()


def test_a_restart_continues_the_file(audit_file: Path) -> None:
    for _ in range(3):
        file = opened(audit_file)
        append_all(file, entries(2))
        file.close()
    verdict = verdict_of(audit_file)
    assert (verdict.broken, verdict.count) == (None, 7)


def test_a_full_file_is_rotated(audit_file: Path) -> None:
    """By size; what is rotated keeps its name for ever, and the chain runs on."""
    file = opened(audit_file, max_bytes=2000)
    append_all(file, entries(40))
    file.close()
    assert len(files_of(audit_file)) > 3
    assert all(it.stat().st_size <= 2000 for it in files_of(audit_file))
    verdict = verdict_of(audit_file)
    assert verdict.broken is None
    assert verdict.count == 40 + len(files_of(audit_file))


def test_rotated_files_beyond_the_limit_are_removed(audit_file: Path) -> None:
    """The oldest; what remains holds, and tells that it does not begin at the beginning."""
    file = opened(audit_file, max_bytes=2000, keep=2)
    append_all(file, entries(60))
    file.close()
    assert len(files_of(audit_file)) == 3
    verdict = verdict_of(audit_file)
    assert verdict.broken is None
    assert verdict.first_seq > 0


def test_an_entry_larger_than_a_file_gets_one_of_its_own(audit_file: Path) -> None:
    file = opened(audit_file, max_bytes=300)
    append_all(file, [{"outcomeDesc": "x" * 1000}] * 3)
    file.close()
    assert len(files_of(audit_file)) == 3
    assert verdict_of(audit_file).broken is None


def test_rotation_overwrites_nothing(audit_file: Path) -> None:
    """If the name is taken, nothing is written, and nothing gets lost."""
    file = opened(audit_file, max_bytes=1000)
    taken = audit_file.with_name("audit.jsonl.000000000000")
    taken.write_text("precious")
    with pytest.raises(OSError, match="taken"):
        append_all(file, entries(40))
    assert taken.read_text() == "precious"
    taken.unlink()
    append_all(file, entries(5))
    assert verdict_of(audit_file).broken is None
    file.close()


def test_two_hubs_cannot_write_one_file(audit_file: Path) -> None:
    file = opened(audit_file)
    with pytest.raises(AuditFileUnusable, match="another hub"):
        opened(audit_file)
    file.close()
    opened(audit_file).close()


def test_a_file_of_something_else_is_left_alone(audit_file: Path) -> None:
    audit_file.write_text('{"hello": "world"}\n')
    with pytest.raises(AuditFileUnusable, match="move it away"):
        opened(audit_file)
    assert audit_file.read_text() == '{"hello": "world"}\n'


def test_an_end_that_was_changed_is_not_continued(audit_file: Path) -> None:
    file = opened(audit_file)
    append_all(file, entries(2))
    file.close()
    audit_file.write_bytes(audit_file.read_bytes().replace(b"xxx", b"yyy"))
    with pytest.raises(AuditFileUnusable, match="move it away"):
        opened(audit_file)


def test_a_missing_directory_is_said(audit_file: Path) -> None:
    with pytest.raises(AuditFileUnusable, match="No such file or directory"):
        opened(audit_file / "there" / "audit.jsonl")


def test_what_a_crash_left_incomplete_is_kept(audit_file: Path) -> None:
    """In the file before; the new one says so, and the chain goes on after the last whole line."""
    file = opened(audit_file)
    append_all(file, entries(2))
    file.close()
    with audit_file.open("ab") as torn:
        torn.write(b'{"seq":3,"prev')
    file = opened(audit_file)
    append_all(file, entries(1))
    file.close()
    before, _ = files_of(audit_file)
    assert before.read_bytes().endswith(b'"prev')
    verdict = verdict_of(audit_file)
    assert (verdict.broken, verdict.count) == (None, 5)
    assert verdict.incomplete == (before.name,)


def test_a_crash_at_the_very_beginning_leaves_nothing_to_keep(audit_file: Path) -> None:
    audit_file.write_bytes(b'{"seq":0,"prev')
    file = opened(audit_file)
    append_all(file, entries(1))
    file.close()
    assert verdict_of(audit_file).broken is None


def test_a_crash_between_two_files_does_not_break_the_chain(audit_file: Path) -> None:
    """The old one renamed, the new one not made."""
    file = opened(audit_file)
    append_all(file, entries(2))
    file.close()
    audit_file.rename(audit_file.with_name("audit.jsonl.000000000000"))
    file = opened(audit_file)
    append_all(file, entries(1))
    file.close()
    verdict = verdict_of(audit_file)
    assert (verdict.broken, verdict.count) == (None, 5)


def test_a_full_disk_leaves_no_half_line(audit_file: Path) -> None:
    """What was written of it is taken back; once there is room, the chain goes on."""
    file = opened(audit_file)
    append_all(file, entries(2))
    size = audit_file.stat().st_size
    with disk_full_at(size + 100), pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        file.append(entries(3))
    assert audit_file.stat().st_size == size
    append_all(file, entries(3))
    file.close()
    verdict = verdict_of(audit_file)
    assert (verdict.broken, verdict.count) == (None, 6)


def test_a_disk_that_is_full_at_rotation_loses_nothing(audit_file: Path) -> None:
    file = opened(audit_file, max_bytes=1000)
    append_all(file, entries(3))
    with disk_full_at(10), pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        append_all(file, entries(3))
    append_all(file, entries(3))
    file.close()
    assert verdict_of(audit_file).broken is None


def test_a_file_that_was_moved_away_is_not_written_any_more(audit_file: Path) -> None:
    """As other programs rotate: what comes next is in a new file, and the chain runs on."""
    file = opened(audit_file)
    append_all(file, entries(2))
    moved = audit_file.with_name("audit.jsonl.moved")
    audit_file.rename(moved)
    append_all(file, entries(2))
    file.close()
    verdict = verdict_of(audit_file)
    assert (verdict.broken, verdict.count) == (None, 6)
