"""Our hub passes the kit, in both profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conformance_kit.judged import doubts, hub_under_test
from conformance_kit.many import WAYS, hubs_under_test

if TYPE_CHECKING:
    from fhircast_conformance.check import Profile
    from redis_server import RedisServer


@pytest.mark.parametrize("profile", ["base", "ira"])
async def test_our_hub_holds_every_row_that_the_kit_can_see(profile: Profile) -> None:
    async with hub_under_test(profile) as hub:
        assert await doubts(hub) == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("profile", ["base", "ira"])
async def test_hubs_that_share_a_redis_hold_the_same_rows(
    profile: Profile, way: str, redis_server: RedisServer
) -> None:
    async with hubs_under_test(profile, way, redis_server.url) as hub:
        assert await doubts(hub) == []
