"""What one update costs in a context that holds much: it should follow the change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import uvloop
from bench.catalogue import HUB, tokens
from bench.client import Client
from bench.scenario import Scenario, progress
from bench.servers import Server, running
from builders import bundle, case, item, key_of, message, observation, put, ref, target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.figures import Row
    from bench.scenario import Plan

_SIZES = (10, 100, 1000, 10_000)
_UPDATES = 200
_FILLED_AT_ONCE = 500
_EVENTS = "DiagnosticReport-open,DiagnosticReport-close,DiagnosticReport-update"


class _Context:
    """An open report with that many resources, in a session of its own with one subscriber."""

    def __init__(self, server: Server, size: int, token: str) -> None:
        self.size = size
        self._topic = f"content-{size}"
        self._report, self._patient, self._study = case(1)
        self._client = Client(server.port, server.kind.hub_path, token)
        self._version = ""
        self._count = 0
        self._came = asyncio.Event()

    async def fill(self) -> None:
        """Open the report and share the resources."""
        await self._client.open()
        await self._client.subscribe(self._topic, _EVENTS, self._told)
        items = [item(it) for it in (self._report, self._patient, self._study)]
        await self._post("DiagnosticReport-open", items)
        for first in range(0, self.size, _FILLED_AT_ONCE):
            last = min(first + _FILLED_AT_ONCE, self.size)
            await self._put(range(first, last), 1.0)

    async def update(self, number: int) -> None:
        """Replace one resource, and wait until the subscriber has it."""
        self._came.clear()
        await self._put(range(number % self.size, number % self.size + 1), float(number))
        await self._came.wait()

    def close(self) -> None:
        """Close the connection for requests."""
        self._client.close()

    async def _put(self, numbers: range, value: float) -> None:
        entries = [put(observation(f"ob-{it}", value)) for it in numbers]
        named = ref(target(self._report), key_of(self._report))
        updates = {"key": "updates", "resource": bundle(*entries)}
        await self._post("DiagnosticReport-update", [named, updates], version_id=self._version)

    async def _post(self, event: str, items: list[Row], **fields: str) -> None:
        self._count += 1
        told = {"topic": self._topic, "at": datetime.now(UTC), **fields}
        value = message(event, items, id=f"{self._topic}-{self._count}", **told)  # type: ignore[arg-type]
        self._version = await self._client.post(msgspec.json.encode(value))

    def _told(self, _id: str, _at: float, _body: bytes) -> None:
        self._came.set()


def _measure(plan: Plan) -> Iterator[Row]:
    with running(HUB) as server:
        yield from uvloop.run(_runs(server, plan))


async def _runs(server: Server, plan: Plan) -> list[Row]:
    """The contexts take turns in every round; each stands in the same hub."""
    held = tokens(len(_SIZES), "content")
    contexts = [_Context(server, *it) for it in zip(_SIZES, held, strict=True)]
    for context in contexts:
        await context.fill()
        progress(f"content: {context.size} resources are there")
    rows: list[Row] = []
    for number in range(1, plan.rounds + 1):
        for context in contexts:
            used = await _cpu_of_updates(server, context, plan.scaled(_UPDATES))
            rows.append({"server": str(context.size), "round": number, "cpu_us_per_update": used})
            progress(f"content {number}/{plan.rounds} {context.size}: {used:.0f} µs CPU an update")
    for context in contexts:
        context.close()
    return rows


async def _cpu_of_updates(server: Server, context: _Context, count: int) -> float:
    before = server.cpu_seconds()
    for number in range(count):
        await context.update(number)
    return round((server.cpu_seconds() - before) * 1e6 / count, 1)


SCENARIOS = (
    Scenario(
        "content",
        "one resource replaced in a context that holds 10, 100, 1000, 10000 of them",
        _measure,
    ),
)
