"""Profiles of hypothesis, the scripted hub and the real one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from subscribers.profiles import violations
from subscribers.real_hub import real_hub
from subscribers.scripted_hub import ScriptedHub, scripted_hub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

settings.register_profile(
    "default", max_examples=60, derandomize=True, deadline=None, database=None
)
settings.register_profile("long", max_examples=2_000, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedHub]:
    """A scripted hub; whatever a test makes the library post has to be valid (EVT-16, PROF-01)."""
    async with scripted_hub() as hub:
        yield hub
    assert [found for post in hub.posts for found in violations(post)] == []


@pytest.fixture
async def hub_url() -> AsyncIterator[str]:
    """`hub.url` of the real hub, in this process."""
    async with real_hub() as url:
        yield url
