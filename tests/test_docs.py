"""What can be set and asked for is written down."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from fhircast_hub.config import Settings, variable_of

_ROOT = Path(__file__).parent.parent
_DEMO = _ROOT / "examples" / "fhircast_demo"
_HUB_README = (_ROOT / "hub" / "README.md").read_text()
_SECURITY = (_ROOT / "SECURITY.md").read_text()


@pytest.mark.parametrize("name", [it.name for it in fields(Settings)])
def test_every_setting_is_documented(name: str) -> None:
    """Each variable stands in the table of hub/README.md."""
    assert f"| `{variable_of(name)}` |" in _HUB_README


_TEST = re.compile(r"`((?:[a-z0-9_]+/)+test_[a-z0-9_]+\.py)::(test_[a-z0-9_]+)`")


def test_each_fault_names_tests_that_exist() -> None:
    """docs/operations.md: what is said of a fault is shown by a test."""
    table = (_ROOT / "docs" / "operations.md").read_text().split("\n## Faults\n")[1]
    rows = [it for it in table.splitlines() if it.startswith("| ")][2:]
    assert len(rows) > 12
    for row in rows:
        named = _TEST.findall(row)
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (_ROOT / "tests" / file).read_text(), row


_FILE = re.compile(r"`([a-z_]+(?:/[a-z_]+)*\.py|[a-z_]+/(?:[a-z_]+/?)*)`")


def test_the_threat_table_names_files_that_exist() -> None:
    """SECURITY.md: each threat with its control, where it is, and a test of it."""
    rows = [it for it in _SECURITY.splitlines() if it.startswith("| ")][2:]
    assert len(rows) > 20
    for row in rows:
        code, test = (_FILE.findall(it) for it in row.split(" | ")[3:5])
        assert code, row
        assert test, row
        folders = (_ROOT, _ROOT / "hub" / "fhircast_hub", _ROOT / "subscribers", _DEMO)
        missing = [it for it in (*code, *test) if not any((at / it).exists() for at in folders)]
        assert missing == []
