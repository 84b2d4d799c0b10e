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
        self.wants_none: type[Exception] | None = None
        self.tries = 0
        self.moved = asyncio.Condition()
        self.is_closed = False

    async def write(self, events: Sequence[dict[str, Any]]) -> int:
        await self.is_open.wait()
        try:
            self.tries += 1
            code = told.act(events[0])
            if self.wants_none:
                raise self.wants_none
            if self.fails:
                raise SinkFailed("shut")
            if code == self.refuses:
                raise EntryRefused("not wanted")
            if self.breaks in map(told.act, events):
                raise ZeroDivisionError
            self.kept += events
            return len(events)
        finally:
            async with self.moved:
                self.moved.notify_all()

    async def close(self) -> None:
        self.is_closed = True

    async def is_tried(self, times: int) -> None:
        """Wait until it was tried so many times more."""
        until = self.tries + times
        async with asyncio.timeout(5), self.moved:
            await self.moved.wait_for(lambda: self.tries >= until)

    async def holds(self, count: int) -> list[str]:
        """Wait until this many are kept; return what they are."""
        async with asyncio.timeout(5), self.moved:
            await self.moved.wait_for(lambda: len(self.kept) >= count)
        return [told.act(it) for it in self.kept]


def lane_to(shelf: Shelf, capacity: int = 4, *, required: bool = False) -> Lane:
    pace = Pace(0.001, 0.01)
    return Lane(shelf, HUB, capacity=capacity, now=lambda: NOON, pace=pace, required=required)


def fact(act: Act = Act.OPEN) -> Fact:
    return Fact(act, NOON)


@asynccontextmanager
async def running(shelf: Shelf, *, required: bool = False) -> AsyncIterator[tuple[Recorder, Lane]]:
    lane = lane_to(shelf, required=required)
    recorder = Recorder([lane], required=required)
    async with recorder.running():
        yield recorder, lane


async def failing(lane: Lane) -> None:
    """Wait until the lane's sink has failed."""
    async with asyncio.timeout(5):
        while not lane.is_failing:  # noqa: ASYNC110 - the lane tells nobody
            await asyncio.sleep(0)


def refuses(recorder: Recorder) -> bool:
    try:
        with recorder.place():
            return False
    except Unavailable:
        return True


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


@pytest.mark.parametrize("required", [False, True])
async def test_an_entry_that_breaks_costs_no_other_of_its_batch(required: bool) -> None:
    shelf = Shelf()
    shelf.breaks = "open"
    async with running(shelf, required=required) as (recorder, _):
        for act in (Act.SUBSCRIBE, Act.OPEN, Act.CLOSE):
            recorder.record(fact(act))
        assert sorted(await shelf.holds(3)) == ["close", "entries-lost", "subscribe"]
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


async def test_a_required_trail_gives_nothing_up_for_failures() -> None:
    """However often it was tried: nothing is let in, and nothing is lost."""
    shelf = Shelf(max_attempts=3)
    shelf.fails = True
    async with running(shelf, required=True) as (recorder, lane):
        recorder.record(fact())
        await failing(lane)
        for _ in range(10):
            await shelf.is_tried(1)
            assert refuses(recorder)
        shelf.fails = False
        assert await shelf.holds(1) == ["open"]
        assert not refuses(recorder)
    assert recorder.lost == 0


@pytest.mark.parametrize("how", [EntryRefused, ZeroDivisionError])
async def test_a_required_trail_that_keeps_nothing_refuses(how: type[Exception]) -> None:
    """One entry shows it, is lost and told; the others wait until the place keeps something."""
    shelf = Shelf()
    shelf.wants_none = how
    async with running(shelf, required=True) as (recorder, lane):
        for act in (Act.SUBSCRIBE, Act.OPEN, Act.CLOSE):
            recorder.record(fact(act))
        await failing(lane)
        for _ in range(10):
            await shelf.is_tried(1)
            assert refuses(recorder)
        assert (recorder.lost, len(lane)) == (1, 3)
        shelf.wants_none = None
        assert await shelf.holds(3) == ["entries-lost", "open", "close"]
        assert not refuses(recorder)
    assert shelf.kept[0]["outcomeDesc"] == "entries lost: 1"
    assert recorder.lost == 1


@pytest.mark.parametrize("how", ["refuses", "breaks"])
async def test_one_odd_entry_does_not_stop_a_required_trail(how: str) -> None:
    """What cannot be kept is told in its place; what stands around it is kept."""
    shelf = Shelf()
    setattr(shelf, how, "open")
    async with running(shelf, required=True) as (recorder, _):
        for act in (Act.SUBSCRIBE, Act.CLOSE, Act.OPEN, Act.UPDATE):
            recorder.record(fact(act))
        assert await shelf.holds(4) == ["subscribe", "close", "entries-lost", "update"]
        assert not refuses(recorder)
    assert recorder.lost == 1


async def test_a_required_trail_tells_all_losses_in_one_place() -> None:
    """What found no room was to be told at the end; an entry that is refused brings it forward."""
    shelf = Shelf()
    shelf.is_open.clear()
    async with running(shelf, required=True) as (recorder, _):
        for act in (Act.SUBSCRIBE, Act.CLOSE, Act.OPEN, Act.UPDATE, Act.SELECT, Act.SELECT):
            recorder.record(fact(act))
        shelf.refuses = "open"
        shelf.is_open.set()
        assert await shelf.holds(4) == ["subscribe", "close", "entries-lost", "update"]
        assert shelf.kept[2]["outcomeDesc"] == "entries lost: 3"
    assert recorder.lost == 3


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
