"""What the hub's process costs, where it runs on this machine and the system tells (Linux)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


class NoProcess(Exception):
    """There is no such process, or the system does not tell."""


@dataclass(frozen=True, slots=True)
class HubProcess:
    """A process on this machine.

    Attributes:
        pid: Its number.
    """

    pid: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return the process of a number.

        Raises:
            NoProcess: There is none that can be looked at.
        """
        process = cls(pid)
        process.cpu_seconds()
        process.memory_bytes()
        return process

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used so far, in user and system mode.

        Raises:
            NoProcess: It is gone.
        """
        # The scheduler's own account, in nanoseconds; stat counts in ticks of 10 ms.
        return (
            sum(
                int(self._read(f"task/{thread}/schedstat").split()[0]) for thread in self._threads()
            )
            / 1e9
        )

    def memory_bytes(self) -> int:
        """Return the memory that it holds (resident).

        Raises:
            NoProcess: It is gone.
        """
        return int(self._read("statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _threads(self) -> list[str]:
        try:
            return os.listdir(f"/proc/{self.pid}/task")
        except OSError as error:
            raise NoProcess(f"no process {self.pid} to look at: {error.strerror}") from None

    def _read(self, name: str) -> str:
        try:
            return Path(f"/proc/{self.pid}/{name}").read_text()
        except OSError as error:
            raise NoProcess(f"no process {self.pid} to look at: {error.strerror}") from None
