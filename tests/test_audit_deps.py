"""The answer of pip-audit: what is known counts, what could not be asked is said."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from audit_deps import CONSTRAINTS, read_report

if TYPE_CHECKING:
    from pathlib import Path


def test_known_vulnerabilities_are_told_with_the_version_that_mends_them() -> None:
    """Supply chain."""
    vulns = [{"id": "PYSEC-1", "fix_versions": ["2.0", "1.9.1"]}, {"id": "PYSEC-2"}]
    report = read_report(
        {
            "dependencies": [
                {"name": "a", "version": "1.0", "vulns": vulns},
                {"name": "b", "version": "1.0", "vulns": []},
                {"name": "c", "skip_reason": "not found"},
            ]
        }
    )
    assert report.known == [
        "a 1.0: PYSEC-1, fixed in 2.0, 1.9.1",
        "a 1.0: PYSEC-2, fixed in no version yet",
    ]
    assert (report.checked, report.skipped) == (2, ["c"])


def test_what_cannot_be_asked_is_a_warning(tmp_path: Path) -> None:
    """A build must not depend on somebody else's server."""
    command = [sys.executable, str(CONSTRAINTS.parent / "tests" / "audit_deps.py")]
    command += ["--constraints", str(tmp_path / "none.txt")]
    asked = subprocess.run(command, capture_output=True, check=False, text=True)
    assert asked.returncode == 0
    assert "WARNING" in asked.stderr


def test_every_pin_is_exact() -> None:
    """What was tested is what is installed."""
    pins = [it for it in CONSTRAINTS.read_text().splitlines() if it and not it.startswith("#")]
    assert all(it.count("==") == 1 and " " not in it for it in pins)
