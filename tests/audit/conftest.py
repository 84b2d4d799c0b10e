"""The hub that these tests talk to, and its audit file, or FHIR server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from app_server import serve
from hub_server import hub, start_hub

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["hub", "serve", "start_hub"]


@pytest.fixture
def audit_file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"
