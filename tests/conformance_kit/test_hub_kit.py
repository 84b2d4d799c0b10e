"""Our hub passes the kit, in both profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conformance_kit.judged import doubts, hub_under_test

if TYPE_CHECKING:
    from fhircast_conformance.check import Profile


@pytest.mark.parametrize("profile", ["base", "ira"])
async def test_our_hub_holds_every_row_that_the_kit_can_see(profile: Profile) -> None:
    async with hub_under_test(profile) as hub:
        assert await doubts(hub) == []
