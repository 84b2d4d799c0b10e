"""Upgrades to endpoints that ended or never were: a denial that says what is known, and a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from websockets.exceptions import InvalidStatus

if TYPE_CHECKING:
    from fhircast_conformance.wire import Json, Socket, Wire
    from hub_server import RunningHub, StartHub


def endpoint(hub: RunningHub, id: str) -> str:
    return hub.url.replace("http", "ws", 1) + f"/ws/{id}"


async def denial(wire: Wire, url: str) -> Json:
    socket: Socket = await wire.connect(url)
    frame = await socket.next()
    assert frame["hub.mode"] == "denied"
    assert await socket.close_code() == 1008
    return frame


async def test_an_ended_endpoint_is_denied_by_what_it_was(hub: RunningHub) -> None:
    """D-43, UNS-04, IRA-HUB-06: topic and events as last known, a reason, close 1008."""
    socket = await hub.wire.join(TOPIC, ["Patient-open"], name="Viewer")
    await hub.wire.subscribe(
        TOPIC, ["patient-close", "SyncError"], hub__channel__endpoint=socket.endpoint
    )
    await socket.confirmed()
    await hub.wire.unsubscribe(TOPIC, socket.endpoint)
    frame = await denial(hub.wire, socket.endpoint)
    assert (frame["hub.topic"], frame["hub.events"]) == (TOPIC, "patient-close,SyncError")
    assert frame["hub.reason"]


async def test_an_endpoint_that_was_given_up_before_anybody_connected(hub: RunningHub) -> None:
    """D-43, CONF-06: its denial says what it was for."""
    url = (await hub.wire.subscribe(TOPIC, ["Patient-open"])).json()["hub.channel.endpoint"]
    await hub.wire.unsubscribe(TOPIC, url)
    assert (await denial(hub.wire, url))["hub.topic"] == TOPIC


async def test_an_endpoint_that_never_was(hub: RunningHub) -> None:
    """D-43, SUB-15: well-formed but not known: empty strings."""
    frame = await denial(hub.wire, endpoint(hub, "A" * 32))
    assert (frame["hub.topic"], frame["hub.events"]) == ("", "")


async def test_what_ended_is_forgotten(start_hub: StartHub) -> None:
    """D-43: the memory is bounded."""
    hub = await start_hub(max_ended_endpoints="1")
    first, second = [await hub.wire.join(TOPIC, name=name) for name in ("One", "Two")]
    for socket in (first, second):
        await hub.wire.unsubscribe(TOPIC, socket.endpoint)
    assert (await denial(hub.wire, first.endpoint))["hub.topic"] == ""
    assert (await denial(hub.wire, second.endpoint))["hub.topic"] == TOPIC


async def test_guessing_is_limited(start_hub: StartHub) -> None:
    """D-43: 429 above the limit, for unknown ids only: what is or was known is not counted."""
    hub = await start_hub(max_unknown_upgrades_per_minute="2")
    for number in range(2):
        await denial(hub.wire, endpoint(hub, f"{number}" * 32))
    with pytest.raises(InvalidStatus) as refused:
        await hub.wire.connect(endpoint(hub, "B" * 32))
    assert refused.value.response.status_code == 429
    assert refused.value.response.headers["Retry-After"] == "30"
    socket = await hub.wire.join(TOPIC)
    await hub.wire.unsubscribe(TOPIC, socket.endpoint)
    assert (await denial(hub.wire, socket.endpoint))["hub.topic"] == TOPIC


async def test_a_malformed_id_is_not_found(start_hub: StartHub) -> None:
    """D-43, SUB-15: 404, whatever was tried before."""
    hub = await start_hub(max_unknown_upgrades_per_minute="1")
    for id in ("short", "A" * 31, "A" * 33, "A" * 31 + "!"):
        with pytest.raises(InvalidStatus) as refused:
            await hub.wire.connect(endpoint(hub, id))
        assert refused.value.response.status_code == 404
