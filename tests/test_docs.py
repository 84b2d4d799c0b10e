"""What can be set and asked for is written down."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from fhircast_hub.config import Settings, variable_of

_HUB_README = (Path(__file__).parent.parent / "hub" / "README.md").read_text()


@pytest.mark.parametrize("name", [it.name for it in fields(Settings)])
def test_every_setting_is_documented(name: str) -> None:
    """Each variable stands in the table of hub/README.md."""
    assert f"| `{variable_of(name)}` |" in _HUB_README
