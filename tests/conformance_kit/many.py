"""Three hubs on one Redis, for the kit to judge as if they were one."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from conformance_kit.judged import QUICK, MintedTokens, quick_settings
from fhircast_conformance.probing import look_at
from hub_server import running_hub
from scatter import scattering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fhircast_conformance.bench import HubUnderTest
    from fhircast_conformance.check import Profile

HUBS = 3
ONE_OF_THREE = "one of three hubs"
"""The kit talks to one hub; the others have the same sessions, sweep them and follow nothing."""

ANY_OF_THREE = "any of three hubs"
"""Each request and each WebSocket of the kit comes to a hub by chance."""

WAYS = (ONE_OF_THREE, ANY_OF_THREE)


@asynccontextmanager
async def hubs_under_test(
    profile: Profile, way: str, redis_url: str
) -> AsyncIterator[HubUnderTest]:
    """Run three hubs with quick timers on one Redis.

    Args:
        profile: Of all of them.
        way: How the kit comes to them, one of `WAYS`.
        redis_url: Where their sessions are.
    """
    settings = quick_settings(profile) | {"backend": redis_url}
    async with AsyncExitStack() as open_:
        front = await open_.enter_async_context(scattering())
        if way == ANY_OF_THREE:
            settings["public_url"] = front.origin
        hubs = [await open_.enter_async_context(running_hub(**settings)) for _ in range(HUBS)]
        front.ports = [urlsplit(it.origin).port or 0 for it in hubs]
        yield await look_at(
            hubs[0].url, profile, QUICK, MintedTokens(), is_balanced=way == ANY_OF_THREE
        )
        assert way == ONE_OF_THREE or len(front.went_to) == HUBS
