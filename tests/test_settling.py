"""SyncErrors that a store cannot take are owed: told later, in order, and not without bound."""

from __future__ import annotations

import pytest
from builders import TOPIC
from fhircast_hub.audit.recorder import Recorder
from fhircast_hub.backends.base import BackendLimits
from fhircast_hub.backends.memory import MemoryBackend
from fhircast_hub.clock import SystemClock
from fhircast_hub.fanout import Consequence
from fhircast_hub.protocol.errors import InvalidRequest, Unavailable
from fhircast_hub.protocol.syncerror import Failure, FailureKind
from fhircast_hub.settling import Settling


class Telling:
    """Takes failures, unless it is made to refuse them."""

    def __init__(self) -> None:
        self.refusal: Exception | None = None
        self.told: list[str] = []
        self.settling = Settling(
            MemoryBackend(BackendLimits()), SystemClock(), Recorder(), self.tell
        )

    async def tell(self, _topic: str, failure: Failure) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.told.append(failure.event_id)

    async def fails(self, *event_ids: str) -> None:
        failures = [
            Failure(FailureKind.REJECTED, "Viewer", event_id=it, event_name="Patient-open")
            for it in event_ids
        ]
        self.settling.conclude(Consequence(TOPIC, tuple(failures)))
        await self.settling.settle()


AWAY = Unavailable("away", rule="D-28")


async def test_what_could_not_be_told_is_told_when_the_store_is_there() -> None:
    """SYNC-14: in the order in which it happened."""
    it = Telling()
    it.refusal = AWAY
    await it.fails("1", "2")
    it.refusal = None
    await it.fails("3")
    assert it.told == ["1", "2", "3"]


@pytest.mark.parametrize("refusal", [InvalidRequest("hub.topic", "gone", rule="2.6"), KeyError()])
async def test_what_can_never_be_told_holds_up_nothing(refusal: Exception) -> None:
    """SYNC-14: of a session that is no more, or that trips over a bug."""
    it = Telling()
    it.refusal = AWAY
    await it.fails("1")
    it.refusal = refusal
    await it.settling.settle()
    it.refusal = None
    await it.fails("2")
    assert it.told == ["2"]


async def test_what_is_owed_is_bounded() -> None:
    """SYNC-14: of more than a thousand the newest."""
    it = Telling()
    it.refusal = AWAY
    await it.fails(*map(str, range(1100)))
    it.refusal = None
    await it.settling.settle()
    assert it.told == [str(number) for number in range(100, 1100)]
