"""docs/performance.json: what was measured, by scenario, with where and how it was measured."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.figures import Results

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "performance.json"

_PACKAGES = ("fhircast-hub", "uvicorn", "starlette", "websockets", "uvloop", "httptools", "msgspec")


def load() -> Results:
    """Return what was measured before, nothing if there is no file."""
    if not FILE.exists():
        return {}
    found: Results = json.loads(FILE.read_text())
    return found


def save(results: Results) -> None:
    """Write the file: one line for each run, so that changes can be read."""
    parts = []
    for name, result in sorted(results.items()):
        head = {key: it for key, it in result.items() if key != "rows"}
        fields = [f"  {json.dumps(key)}: {json.dumps(it)}" for key, it in sorted(head.items())]
        rows = ",\n".join(f"   {json.dumps(row)}" for row in result["rows"])
        fields.append(f'  "rows": [\n{rows}\n  ]')
        parts.append(f" {json.dumps(name)}: {{\n" + ",\n".join(fields) + "\n }")
    FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def circumstances(command: str) -> Results:
    """Return where, when and with what something is measured."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "command": command,
        "commit": _commit(),
        "machine": _machine(),
        "versions": _versions(),
    }


def _commit() -> str:
    """Return the commit, and whether the hub was changed since; the figures change the docs."""
    changed = _said_by("git", "-C", str(ROOT), "status", "--porcelain", "hub")
    commit = _said_by("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    return f"{commit}, changed" if changed else commit


def _machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} CPUs, {memory_gib:.0f} GiB, Linux {platform.release()}"


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    found |= {name: metadata.version(name) for name in _PACKAGES}
    if shutil.which("node"):
        found["node"] = _said_by("node", "--version").lstrip("v")
    if shutil.which("nginx"):
        found["nginx"] = _said_by("nginx", "-v").rpartition("/")[2]
    return found


def _said_by(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip()
