"""The real hub in this process, on a free port."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fhircast_hub.config import load_settings
from fhircast_hub.web.app import create_app
from subscribers.scripted_hub import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def real_hub(**settings: str) -> AsyncIterator[str]:
    """Run the hub; yield its `hub.url`.

    Args:
        settings: Overrides by name, as text.
    """
    app = create_app(load_settings({}, {"auth": "none", "port": "0", **settings}))
    async with serving(app) as port:
        yield f"http://127.0.0.1:{port}/api/hub"
