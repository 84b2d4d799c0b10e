"""The hub as an ASGI application on a server of another maker, hypercorn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from fhircast_conformance.wire import Wire
from fhircast_hub.config import load_settings
from fhircast_hub.web.app import create_app
from fhircast_hub.web.server import bind
from hypercorn.asyncio import serve
from hypercorn.config import Config
from wire_messages import (
    ALL_EVENTS,
    codings,
    denied_and_closed,
    marker,
    only_marker_comes,
    open_request,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A client of the hub there."""
    settings = load_settings({}, {"reconnect_grace_seconds": "0"})
    config, leave = Config(), asyncio.Event()
    config.errorlog = None
    sock = bind("127.0.0.1", 0)
    config.bind = [f"fd://{sock.fileno()}"]
    app = create_app(settings)
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=leave.wait))  # type: ignore[arg-type]  # it wants its own names for ASGI
    port = sock.getsockname()[1]
    try:
        async with Wire(f"http://127.0.0.1:{port}{settings.hub_path}") as client:
            yield client
    finally:
        leave.set()
        await serving
        sock.detach()  # hypercorn has closed it


async def test_a_session_from_open_to_unsubscribe(wire: Wire) -> None:
    """EVT-04, ACK-01, CTX-01, CONF-05: confirmed, notified, told of a refusal, and denied."""
    viewer = await wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    report = await wire.join(TOPIC, ALL_EVENTS, name="Report")
    sent = open_request()
    assert (await wire.post(sent)).status_code == 202
    assert (await viewer.followed())["id"] == sent["id"]
    await report.acknowledge(await report.next(), "409")
    assert codings(await viewer.followed())["eventid"] == sent["id"]
    assert (await wire.context(TOPIC))["context.type"] == "DiagnosticReport"
    await wire.unsubscribe(TOPIC, report.endpoint)
    assert (await report.followed())["event"]["hub.event"] == "SyncError"
    assert (await denied_and_closed(report))[1] == 1000
    await only_marker_comes(wire, viewer)


async def test_many_events_on_one_connection(wire: Wire) -> None:
    """EVT-03, CONT-06: each accepted, in order."""
    viewer = await wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    sent = [marker() for _ in range(20)]
    for it in sent:
        assert (await wire.post(it)).status_code == 202
    assert [(await viewer.followed())["id"] for _ in sent] == [it["id"] for it in sent]


async def test_who_is_lost_is_told_of(wire: Wire) -> None:
    """SYNC-06."""
    viewer = await wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    await (await wire.join(TOPIC, ["org.example.other"], name="Lost")).abort()
    assert codings(await viewer.followed())["subscribername"] == "Lost"


async def test_an_endpoint_that_is_not_known_is_denied(wire: Wire) -> None:
    """D-43: by a frame, and a close."""
    endpoint = f"{wire.hub_url.replace('http', 'ws')}/ws/{'x' * 32}"
    assert (await denied_and_closed(await wire.connect(endpoint)))[1] == 1008
