"""FHIRCAST_AUDIT_REQUIRED: nothing is let through while its entry cannot be kept."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import audit_events as told
import pytest
from builders import TOPIC
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from websockets.exceptions import InvalidStatus
from wire_messages import ALL_EVENTS, open_request

if TYPE_CHECKING:
    from pathlib import Path

    from app_server import Serve
    from hub_server import StartHub
    from starlette.requests import Request


async def test_a_required_trail_that_cannot_be_written_refuses(
    start_hub: StartHub, audit_file: Path
) -> None:
    """503 with Retry-After, from the moment that it shows until it works again."""
    hub = await start_hub(audit_file=str(audit_file), audit_required="1")
    wire = hub.wire
    await wire.subscribe(TOPIC, ALL_EVENTS)
    moved = told.put_a_directory_in_place_of(audit_file)
    answer = await wire.post(open_request())
    async with asyncio.timeout(10):
        while answer.status_code == 202:
            answer = await wire.post(open_request())
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert answer.text.startswith("audit: ")
    os.rmdir(audit_file)
    async with asyncio.timeout(10):
        while answer.status_code == 503:
            answer = await wire.post(open_request())
    assert answer.status_code == 202
    await hub.stop()
    acts = [told.act(it) for path in (moved, audit_file) for it in told.entries_of(path)]
    assert "entries-lost" not in acts


async def test_no_socket_is_opened_while_a_required_trail_fails(
    start_hub: StartHub, audit_file: Path
) -> None:
    """SUB-17, D-43: 503 with Retry-After and no denial: the subscription stands for later."""
    hub = await start_hub(audit_file=str(audit_file), audit_required="1")
    wire = hub.wire
    endpoint = (await wire.subscribe(TOPIC, ALL_EVENTS)).json()["hub.channel.endpoint"]
    moved = told.put_a_directory_in_place_of(audit_file)
    async with asyncio.timeout(10):
        while (await wire.get(TOPIC)).status_code != 503:
            pass
        with pytest.raises(InvalidStatus) as refused:
            await wire.connect(endpoint)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
        assert refused.value.response.body.startswith(b"audit: ")
        os.rmdir(audit_file)
        while (await wire.get(TOPIC)).status_code == 503:
            pass
    await (await wire.connect(endpoint)).confirmed()
    await hub.stop()
    acts = [told.act(it) for path in (moved, audit_file) for it in told.entries_of(path)]
    assert acts.count("connect") == 1
    assert "entries-lost" not in acts


@pytest.mark.parametrize("status", [503, 422])
async def test_a_fhir_server_that_keeps_nothing_keeps_everybody_out(
    start_hub: StartHub, serve: Serve, status: int
) -> None:
    """However often it is tried, and whether it fails or refuses; until it keeps something."""
    answers = {"status": status}
    kept: list[dict[str, Any]] = []
    tries = asyncio.Queue[None]()

    async def take(request: Request) -> Response:
        event = await request.json()
        if answers["status"] == 201:
            kept.append(event)
        tries.put_nowait(None)
        return Response(status_code=answers["status"])

    app = Starlette(routes=[Route("/AuditEvent", take, methods=["POST"])])
    url = await serve(app)
    hub = await start_hub(audit_fhir_url=url, audit_required="1")
    async with asyncio.timeout(15):
        while (await hub.wire.subscribe(TOPIC, ALL_EVENTS)).status_code != 503:
            pass
        for _ in range(2):
            await tries.get()
            assert (await hub.wire.subscribe(TOPIC, ALL_EVENTS)).status_code == 503
        answers["status"] = 201
        while (await hub.wire.subscribe(TOPIC, ALL_EVENTS)).status_code != 202:
            pass
    await hub.stop()
    acts = [told.act(it) for it in kept]
    assert acts[0] == ("start" if status == 503 else "entries-lost")
    assert acts[-1] == "stop"
