"""The hub that these tests talk to; properties are tried the same way in every run."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from hub_server import hub, pytest_generate_tests, start_hub
from hypothesis import HealthCheck, settings
from redis_server import redis_of_worker, redis_server

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

__all__ = ["hub", "pytest_generate_tests", "redis_of_worker", "redis_server", "start_hub"]

settings.register_profile(
    "default",
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # of a machine that others use, too
)
settings.load_profile("default")

_ON_BOTH_LOOPS = {"test_wire_backpressure.py"}
"""Where loops differ: when what was written is sent, and who is told that it cannot be."""


def pytest_asyncio_loop_factories(
    config: pytest.Config,
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run these tests on the loop of `fhircast serve`, too."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "asyncio": asyncio.new_event_loop
    }
    if item.path.name in _ON_BOTH_LOOPS and sys.platform != "win32":
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories
