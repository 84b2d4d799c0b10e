"""Ask for known vulnerabilities of every pinned package: `make audit-deps`.

Exits 1 if one is known, 0 if none is. What could not be asked about (no network, an index without
advisories) is said aloud and fails nothing: a build must not depend on somebody else's server.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


def main() -> int:
    """Ask, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--constraints", type=Path, default=CONSTRAINTS)
    asked = _ask(parser.parse_args().constraints)
    if asked is None:
        return _warn("pip-audit could not ask: nothing was checked")
    report = read_report(asked)
    for line in report.known:
        _say(line)
    if report.skipped:
        _warn(f"not checked, the index knows no advisories of it: {', '.join(report.skipped)}")
    _say(f"{report.checked} packages checked, {len(report.known)} known vulnerabilities")
    return 1 if report.known else 0


class Report:
    """What the answer says.

    Attributes:
        known: One line for each known vulnerability.
        skipped: Packages that could not be asked about.
        checked: How many could.
    """

    def __init__(self) -> None:
        self.known: list[str] = []
        self.skipped: list[str] = []
        self.checked = 0


def read_report(answer: dict[str, Any]) -> Report:
    """Return what pip-audit found."""
    report = Report()
    for it in answer.get("dependencies", []):
        if "skip_reason" in it:
            report.skipped.append(it["name"])
            continue
        report.checked += 1
        for one in it.get("vulns", []):
            fixed = ", ".join(one.get("fix_versions", [])) or "no version yet"
            report.known.append(f"{it['name']} {it['version']}: {one['id']}, fixed in {fixed}")
    return report


def _ask(constraints: Path) -> dict[str, Any] | None:
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(constraints), "--no-deps"]
    command += ["--disable-pip", "--format", "json", "--progress-spinner", "off"]
    try:
        asked = subprocess.run(command, capture_output=True, check=False, timeout=600)
        answer = json.loads(asked.stdout)
    except (ValueError, subprocess.TimeoutExpired):
        return None
    return answer if isinstance(answer, dict) else None


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _warn(line: str) -> int:
    sys.stderr.write(f"WARNING: {line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
