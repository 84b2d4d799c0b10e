"""A request is judged on the session that is at hand; what is refused is judged on the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from backend_runs import running
from builders import NOON, REPORT, TOPIC, case, close_event, open_case
from fhircast_hub.backends.base import BackendLimits
from fhircast_hub.backends.redis import RedisBackend, Server
from fhircast_hub.fanout import Fanout
from fhircast_hub.hub import Hub, HubRules
from fhircast_hub.protocol.channel import ChannelRules
from fhircast_hub.protocol.errors import ContextNotOpen
from fhircast_hub.protocol.session import Rules
from fhircast_hub.security.grant import ANYBODY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis_server import RedisServer


class StandingClock:
    """Noon, for ever."""

    def utc(self) -> object:
        return NOON

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
async def hubs(redis_server: RedisServer) -> AsyncIterator[list[Hub]]:
    """Two hubs that both know the session as it was when case 1 was opened."""
    rules = HubRules(session=Rules(ira=True))
    async with running() as run:
        made = []
        for _ in range(2):
            backend = run(RedisBackend(Server(redis_server.url), BackendLimits()))
            await backend.make_topic(TOPIC, "v0", now=NOON)
            hub = Hub(backend, Fanout(ChannelRules()), rules=rules, clock=StandingClock())  # type: ignore[arg-type]  # stands still
            made.append(hub)
        await made[0].request_change(open_case(1), ANYBODY)
        for hub in made:
            await hub.current_context(TOPIC, ANYBODY)
        yield made


async def test_what_was_changed_elsewhere_is_not_accepted_by_what_is_at_hand(
    hubs: list[Hub],
) -> None:
    """EVT-03, CONT-06: the session at hand would accept it; the commit says that it is too old."""
    first, second = hubs
    await second.request_change(close_event(REPORT), ANYBODY)
    with pytest.raises(ContextNotOpen):
        await first.request_change(close_event(REPORT), ANYBODY)


async def test_what_was_opened_elsewhere_is_not_refused_by_what_is_at_hand(
    hubs: list[Hub],
) -> None:
    """EVT-03, D-29: the session at hand does not know of it."""
    first, second = hubs
    await second.request_change(open_case(2), ANYBODY)
    accepted = await first.request_change(close_event(case(2)[0]), ANYBODY)
    assert accepted.status == 202


async def test_a_repetition_is_recognised_at_another_hub(hubs: list[Hub]) -> None:
    """IRA-HUB-20, D-28: and answered alike."""
    first, second = hubs
    request = open_case(2)
    accepted = await second.request_change(request, ANYBODY)
    assert await first.request_change(request, ANYBODY) == accepted
