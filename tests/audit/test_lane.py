"""Lane and recorder: bounded, beside the requests, and honest about what was lost."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import audit_events as told
import pytest
from builders import NOON
from fhircast_hub.audit.facts import Act, Fact, Origin
from fhircast_hub.audit.lane import EntryRefused, Lane, Pace, SinkFailed
from fhircast_hub.audit.recorder import Recorder
from fhircast_hub.protocol.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

HUB = Origin("https://hub.example/api/hub", "hub.example", "fhircast-hub 1")


class Shelf:
    """A sink in memory that can be shut, and that may refuse what is named to it."""

    name = "shelf"
    batch = 2

    def __init__(self, *, max_attempts: int = 0) -> None:
        self.max_attempts = max_attempts
        self.kept: list[dict[str, Any]] = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.fails = False
        self.refuses = ""
        self.breaks = ""
        self.moved = asyncio.Condition()
        self.is_closed = False

    async def write(self, events: Sequence[dict[str, Any]]) -> int:
        await self.is_open.wait()
        try:
            code = told.act(events[0])
            if self.fails:
                raise SinkFailed("shut")
            if code == self.refuses:
                raise EntryRefused("not wanted")
            if code == self.breaks:
                raise ZeroDivisionError
            self.kept += events
            return len(events)
        finally:
            async with self.moved:
                self.moved.notify_all()

    async def close(self) -> None:
        self.is_closed = True

    async def holds(self, count: int) -> list[str]:
        """Wait until this many are kept; return what they are."""
        async with asyncio.timeout(5), self.moved:
            await self.moved.wait_for(lambda: len(self.kept) >= count)
        return [told.act(it) for it in self.kept]


def lane_to(shelf: Shelf, capacity: int = 4) -> Lane:
    return Lane(shelf, HUB, capacity=capacity, now=lambda: NOON, pace=Pace(0.001, 0.01))


def fact(act: Act = Act.OPEN) -> Fact:
    return Fact(act, NOON)


@asynccontextmanager
async def running(shelf: Shelf, *, required: bool = False) -> AsyncIterator[tuple[Recorder, Lane]]:
    lane = lane_to(shelf)
    recorder = Recorder([lane], required=required)
    async with recorder.running():
        yield recorder, lane


async def failing(lane: Lane) -> None:
    """Wait until the lane's sink has failed."""
    async with asyncio.timeout(5):
        while not lane.is_failing:  # noqa: ASYNC110 - the lane tells nobody
            await asyncio.sleep(0)


async def test_entries_are_kept_in_their_order() -> None:
    async with running(shelf := Shelf()) as (recorder, _):
        for act in (Act.SUBSCRIBE, Act.OPEN, Act.CLOSE):
            recorder.record(fact(act))
        assert await shelf.holds(3) == ["subscribe", "open", "close"]


async def test_the_end_writes_what_waits() -> None:
    async with running(shelf := Shelf()) as (recorder, _):
        for _ in range(4):
            recorder.record(fact())
    assert len(shelf.kept) == 4
    assert shelf.is_closed


async def test_what_finds_no_room_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """Once a burst in the log, and in the trail as soon as there is room."""
    shelf = Shelf()
    shelf.is_open.clear()
    async with running(shelf) as (recorder, lane):
        for _ in range(9):
            recorder.record(fact())
        assert (recorder.lost, lane.room) == (5, 0)
        shelf.is_open.set()
        acts = await shelf.holds(5)
    assert acts == ["open"] * 4 + ["entries-lost"]
    notice = shelf.kept[-1]
    told.check_r4(notice)
    assert (notice["outcomeDesc"], notice["outcome"]) == ("entries lost: 5", "8")
    errors = [it for it in caplog.records if it.levelname == "ERROR"]
    assert len(errors) == 1
    assert "entries lost: 5" in caplog.text


async def test_a_sink_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is lost meanwhile, and the log tells it once."""
    shelf = Shelf()
    shelf.fails = True
    async with running(shelf) as (recorder, lane):
        recorder.record(fact())
        await failing(lane)
        shelf.fails = False
        assert await shelf.holds(1) == ["open"]
    assert recorder.lost == 0
    assert [it.getMessage() for it in caplog.records] == [
        "audit shelf: shut; it will be tried again"
    ]


async def test_attempts_are_bounded_where_the_sink_says_so() -> None:
    shelf = Shelf(max_attempts=3)
    shelf.fails = True
    async with running(shelf) as (recorder, lane):
        recorder.record(fact())
        async with asyncio.timeout(5):
            while not recorder.lost:  # noqa: ASYNC110 - the lane tells nobody
                await asyncio.sleep(0)
        assert not lane.is_failing
        shelf.fails = False
        recorder.record(fact(Act.CLOSE))
        assert await shelf.holds(2) == ["close", "entries-lost"]


@pytest.mark.parametrize("how", ["refuses", "breaks"])
async def test_an_entry_that_is_not_wanted_holds_up_no_other(how: str) -> None:
    """Nor does a bug of ours."""
    shelf = Shelf()
    setattr(shelf, how, "open")
    async with running(shelf) as (recorder, _):
        for act in (Act.OPEN, Act.CLOSE):
            recorder.record(fact(act))
        assert await shelf.holds(2) == ["close", "entries-lost"]
    assert recorder.lost == 1


async def test_a_notice_that_is_not_wanted_is_not_lost() -> None:
    """It is made again when something else was kept, and never counts itself."""
    shelf = Shelf()
    shelf.refuses = "entries-lost"
    shelf.is_open.clear()
    async with running(shelf) as (recorder, _):
        for _ in range(6):
            recorder.record(fact())
        shelf.is_open.set()
        await shelf.holds(4)
        shelf.refuses = ""
        recorder.record(fact(Act.CLOSE))
        assert (await shelf.holds(6))[-1] == "entries-lost"
    assert shelf.kept[-1]["outcomeDesc"] == "entries lost: 2"
    assert recorder.lost == 2


async def test_the_end_does_not_wait_for_a_sink_that_fails() -> None:
    shelf = Shelf()
    shelf.fails = True
    async with running(shelf) as (recorder, lane):
        recorder.record(fact())
        await failing(lane)
    assert recorder.lost == 1
    assert shelf.is_closed


async def test_callers_whom_nobody_knows_fill_half_of_the_room_only() -> None:
    """401s without end must not push out what known applications did."""
    shelf = Shelf()
    shelf.is_open.clear()
    async with running(shelf) as (recorder, lane):
        for _ in range(9):
            recorder.record(fact(Act.AUTHENTICATE))
        assert lane.room == 2
        recorder.record(fact())
        recorder.record(fact())
        assert lane.room == 0
        shelf.is_open.set()


async def test_a_required_trail_without_room_refuses() -> None:
    """503, before anything is done; places that were promised count."""
    shelf = Shelf()
    shelf.is_open.clear()
    async with running(shelf, required=True) as (recorder, _):
        for _ in range(3):
            with recorder.place():
                recorder.record(fact(), has_place=True)
        with recorder.place(), pytest.raises(Unavailable, match="audit"), recorder.place():
            raise AssertionError
        shelf.is_open.set()
        await shelf.holds(3)
        with recorder.place():
            recorder.record(fact(), has_place=True)
    assert recorder.lost == 0


async def test_nothing_takes_a_place_that_was_promised() -> None:
    shelf = Shelf()
    shelf.is_open.clear()
    async with running(shelf, required=True) as (recorder, lane):
        with recorder.place():
            for _ in range(9):
                recorder.record(fact(Act.CONNECT))
            recorder.record(fact(), has_place=True)
        assert lane.room == 0
        shelf.is_open.set()
        assert (await shelf.holds(5))[3] == "open"


async def test_a_required_trail_that_fails_refuses_until_it_works_again() -> None:
    shelf = Shelf()
    shelf.fails = True
    async with running(shelf, required=True) as (recorder, lane):
        recorder.record(fact())
        await failing(lane)
        with pytest.raises(Unavailable), recorder.place():
            raise AssertionError
        shelf.fails = False
        await shelf.holds(1)
        with recorder.place():
            pass


async def test_a_trail_that_is_not_required_refuses_nothing() -> None:
    shelf = Shelf()
    shelf.fails = True
    async with running(shelf) as (recorder, lane):
        recorder.record(fact())
        await failing(lane)
        with recorder.place():
            pass


def test_waits_grow_within_bounds() -> None:
    pace = Pace(0.2, 5)
    assert [pace.after(it) for it in (1, 2, 3, 10, 10_000)] == [0.2, 0.4, 0.8, 5, 5]
