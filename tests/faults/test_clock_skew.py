"""Hubs whose clocks are minutes apart."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from fhircast_hub.backends.redis import keys
from fhircast_hub.clock import SystemClock
from wire_messages import ALL_EVENTS, only_marker_comes

if TYPE_CHECKING:
    from redis_server import RedisServer

    from faults.nodes import Node, StartNode

_DEADLINE_SECONDS = 20
_BRIEF = {"endpoint_unused_seconds": "1"}
"""For the hub whose sweep is looked for."""


class SkewedClock(SystemClock):
    """A machine's clock that is wrong."""

    def __init__(self, minutes: float) -> None:
        self._wrong_by = timedelta(minutes=minutes)

    def utc(self) -> datetime:
        return super().utc() + self._wrong_by


class StartSkewed:
    """Starts hubs whose clocks are wrong by so many minutes."""

    def __init__(
        self, start_node: StartNode, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._start_node = start_node
        self._server = server
        self._monkeypatch = monkeypatch

    async def __call__(self, minutes: float, **settings: str) -> Node:
        with self._monkeypatch.context() as patch:
            patch.setattr("fhircast_hub.web.app.SystemClock", lambda: SkewedClock(minutes))
            return await self._start_node(self._server.port, **settings)


@pytest.fixture
def start_skewed(
    start_node: StartNode, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> StartSkewed:
    return StartSkewed(start_node, redis_server, monkeypatch)


async def all_have_swept(server: RedisServer, brief: Node) -> None:
    """Wait until an endpoint that nobody used is over: meanwhile every hub has looked."""
    answer = await brief.hub.wire.subscribe("brief", ALL_EVENTS)
    assert answer.status_code == 202, answer.text
    records = keys.of_topic("brief").records
    with server.client() as client:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while client.hlen(records):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("minutes", [20, -20])
async def test_a_hub_with_a_wrong_clock_ends_nothing_of_the_others(
    redis_server: RedisServer, start_skewed: StartSkewed, minutes: int
) -> None:
    """SEC-02, D-40: an endpoint for which there is time, and a session that was left just now."""
    right, wrong = await start_skewed(0), await start_skewed(minutes, **_BRIEF)
    left = await right.joined(topic="left")
    assert (await right.hub.wire.unsubscribe("left", left.endpoint)).status_code == 202
    answer = await right.hub.wire.subscribe(TOPIC, ALL_EVENTS)
    await all_have_swept(redis_server, wrong)
    socket = await right.hub.wire.connect(answer.json()["hub.channel.endpoint"])
    assert (await socket.confirmed()).confirmation["hub.lease_seconds"] == 7200
    for node in (right, wrong):
        assert (await node.hub.wire.get("left")).status_code == 200


@pytest.mark.parametrize("minutes", [20, -20])
async def test_a_lease_from_a_hub_with_a_wrong_clock_lasts_as_long_as_granted(
    redis_server: RedisServer, start_skewed: StartSkewed, minutes: int
) -> None:
    """CONF-03: ten minutes, whichever hub made it and whichever has the socket."""
    right, wrong = await start_skewed(0, **_BRIEF), await start_skewed(minutes)
    sockets = [await it.joined(hub__lease_seconds="600") for it in (right, wrong)]
    sockets.append(await right.back(await wrong.joined(hub__lease_seconds="600")))
    await all_have_swept(redis_server, right)
    await only_marker_comes(right.hub.wire, *sockets)
