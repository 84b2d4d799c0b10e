"""What a server uses, from the kernel's accounts (/proc): CPU, memory, open files.

A server is a process group: nginx and workers are several processes. CPU comes from the
scheduler's own accounts, in nanoseconds; on a machine that others use, too, it is far steadier than
elapsed time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
_GROUP = 2
"""Place of the process group in /proc/PID/stat, counted after the command's name."""


def cpu_seconds(group: int) -> float:
    """Return the CPU time that the processes of a group have used so far."""
    nanoseconds = 0
    for process in _processes(group):
        for thread in (process / "task").iterdir():
            nanoseconds += int((thread / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def memory_kib(group: int) -> dict[str, int]:
    """Return the memory of a group: `pss`, its share of what is mapped, and `rss`."""
    found = {"pss": 0, "rss": 0}
    for process in _processes(group):
        for line in (process / "smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name.lower() in found:
                found[name.lower()] += int(rest.split()[0])
    return found


def open_files(group: int) -> int:
    """Return how many file descriptors the processes of a group hold."""
    return sum(len(list((process / "fd").iterdir())) for process in _processes(group))


def _processes(group: int) -> Iterator[Path]:
    for process in _PROC.iterdir():
        if not process.name.isdigit():
            continue
        try:
            # The name of a command may hold spaces and parentheses.
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[_GROUP]) == group:
                yield process
        except (FileNotFoundError, ProcessLookupError):
            continue  # gone meanwhile
