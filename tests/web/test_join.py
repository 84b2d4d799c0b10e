"""A socket that is opened while its subscription changes; the hub without a socket between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import TOPIC, open_case, value
from fhircast_hub.backends.base import BackendLimits
from fhircast_hub.backends.memory import MemoryBackend
from fhircast_hub.clock import SystemClock
from fhircast_hub.fanout import Fanout
from fhircast_hub.hub import Hub, HubRules
from fhircast_hub.protocol.channel import ChannelRules
from fhircast_hub.protocol.subscription import Subscription, SubscriptionRequest
from fhircast_hub.security.tokens import NoAuthentication
from fhircast_hub.web.outbox import Outbox

if TYPE_CHECKING:
    from fhircast_hub.security.grant import Grant

GRANT: Grant = NoAuthentication().verify("")


@pytest.fixture
def hub() -> Hub:
    backend = MemoryBackend(BackendLimits())
    return Hub(backend, Fanout(ChannelRules()), rules=HubRules(), clock=SystemClock())


def asked(event: str, endpoint_id: str = "", *, leaves: bool = False) -> SubscriptionRequest:
    return SubscriptionRequest(
        is_unsubscribe=leaves,
        topic=TOPIC,
        events={event.lower(): event},
        lease_seconds=None,
        endpoint_id=endpoint_id,
        subscriber_name="Viewer",
    )


async def subscribed(hub: Hub, event: str) -> Subscription:
    found = await hub.find(await hub.subscribe(asked(event), GRANT))
    assert found is not None
    return found


def outbox() -> Outbox:
    return Outbox(max_frames=10, max_bytes=100_000)


async def test_a_renewal_meanwhile_is_what_counts(hub: Hub) -> None:
    """SUB-11: the record read before the socket was open must not come back over the new one."""
    before = await subscribed(hub, "Patient-open")
    await hub.subscribe(asked("Home-open", before.endpoint_id), GRANT)
    frames = outbox()
    assert await hub.join(before, frames) is not None
    assert value(await frames.take() or b"")["hub.events"] == "Home-open"
    after = await hub.find(before.endpoint_id)
    assert after is not None
    assert list(after.events) == ["home-open"]


async def test_an_unsubscribe_meanwhile_leaves_nothing_to_join(hub: Hub) -> None:
    """UNS-04: the socket is not served."""
    before = await subscribed(hub, "Patient-open")
    await hub.unsubscribe(asked("Patient-open", before.endpoint_id, leaves=True), GRANT)
    assert await hub.join(before, outbox()) is None


async def test_an_open_before_the_join_is_replayed(hub: Hub) -> None:
    """REP-01: accepted before anybody listens, so it comes from the session."""
    before = await subscribed(hub, "DiagnosticReport-open")
    opened = open_case()
    await hub.request_change(opened, GRANT)
    frames = outbox()
    await hub.join(before, frames)
    await frames.take()
    assert value(await frames.take() or b"")["id"] == opened.id
