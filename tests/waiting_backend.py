"""A backend that answers when a test wants it to: what is slow or away in the field, at will."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import fhircast_hub.web.server
import hub_server
import pytest
from fhircast_hub.backends.base import BackendLimits
from fhircast_hub.backends.memory import MemoryBackend
from fhircast_hub.protocol.errors import Unavailable
from fhircast_hub.web.app import create_app

if TYPE_CHECKING:
    from fhircast_hub.protocol.session import Session
    from fhircast_hub.protocol.subscription import Subscription


class WaitingBackend(MemoryBackend):
    """Memory that answers when the test wants it to.

    Attributes:
        holds_load: Whether the next session to be loaded is held back, until `gate` is opened.
        holds: Set while one is.
        is_away: Whether nothing is to be had.
    """

    is_immediate = False

    def __init__(self) -> None:
        super().__init__(BackendLimits())
        self.gate, self.holds = asyncio.Event(), asyncio.Event()
        self.holds_load = self.is_away = False

    @property
    def is_available(self) -> bool:  # type: ignore[override]  # memory always is
        return not self.is_away

    async def load(self, topic: str, *, is_newest: bool = True) -> Session | None:
        await self._answer()
        if self.holds_load:
            self.holds_load = False
            self.holds.set()
            await self.gate.wait()
            await self._answer()
        return await super().load(topic)

    async def find(self, endpoint_id: str) -> Subscription | None:
        await self._answer()
        return await super().find(endpoint_id)

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("away", rule="D-28")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> WaitingBackend:
    """A backend on which every hub of the test stands."""
    backend = WaitingBackend()
    make = partial(create_app, backend=backend)
    for module in (fhircast_hub.web.server, hub_server):
        monkeypatch.setattr(module, "create_app", make)
    return backend
