"""The chain of hashes: whatever is changed, taken out or moved is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fhircast_hub.audit.chain import START, BrokenLine, Position, read_line, seal, verify
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterable

OPENED = {"opened": {"at": "2026-03-02T12:00:00.000Z"}}


def written(count: int, after: Position = START, **opened: bool) -> tuple[list[bytes], Position]:
    """A file with this many entries after its first line."""
    contents = [
        {"opened": {**OPENED["opened"], **opened}},
        *({"event": {"resourceType": "AuditEvent", "n": it}} for it in range(count)),
    ]
    lines = []
    for content in contents:
        line, after = seal(after, content)
        lines.append(line + b"\n")
    return lines, after


def split(data: bytes) -> list[bytes]:
    """Lines as a file gives them."""
    return [it + b"\n" for it in data.split(b"\n")[:-1]] + list(
        filter(None, [data.rpartition(b"\n")[2]])
    )


def broken_line(lines: Iterable[bytes]) -> int:
    """Number of the first broken line, 0 if all hold."""
    broken = verify([("audit.jsonl", lines)]).broken
    return broken.line if broken else 0


FILE, END = written(6)


def test_what_was_written_holds() -> None:
    """The verdict names count and end, to be noted elsewhere."""
    verdict = verify([("audit.jsonl", FILE)])
    assert (verdict.broken, verdict.count, verdict.last) == (None, 7, END)
    assert verdict.first_seq == 0


def test_a_line_tells_what_is_in_it() -> None:
    line = read_line(FILE[1][:-1])
    assert line.event == {"resourceType": "AuditEvent", "n": 0}
    assert (line.opened, line.after.seq) == (None, 1)
    assert line.before == read_line(FILE[0][:-1]).after


@given(st.integers(0, len(b"".join(FILE)) - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(position: int, difference: int) -> None:
    data = bytearray(b"".join(FILE))
    number = data[:position].count(b"\n") + 1
    data[position] ^= difference
    assert broken_line(split(bytes(data))) == number


@given(st.integers(0, len(b"".join(FILE)) - 1), st.binary(max_size=3))
def test_any_byte_taken_out_or_replaced_by_others_is_noticed(position: int, other: bytes) -> None:
    data = b"".join(FILE)
    if other == data[position : position + 1]:
        return
    assert broken_line(split(data[:position] + other + data[position + 1 :]))


@given(st.sets(st.integers(0, 6), min_size=1, max_size=6))
def test_lines_taken_out_are_noticed(gone: set[int]) -> None:
    """All but those at the end, which leave no trace: that takes a count or a hash."""
    left = [it for number, it in enumerate(FILE) if number not in gone]
    is_at_end = gone == set(range(7 - len(gone), 7))
    assert bool(broken_line(left)) is not is_at_end


@given(st.permutations(FILE))
def test_lines_in_another_order_are_noticed(lines: list[bytes]) -> None:
    assert bool(broken_line(lines)) is (lines != FILE)


@given(st.integers(0, 6), st.integers(0, 7))
def test_a_line_put_in_twice_is_noticed(number: int, where: int) -> None:
    assert broken_line([*FILE[:where], FILE[number], *FILE[where:]])


def test_a_line_of_another_chain_is_noticed() -> None:
    """It has a fitting hash and number, and follows something else."""
    other, _ = written(6, Position(-1, "f" * 64))
    verdict = verify([("audit.jsonl", [*FILE[:3], other[3], *FILE[4:]])])
    assert verdict.broken is not None
    assert (verdict.broken.line, verdict.count) == (4, 3)
    assert "another hash" in verdict.broken.reason


def test_a_cut_end_leaves_no_trace() -> None:
    """Only who noted count or hash can tell."""
    assert verify([("audit.jsonl", FILE[:4])]).broken is None


def test_the_chain_runs_on_over_files() -> None:
    second, end = written(2, END)
    verdict = verify([("a.0", FILE), ("a", second)])
    assert (verdict.broken, verdict.count, verdict.last) == (None, 10, end)


def test_a_missing_file_is_noticed() -> None:
    """In the middle; at the beginning it shows as older entries that were not looked at."""
    second, end = written(2, END)
    third, _ = written(2, end)
    broken = verify([("a.0", FILE), ("a", third)]).broken
    assert broken is not None
    assert (broken.file, broken.line) == ("a", 1)
    assert broken.reason.startswith("out of sequence")
    assert verify([("a.7", second), ("a", third)]).first_seq == 7


def test_a_file_without_its_first_line_is_noticed() -> None:
    broken = verify([("a", FILE[1:])]).broken
    assert broken is not None
    assert "first line of the file is missing" in broken.reason


def test_an_empty_file_is_noticed() -> None:
    assert broken_line([]) == 1


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b"\xff" * 200, b'{"hash":"' + b"0" * 64 + b'"}']
)
def test_something_else_is_no_line(line: bytes) -> None:
    with pytest.raises(BrokenLine):
        read_line(line)


def test_an_incomplete_end_is_noticed() -> None:
    broken = verify([("a", [*FILE, b'{"seq":7'])]).broken
    assert broken is not None
    assert (broken.line, broken.reason) == (8, "incomplete: cut off before its end")


def test_an_incomplete_end_that_the_hub_found_is_a_remark() -> None:
    """After a crash; the next file says so, and only then is it fine."""
    torn = [*FILE, b'{"seq":7']
    knows, _ = written(1, END, after_incomplete_line=True)
    verdict = verify([("a.0", torn), ("a", knows)])
    assert (verdict.broken, verdict.incomplete) == (None, ("a.0",))
    silent, _ = written(1, END)
    broken = verify([("a.0", torn), ("a", silent)]).broken
    assert broken is not None
    assert (broken.file, broken.line) == ("a.0", 8)
