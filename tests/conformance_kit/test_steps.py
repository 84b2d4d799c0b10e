"""Steps at once: what goes wrong in one of them comes out as itself."""

from __future__ import annotations

import asyncio

import pytest
from fhircast_conformance.check import Blocked
from fhircast_conformance.steps import together


async def _returns(value: str) -> str:
    return value


async def test_results_come_in_the_order_of_the_steps() -> None:
    assert await together(_returns("first"), _returns("second")) == ["first", "second"]


async def test_a_step_that_goes_wrong_ends_the_others() -> None:
    ended = asyncio.Event()

    async def waits() -> str:
        try:
            await asyncio.Event().wait()
            return "never"
        finally:
            ended.set()

    async def is_blocked() -> str:
        raise Blocked("the hub did not go along")

    with pytest.raises(Blocked, match="did not go along"):
        await together(waits(), is_blocked())
    assert ended.is_set()
