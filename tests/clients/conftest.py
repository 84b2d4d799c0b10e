"""The hub that the clients talk to, and the door through which they come in."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol, TypeVar

import pytest
from builders import TOPIC
from clients.neighbour import Neighbour
from hub_server import hub, start_hub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clients.field_client import FieldClient
    from hub_server import StartHub

__all__ = ["hub", "start_hub"]

C = TypeVar("C", bound="FieldClient")


class ComeIn(Protocol):
    """Lets a client in; it leaves at the end of the test, before the hub."""

    async def __call__(self, client: C) -> C: ...


@pytest.fixture
async def come_in(start_hub: StartHub) -> AsyncIterator[ComeIn]:
    async with AsyncExitStack() as clients:

        async def enter(client: C) -> C:
            clients.push_async_callback(client.stop)
            return client

        yield enter


class MeetNeighbour(Protocol):
    """Starts an ordinary conforming subscriber of the topic."""

    async def __call__(
        self, origin: str, name: str = "Neighbour", *, token: str = ""
    ) -> Neighbour: ...


@pytest.fixture
def meet_neighbour(come_in: ComeIn) -> MeetNeighbour:
    async def meet(origin: str, name: str = "Neighbour", *, token: str = "") -> Neighbour:
        neighbour = await come_in(Neighbour(origin, TOPIC, token=token))
        await neighbour.join(name)
        return neighbour

    return meet
