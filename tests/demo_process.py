"""`fhircast demo` as a process, and what it printed."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def demo(*flags: str, log: IO[str] | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the demo; yield the process and what it printed up to its last line.

    Args:
        flags: For the command.
        log: Takes standard error.
    """
    command = [sys.executable, "-u", "-m", "fhircast_hub", "demo", "--hub-port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    printed = ""
    for line in iter(process.stdout.readline, ""):
        printed += line
        if "Ctrl-C" in line:
            break
    try:
        yield process, printed
    finally:
        process.kill()
        process.communicate()


def value_of(printed: str, name: str) -> str:
    found = re.search(rf"^  {re.escape(name)} +(\S+)$", printed, re.MULTILINE)
    assert found, name
    return found[1]


def origin_of(printed: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", printed)
    assert found
    return found[0]
