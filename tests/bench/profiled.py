"""Where the hub's time goes under S2: samples of its stack, by the part that they were found in."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.catalogue import HUB, tokens
from bench.generator import LoadFailed, loading
from bench.scenario import Scenario, progress
from bench.servers import CannotStart, running

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.figures import Row
    from bench.scenario import Plan
    from bench.servers import Server

_SECONDS = 10
_PER_SECOND = 250
_TOPICS = 200

_LOOP = "event loop, system calls"
"""uvloop is no Python and has no frame of its own: its time is that of who runs it."""

_FRAME = re.compile(r".* \((?P<file>[^()]+?)(?::\d+)?\)$")


def part_of(frame: str) -> str:
    """Return what a frame of a stack belongs to: a file of the hub, or a package.

    Args:
        frame: As py-spy writes it, "name (path/to/file.py:12)".
    """
    found = _FRAME.match(frame)
    file = found["file"] if found else frame
    if "fhircast_hub/" in file:
        return file.rpartition("fhircast_hub/")[2]
    if file.endswith("asyncio/runners.py"):
        return _LOOP
    _, installed, inner = file.rpartition("site-packages/")
    return inner.partition("/")[0] if installed else "standard library"


def shares(stacks: Iterable[str]) -> list[tuple[str, int, int]]:
    """Return (part, samples in it, samples in it or below it), the first ones first.

    Args:
        stacks: Lines "outermost;…;innermost count".
    """
    inside: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        parts = [part_of(frame) for frame in stack.split(";")]
        inside[parts[-1]] += int(count)
        for part in set(parts):
            below[part] += int(count)
    ordered = sorted(below, key=lambda part: (-below[part], part))
    return [(part, inside[part], below[part]) for part in ordered]


def _measure(plan: Plan) -> Iterator[Row]:
    py_spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if py_spy is None:
        progress("profile: py-spy is not installed (pip install py-spy)")
        yield {"missing_tool": "py-spy"}
        return
    row: Row = {"server": "hub", "round": 1}
    try:
        with running(HUB) as server:
            row |= _run(server, py_spy, max(_SECONDS * plan.scale, 2))
    except (CannotStart, LoadFailed, subprocess.CalledProcessError) as error:
        row["failed"] = str(error)
    progress(f"profile: {row.get('failed') or row['samples']} samples")
    yield row


def _run(server: Server, py_spy: str, seconds: float) -> Row:
    options = {"topics": _TOPICS, "publishers": 32, "joiners": 16}
    endless = {"events": 1_000_000, "seconds": seconds + 30}
    with (
        TemporaryDirectory() as folder,
        loading(server, tokens(_TOPICS), **options, **endless) as load,
    ):
        load.go()
        out = Path(folder, "stacks")
        command = [py_spy, "record", "--pid", str(server.group), "--rate", str(_PER_SECOND)]
        command += ["--duration", str(round(seconds)), "--format", "raw", "--full-filenames"]
        subprocess.run([*command, "--output", str(out)], check=True, capture_output=True)
        parts = shares(out.read_text().splitlines())
    return {"samples": sum(inside for _, inside, _ in parts), "parts": parts}


SCENARIOS = (Scenario("profile", "where the hub's time goes under S2 (py-spy)", _measure),)
