"""The session that is attacked here, on a hub that demands tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attacked import Attacked, attacked_session
from hub_server import hub, start_hub

if TYPE_CHECKING:
    from pathlib import Path

    from hub_server import StartHub

__all__ = ["attacked", "hub", "start_hub"]


@pytest.fixture
async def attacked(start_hub: StartHub, tmp_path: Path) -> Attacked:
    return await attacked_session(start_hub, tmp_path, reconnect_grace_seconds="0")
