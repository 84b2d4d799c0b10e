"""What a hub does wrong is found: fakes drop, double, reorder, refuse and keep silent."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
from fhircast_bench.load import Load
from fhircast_bench.results import Results, results_of
from fhircast_bench.run import Run
from fhircast_bench.target import target_of
from load_generator.fake_hub import SILENT, FakeHub

if TYPE_CHECKING:
    from app_server import Serve

Notification = dict[str, Any]

SMALL = {"topics": 1, "subscribers": 3, "events": 8, "patience_seconds": 0.3}


async def loaded(fake: FakeHub, serve: Serve, **load: Any) -> Results:
    """Load a fake."""
    tls = ssl.create_default_context()
    target = target_of(await serve(fake.app) + "/hub", tls)
    return results_of(await Run(Load(**{**SMALL, **load}), target, "", tls)())


async def test_a_faithful_hub_is_found_right(serve: Serve) -> None:
    fake = FakeHub()
    results = await loaded(fake, serve, topics=2, warm_up=4)
    assert results.problems == ()
    assert results.account.is_right
    assert (results.events, results.account.delivered) == (8, 12 * 3)
    assert len(fake.acknowledged) == 12 * 3
    assert len(fake.unsubscribed) == 2 * 3


async def test_nobody_acknowledges_if_told_so(serve: Serve) -> None:
    fake = FakeHub()
    results = await loaded(fake, serve, acknowledges=False)
    assert results.account.is_right
    assert fake.acknowledged == []


async def test_what_does_not_come_is_missing(serve: Serve) -> None:
    def drop(event: int, subscriber: int, notification: Notification) -> list[Notification]:
        return [] if event == 3 and subscriber == 1 else [notification]

    results = await loaded(FakeHub(drop), serve)
    assert results.account.missing == 1
    assert results.account.delivered == 8 * 3 - 1
    assert len(results.latencies) == 7, "an event that somebody lacks has no last delivery"
    assert results.problems == ("1 deliveries are missing",)


async def test_what_comes_again_is_doubled(serve: Serve) -> None:
    def double(event: int, subscriber: int, notification: Notification) -> list[Notification]:
        return [notification] * (2 if event in {2, 7} and subscriber == 0 else 1)

    account = (await loaded(FakeHub(double), serve)).account
    assert (account.doubled, account.missing, account.out_of_order) == (2, 0, 0)


async def test_what_overtakes_is_out_of_order(serve: Serve) -> None:
    held: list[Notification] = []

    def swap(event: int, subscriber: int, notification: Notification) -> list[Notification]:
        if subscriber == 2 and event == 4:
            held.append(notification)
            return []
        return [notification, *held] if subscriber == 2 and event == 5 else [notification]

    account = (await loaded(FakeHub(swap), serve, rate=200)).account
    assert (account.out_of_order, account.missing, account.doubled) == (1, 0, 0)


async def test_another_id_is_no_fault(serve: Serve) -> None:
    """A hub may count events itself; they are known again by what they hold."""

    def rename(event: int, _: int, notification: Notification) -> list[Notification]:
        return [{**notification, "id": f"of-the-hub-{event}"}]

    fake = FakeHub(rename)
    assert (await loaded(fake, serve)).account.is_right
    assert "of-the-hub-0" in fake.acknowledged


async def test_an_event_of_nobody_is_strange(serve: Serve) -> None:
    def invent(event: int, _: int, notification: Notification) -> list[Notification]:
        made_up = {"id": "made-up", "event": {"hub.event": "Patient-open", "context": []}}
        return [notification, made_up] if event == 0 else [notification]

    results = await loaded(FakeHub(invent), serve)
    assert (results.account.strange, results.account.missing) == (3, 0)
    assert not results.account.is_right


async def test_sync_errors_are_told(serve: Serve) -> None:
    def complain(event: int, _: int, notification: Notification) -> list[Notification]:
        error = {"id": "e", "event": {"hub.event": "SyncError", "context": []}}
        return [notification, error] if event == 5 else [notification]

    results = await loaded(FakeHub(complain), serve)
    assert results.account.is_right
    assert results.problems == ("3 x SyncError",)


async def test_refused_events_are_told_with_the_hubs_words(serve: Serve) -> None:
    """They need not arrive."""
    results = await loaded(FakeHub(answer=lambda event: 409 if event % 2 else 202), serve)
    assert results.account.missing == 0
    assert results.events == 4
    assert results.problems == ("4 events not accepted; the first: 409 said by the fake",)


async def test_a_refused_event_must_not_come(serve: Serve) -> None:
    fake = FakeHub(answer=lambda event: 409 if event == 1 else 202, forwards_refused=True)
    assert (await loaded(fake, serve)).account.unexpected == 3


@pytest.mark.parametrize("status", [429, 503])
async def test_a_hub_that_puts_off_ends_the_run(serve: Serve, status: int) -> None:
    """And is not asked again: a run beyond a limit measures the limit."""
    results = await loaded(FakeHub(answer=lambda event: status if event == 2 else 202), serve)
    assert len(results.record.ledger.sent) == 3
    assert results.problems[0] == f"the hub put the run off: {status} said by the fake"
    assert results.problems[1].startswith("to do: raise that limit")


async def test_with_a_rate_latencies_count_from_when_an_event_was_due(serve: Serve) -> None:
    """One event at a time in a topic: the others wait, and that is the hub's doing."""
    results = await loaded(FakeHub(), serve, rate=10_000, events=40)
    assert results.account.is_right
    assert results.answer is not None
    assert results.answer.max > 20 * (results.seconds * 1000 / 40)


@pytest.mark.parametrize("rate", [None, 100], ids=["closed loop", "open loop"])
async def test_an_answer_that_never_comes_is_given_up(serve: Serve, rate: float | None) -> None:
    """The run goes on with a new connection."""
    fake = FakeHub(answer=lambda event: SILENT if event == 2 else 202)
    results = await loaded(fake, serve, rate=rate)
    assert results.record.ledger.statuses == {202: 7, 0: 1}
    assert results.account.missing == 0
    assert results.problems == ("1 events not accepted; the first: no answer within 0.3 s",)


async def test_what_could_not_be_sent_in_time_is_told(serve: Serve) -> None:
    """A hub that answers nothing any more: the events that were due meanwhile."""
    fake = FakeHub(answer=lambda event: SILENT if event else 202)
    results = await loaded(fake, serve, events=None, seconds=0.2, rate=100)
    assert results.record.not_sent > 5
    assert any("were due and not sent" in it for it in results.problems)


async def test_time_may_end_a_run(serve: Serve) -> None:
    results = await loaded(FakeHub(), serve, events=None, seconds=0.2)
    assert results.account.is_right
    assert results.seconds >= 0.1
