"""Events that are answered where their bytes come in, on a backend that takes its time."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from hub_server import running_hub
from publisher import armed, post, posted, uncounted, watch
from waiting_backend import WaitingBackend, backend
from wire_messages import marker, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hub_server import RunningHub

__all__ = ["backend"]


@pytest.fixture
async def hub(backend: WaitingBackend) -> AsyncIterator[RunningHub]:
    async with running_hub() as hub:
        yield hub


async def test_what_comes_while_an_event_is_judged_waits_for_it(
    hub: RunningHub, backend: WaitingBackend
) -> None:
    """GEN-01: answers come in the order of requests, and nobody fills the hub meanwhile."""
    viewer = await uncounted(hub, watch(hub))
    sent = [
        request("org.example.marker", {"key": "note", "string": "x" * 100_000}) for _ in range(20)
    ]
    async with armed(hub) as connection:
        await viewer.followed()
        backend.holds_load = True
        await connection.send(posted(sent[0]))
        await backend.holds.wait()
        sending = asyncio.create_task(connection.send(b"".join(map(posted, sent[1:]))))
        backend.gate.set()
        answers = [json.loads((await connection.answer()).body)["id"] for _ in sent]
        await sending
    assert answers == [it["id"] for it in sent]
    assert [(await viewer.followed())["id"] for _ in sent] == answers


async def test_a_hub_that_stops_answers_what_it_has_begun(
    hub: RunningHub, backend: WaitingBackend
) -> None:
    """EVT-03: an event that goes out is not left without its answer."""
    await uncounted(hub, watch(hub))
    async with armed(hub) as connection:
        backend.holds_load = True
        await connection.send(posted(marker()))
        await backend.holds.wait()
        stopping = asyncio.create_task(hub.stop())
        await asyncio.sleep(0)
        backend.gate.set()
        assert (await connection.answer()).status == 202
        await stopping


async def test_an_event_of_a_publisher_that_went_away_goes_out(
    hub: RunningHub, backend: WaitingBackend
) -> None:
    """EVT-01: it was asked for, and nothing of it is half done."""
    viewer = await uncounted(hub, watch(hub))
    async with armed(hub) as connection:
        await viewer.followed()
        backend.holds_load = True
        sent = marker()
        await connection.send(posted(sent))
        await backend.holds.wait()
    backend.gate.set()
    assert (await viewer.followed())["id"] == sent["id"]


async def test_while_the_backend_is_away_it_is_told_the_usual_way(
    hub: RunningHub, backend: WaitingBackend
) -> None:
    """D-28: 503 and when to come again; afterwards events go the express way again."""
    seen = watch(hub)
    await uncounted(hub, seen)
    async with armed(hub) as connection:
        backend.is_away = True
        answer = await post(connection, marker())
        assert answer.status == 503
        assert dict(answer.headers)["retry-after"]
        assert seen.usual == 2
        backend.is_away = False
        assert (await post(connection, marker())).status == 202
        assert seen.usual == 2
