"""One WebSocket: confirmation, replay, live, acknowledgements, lost connections, end (2.4, 2.5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import inf
from typing import Any

import pytest
from builders import NOON, TOPIC, value
from fhircast_hub.protocol.channel import NOTHING, Channel, ChannelRules, Outcome
from fhircast_hub.protocol.channel_state import CloseReason, IllegalStep, State
from fhircast_hub.protocol.delivery import Delivery
from fhircast_hub.protocol.events import EventName, parse_event_name
from fhircast_hub.protocol.messages import NotificationResponse
from fhircast_hub.protocol.subscription import Subscription
from fhircast_hub.protocol.syncerror import FailureKind

OPEN = parse_event_name("DiagnosticReport-open")
UPDATE = parse_event_name("DiagnosticReport-update")
CLOSE = parse_event_name("DiagnosticReport-close")
PATIENT_OPEN = parse_event_name("Patient-open")
SYNC_ERROR = parse_event_name("SyncError")
SUBSCRIPTION = Subscription(
    topic=TOPIC,
    endpoint_id="Zk3v9QeT0aB7mXr2LwYc5g",
    events={
        "diagnosticreport-open": "DiagnosticReport-open",
        "diagnosticreport-update": "diagnosticreport-UPDATE",
        "syncerror": "SyncError",
    },
    lease_seconds=7200,
    subscriber_name="Acme Viewer",
    subject="viewer",
    expires_at=NOON,
)
EVENTS = "DiagnosticReport-open,diagnosticreport-UPDATE,SyncError"
STRICT = ChannelRules(strict_acks=True, grace_seconds=0)
GRACE = ChannelRules(strict_acks=True, grace_seconds=5)


def waiting(rules: ChannelRules = STRICT, **changed: Any) -> Channel:
    return Channel(replace(SUBSCRIPTION, **changed), rules)


def live(rules: ChannelRules = STRICT, **changed: Any) -> Channel:
    """A channel that is connected at 0 s, with nothing to replay."""
    channel = waiting(rules, **changed)
    channel.connected(0)
    channel.replay([], revision=0, now=0)
    return channel


def frame_of(event_id: str) -> bytes:
    return f"<{event_id}>".encode()


def opens(*event_ids: str) -> list[tuple[str, EventName, bytes]]:
    return [(it, OPEN, frame_of(it)) for it in event_ids]


def notify(
    channel: Channel, revision: int, *, name: EventName = UPDATE, now: float = 0, id: str = ""
) -> bool:
    """Notify of the event `e<revision>`."""
    event_id = id or f"e{revision}"
    return channel.notify(event_id, name, frame_of(event_id), revision=revision, now=now)


def answer(channel: Channel, event_id: str, status: int | None = 200) -> Outcome:
    return channel.responded(NotificationResponse(event_id, status))


def rest(outcome: Outcome) -> list[str]:
    """The ids of the frames after the confirmation."""
    assert value(outcome.frames[0])["hub.mode"] == "subscribe"
    return [frame.decode().strip("<>") for frame in outcome.frames[1:]]


# Confirmation, replay


def test_the_first_frame_is_the_confirmation() -> None:
    """2.4: CONF-01, CONF-02; the granted events in the subscriber's spelling (D-30)."""
    channel = waiting()
    [confirmation] = channel.connected(0).frames
    assert value(confirmation) == {
        "hub.mode": "subscribe",
        "hub.topic": TOPIC,
        "hub.events": EVENTS,
        "hub.lease_seconds": 7200,
    }
    assert channel.is_connected
    assert channel.needs_replay


def test_the_open_contexts_follow_and_then_the_live_events() -> None:
    """2.4: REP-01, REP-05."""
    channel = waiting()
    channel.connected(0)
    assert channel.replay(opens("e1", "e2"), revision=2, now=0).frames == (b"<e1>", b"<e2>")
    assert channel.state is State.LIVE
    assert notify(channel, 3)


def test_nothing_is_lost_or_doubled_between_replay_and_live() -> None:
    """2.4: what came meanwhile follows the opens, unless they cover it already."""
    channel = waiting()
    channel.connected(0)
    assert not any(notify(channel, revision) for revision in (1, 2, 3, 4))
    outcome = channel.replay(opens("e2"), revision=2, now=0)
    assert outcome.frames == (b"<e2>", b"<e3>", b"<e4>")
    assert not any(notify(channel, revision) for revision in (1, 2, 3, 4))
    assert notify(channel, 5)


def test_an_event_that_the_replay_covers_is_not_sent_when_it_arrives_later() -> None:
    """2.4: no duplicates."""
    channel = waiting()
    channel.connected(0)
    channel.replay(opens("e2"), revision=2, now=0)
    assert not notify(channel, 2)
    assert notify(channel, 3)


def test_a_channel_without_a_socket_takes_no_notice() -> None:
    """2.4: before the connection there is nobody to tell; the replay will."""
    channel = waiting()
    assert not notify(channel, 1)
    assert rest(channel.connected(0)) == []


@pytest.mark.parametrize(
    ("name", "spelling"),
    [("diagnosticreport-update", "diagnosticreport-UPDATE"), ("Patient-open", "")],
)
def test_only_granted_events_have_a_spelling(name: str, spelling: str) -> None:
    """2.3, 2.4: CONF-02, SYNC-05, D-30."""
    assert waiting().spelling_of(parse_event_name(name)) == spelling


# Acknowledgements


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (409, FailureKind.REFUSED),
        (422, FailureKind.REFUSED),
        (413, FailureKind.TOO_LARGE),
        (500, FailureKind.FAILED),
        (503, FailureKind.FAILED),
    ],
)
def test_an_error_status_is_a_failure(status: int, kind: FailureKind) -> None:
    """2.5: ACK-03, SYNC-01; refusal and failure are told apart."""
    channel = live()
    notify(channel, 1, name=OPEN)
    [failure] = answer(channel, "e1", status).failures
    assert failure.kind is kind
    assert (failure.subscriber_name, failure.event_id) == ("Acme Viewer", "e1")
    assert failure.event_name == "DiagnosticReport-open"
    assert str(status) in failure.detail


@pytest.mark.parametrize("status", [200, 202, 204, None])
def test_any_other_response_is_a_success(status: int | None) -> None:
    """2.5: ACK-02, D-04; silence afterwards is fine."""
    channel = live()
    notify(channel, 1)
    assert answer(channel, "e1", status) == NOTHING
    assert channel.tick(60) == NOTHING


def test_unknown_and_repeated_responses_are_ignored() -> None:
    """2.5: ACK-05."""
    channel = live()
    notify(channel, 1)
    answer(channel, "e1", 409)
    assert answer(channel, "e1", 409) == NOTHING
    assert answer(channel, "e9", 500) == NOTHING


def test_a_late_response_is_ignored() -> None:
    """2.5: ACK-05, SYNC-14; one SyncError for a subscriber and an event (D-20)."""
    channel = live()
    notify(channel, 1)
    assert len(channel.tick(10).failures) == 1
    assert answer(channel, "e1", 409) == NOTHING


@pytest.mark.parametrize("status", [409, 500])
def test_a_failing_response_to_a_sync_error_is_ignored(status: int) -> None:
    """4.2.1: SYNC-14, D-20; loops would storm."""
    channel = live()
    notify(channel, 1, name=SYNC_ERROR)
    assert answer(channel, "e1", status) == NOTHING


def test_a_replayed_open_is_acknowledged_like_any_event() -> None:
    """2.4, 2.5: REP-03, ACK-01."""
    channel = waiting()
    channel.connected(0)
    channel.replay(opens("e1"), revision=1, now=0)
    assert len(answer(channel, "e1", 409).failures) == 1


# Missing responses


def test_a_missing_response_is_a_failure_after_ten_seconds() -> None:
    """2.5: SYNC-08, not earlier."""
    channel = live()
    notify(channel, 1, now=1)
    assert channel.tick(10.9) == NOTHING
    outcome = channel.tick(11)
    assert [(it.kind, it.event_id) for it in outcome.failures] == [(FailureKind.UNANSWERED, "e1")]
    assert outcome.close is None


def test_the_time_for_a_response_is_a_tenth_of_a_short_lease() -> None:
    """2.5: D-19."""
    channel = live(lease_seconds=20)
    notify(channel, 1)
    assert channel.tick(1.9) == NOTHING
    assert len(channel.tick(2).failures) == 1


def test_a_missing_response_to_a_sync_error_is_no_failure() -> None:
    """4.2.1: SYNC-14, D-20."""
    channel = live(replace(STRICT, unresponsive_after=1))
    notify(channel, 1, name=SYNC_ERROR)
    assert channel.tick(3600) == NOTHING


def test_three_missing_responses_in_a_row_end_the_subscription() -> None:
    """2.5: SYNC-09, D-18; announced, then denied and closed, then silent."""
    channel = live()
    for revision in (1, 2, 3):
        notify(channel, revision, now=revision)
    assert channel.tick(11).close is None
    assert channel.tick(12).close is None
    outcome = channel.tick(13)
    assert len(outcome.failures) == 1
    assert outcome.close is CloseReason.UNRESPONSIVE
    assert value(outcome.frames[-1])["hub.mode"] == "denied"
    assert not notify(channel, 4)
    assert channel.tick(100) == NOTHING


def test_any_response_starts_the_count_anew() -> None:
    """D-18."""
    channel = live()
    for revision in (1, 2, 3, 4):
        notify(channel, revision, now=revision)
    channel.tick(12)
    answer(channel, "e4")
    outcome = channel.tick(13)
    assert (len(outcome.failures), outcome.close) == (1, None)


def test_the_number_of_missing_responses_is_a_setting() -> None:
    """2.5: SYNC-09, a non-zero number."""
    channel = live(replace(STRICT, unresponsive_after=1))
    notify(channel, 1)
    assert channel.tick(10).close is CloseReason.UNRESPONSIVE


def test_who_never_acknowledges_is_never_thrown_out() -> None:
    """D-41: adaptive."""
    channel = live(ChannelRules())
    notify(channel, 1)
    assert channel.tick(7000) == NOTHING
    assert not channel.acknowledges


def test_the_rule_binds_from_the_first_response_with_a_status() -> None:
    """D-41: events sent before it are not judged; a plain receipt does not bind."""
    channel = live(ChannelRules())
    for revision in (1, 2, 3):
        notify(channel, revision)
    answer(channel, "e1", None)
    assert not channel.acknowledges
    answer(channel, "e2")
    assert channel.acknowledges
    notify(channel, 4)
    assert [it.event_id for it in channel.tick(10).failures] == ["e4"]


def test_an_id_that_goes_out_again_is_judged_once() -> None:
    """D-28: a resend replaces what was unanswered, its time starts anew."""
    channel = live()
    notify(channel, 1, id="e1")
    notify(channel, 2, id="e1", now=9)
    assert channel.tick(10) == NOTHING
    assert len(channel.tick(19).failures) == 1


# Lease


def test_the_lease_ends_with_a_denial_and_a_normal_close() -> None:
    """2.4: CONF-03, D-22, D-24; no SyncError."""
    channel = waiting(lease_seconds=30)
    channel.connected(100)
    assert channel.tick(129.9) == NOTHING
    outcome = channel.tick(130)
    assert outcome.close is CloseReason.LEASE_ENDED
    assert outcome.failures == ()
    denial = value(outcome.frames[-1])
    assert (denial["hub.mode"], denial["hub.events"]) == ("denied", EVENTS)


def test_who_comes_back_is_told_the_time_that_is_left() -> None:
    """2.4: CONF-03, D-23; the lease runs from the first confirmation, a re-join does not renew."""
    channel = live(GRACE, lease_seconds=30)
    channel.closed(1006, 10)
    assert value(channel.connected(12).frames[0])["hub.lease_seconds"] == 18
    assert channel.tick(30).close is CloseReason.LEASE_ENDED


def test_a_resubscribe_while_held_drops_frames_of_events_that_are_gone() -> None:
    """2.4: REP-02, SUB-11; what was kept under the former list is not delivered any more."""
    channel = live(GRACE)
    answer(channel, "none")
    channel.closed(1006, 1)
    notify(channel, 1, name=UPDATE)
    notify(channel, 2, name=OPEN)
    only_opens = replace(SUBSCRIPTION, events={"diagnosticreport-open": "DiagnosticReport-open"})
    channel.resubscribed(only_opens, 2)
    assert rest(channel.connected(3)) == ["e2"]


def test_opens_granted_while_held_come_with_the_replay() -> None:
    """D-12, D-45: a re-join after a widening re-subscribe starts from the open contexts."""
    channel = live(GRACE)
    answer(channel, "none")
    channel.closed(1006, 1)
    assert channel.granted_opens(opens("e1"), 2) == NOTHING
    channel.connected(3)
    assert channel.needs_replay


def test_a_denial_comes_instead_of_a_confirmation_that_is_too_late() -> None:
    """2.4: CONF-06, SUB-09; nothing is left of the lease, since the token has ended."""
    channel = waiting(lease_seconds=0)
    outcome = channel.connected(100)
    assert [value(it)["hub.mode"] for it in outcome.frames] == ["denied"]
    assert (outcome.close, outcome.failures) == (CloseReason.LEASE_ENDED, ())
    assert channel.state is State.ENDED


def test_a_channel_that_waits_has_no_lease_yet() -> None:
    """2.4: CONF-03, counted from the confirmation."""
    assert waiting().tick(1e9) == NOTHING


def test_a_re_subscribe_on_a_live_socket_is_confirmed_at_once() -> None:
    """2.4: SUB-11, SUB-12, D-12; the lease starts anew, the events are the new ones."""
    channel = live(lease_seconds=30)
    new = replace(SUBSCRIPTION, lease_seconds=30, events={"patient-open": "Patient-open"})
    [confirmation] = channel.resubscribed(new, now=20).frames
    assert value(confirmation)["hub.events"] == "Patient-open"
    assert channel.spelling_of(OPEN) == ""
    assert channel.tick(49) == NOTHING
    assert channel.tick(50).close is CloseReason.LEASE_ENDED


def test_a_re_subscribe_before_the_connection_shows_in_the_confirmation() -> None:
    """2.4: SUB-11; the lease still counts from the confirmation."""
    channel = waiting()
    assert channel.resubscribed(replace(SUBSCRIPTION, lease_seconds=60), now=0) == NOTHING
    assert value(channel.connected(100).frames[0])["hub.lease_seconds"] == 60
    assert channel.tick(159) == NOTHING
    assert channel.tick(160).close is CloseReason.LEASE_ENDED


def test_a_re_subscribe_of_a_held_channel_sends_nothing() -> None:
    """2.4: there is no socket; the next confirmation tells."""
    channel = live(GRACE)
    channel.closed(1006, 0)
    assert channel.resubscribed(SUBSCRIPTION, now=1) == NOTHING


def test_an_open_that_was_granted_and_sent_does_not_come_again() -> None:
    """D-12: the session may be newer than the events that are still on their way."""
    channel = live()
    outcome = channel.granted_opens(
        opens("e3"), 0, granted={OPEN.key, UPDATE.key}, revision=3, shows={"Patient": "p1"}
    )
    assert outcome.frames == (b"<e3>",)
    assert channel.shown == {"Patient": "p1"}
    assert not notify(channel, 1, name=OPEN)
    assert notify(channel, 2), "events that no open covers are not lost"
    assert not notify(channel, 3, name=OPEN)
    assert notify(channel, 4, name=OPEN)


def test_opens_granted_during_a_replay_come_with_it() -> None:
    """D-12, REP-01: from a session that knows what passed by under the former rights."""
    channel = waiting()
    channel.connected(0)
    assert channel.granted_opens(opens("e2"), 0, granted={OPEN.key}, revision=2) == NOTHING
    assert channel.replay(opens("e1"), revision=1, now=0) == NOTHING
    assert channel.replay(opens("e2"), revision=2, now=0).frames == (b"<e2>",)


def test_a_second_grant_keeps_what_the_first_covers() -> None:
    """D-12: until the events have passed by."""
    channel = live()
    channel.granted_opens([], 0, granted={OPEN.key}, revision=2)
    channel.granted_opens([], 0, granted={PATIENT_OPEN.key}, revision=1)
    assert not notify(channel, 1, name=PATIENT_OPEN)
    assert not notify(channel, 2, name=OPEN)
    channel.granted_opens([], 0, granted={PATIENT_OPEN.key}, revision=2)
    assert notify(channel, 3, name=OPEN)
    assert channel.shown == {}


def test_newly_granted_opens_follow_a_re_subscribe() -> None:
    """D-12: replay only for newly granted opens, and only to a live socket."""
    channel = live()
    assert channel.granted_opens(opens("e1"), now=0).frames == (b"<e1>",)
    assert len(answer(channel, "e1", 409).failures) == 1
    assert waiting().granted_opens(opens("e1"), now=0) == NOTHING


# Closed sockets


@pytest.mark.parametrize("code", [1000, 1001])
def test_a_normal_close_is_no_failure(code: int) -> None:
    """2.5: SYNC-07, D-23; not later either."""
    channel = live()
    notify(channel, 1)
    assert channel.closed(code, 1) == NOTHING
    assert channel.tick(60) == NOTHING


def test_after_a_normal_close_the_endpoint_may_be_joined_until_the_lease_ends() -> None:
    """D-23: a new confirmation and replay; delivery stops meanwhile."""
    channel = live(lease_seconds=100)
    answer(channel, "any")
    channel.closed(1001, 1)
    assert not notify(channel, 1)
    assert rest(channel.connected(50)) == []
    assert channel.needs_replay
    assert channel.replay(opens("e1"), revision=1, now=50).frames == (b"<e1>",)
    assert channel.tick(100).close is CloseReason.LEASE_ENDED


def test_after_the_lease_a_left_endpoint_has_ended() -> None:
    """2.4: CONF-03; nobody is there to be told."""
    channel = live(lease_seconds=100)
    channel.closed(1000, 1)
    assert channel.tick(100) == NOTHING
    assert channel.state is State.ENDED
    with pytest.raises(IllegalStep):
        channel.connected(101)


@pytest.mark.parametrize("code", [1005, 1006, 1008, 1011, 4000])
def test_any_other_close_is_one_failure(code: int) -> None:
    """2.5: SYNC-06, IRA-HUB-17, D-51; no event is involved, and the subscription ends."""
    channel = live()
    notify(channel, 1)
    notify(channel, 2)
    [failure] = channel.closed(code, 1).failures
    assert failure.kind is FailureKind.CONNECTION_LOST
    assert (failure.event_id, failure.event_name) == ("", "")
    assert str(code) in failure.detail
    assert channel.state is State.ENDED
    assert channel.tick(60) == NOTHING
    assert answer(channel, "e1", 409) == NOTHING


def test_a_socket_that_closes_while_replaying_is_lost_as_well() -> None:
    """2.5: SYNC-06."""
    channel = waiting()
    channel.connected(0)
    assert len(channel.closed(1006, 0).failures) == 1


@pytest.mark.parametrize("channel", [waiting(), live()])
def test_a_close_without_a_socket_means_nothing(channel: Channel) -> None:
    """2.5: the older socket of D-44, or one that the hub closed itself."""
    channel.finish(CloseReason.UNSUBSCRIBED)
    assert channel.closed(1006, 0) == NOTHING
    assert waiting().closed(1006, 0) == NOTHING


# Grace (D-45)


def test_who_comes_back_within_the_grace_gets_what_was_not_acknowledged() -> None:
    """D-45: confirmation first, then in order, those written to the dead socket included."""
    channel = live(GRACE)
    for revision in (1, 2, 3):
        notify(channel, revision)
    answer(channel, "e1")
    assert channel.closed(1006, 1) == NOTHING
    assert not notify(channel, 4, now=2)
    assert rest(channel.connected(5)) == ["e2", "e3", "e4"]
    assert not channel.needs_replay
    assert not notify(channel, 4, now=5)


def test_ack_clocks_of_held_frames_start_at_their_delivery() -> None:
    """D-45."""
    channel = live(GRACE)
    notify(channel, 1)
    answer(channel, "e1")
    notify(channel, 2, now=1)
    channel.closed(1006, 9)
    notify(channel, 3, now=10)
    channel.connected(13)
    assert channel.tick(22.9) == NOTHING
    assert [it.event_id for it in channel.tick(23).failures] == ["e2", "e3"]


def test_if_nobody_comes_back_there_is_one_failure() -> None:
    """D-45: one for the subscriber, none for each event; the subscription has ended."""
    channel = live(GRACE)
    notify(channel, 1)
    channel.closed(1006, 1)
    notify(channel, 2)
    assert channel.tick(5.9) == NOTHING
    [failure] = channel.tick(6).failures
    assert (failure.kind, failure.event_id) == (FailureKind.CONNECTION_LOST, "")
    assert channel.state is State.ENDED
    assert channel.tick(60) == NOTHING


def test_no_grace_runs_while_a_socket_is_open() -> None:
    """D-45: back in time is back."""
    channel = live(GRACE)
    channel.closed(1006, 0)
    channel.connected(1)
    channel.replay([], revision=0, now=1)
    assert channel.tick(60) == NOTHING
    assert channel.is_connected


def test_the_lease_ends_within_the_grace_too() -> None:
    """2.4: CONF-03."""
    channel = live(GRACE, lease_seconds=10)
    channel.closed(1006, 8)
    assert channel.tick(10) == NOTHING
    assert channel.state is State.ENDED


@pytest.mark.parametrize(
    "rules", [replace(GRACE, max_held_frames=2), replace(GRACE, max_held_bytes=9)]
)
def test_after_an_overflow_the_open_contexts_come_instead(rules: ChannelRules) -> None:
    """D-45: whoever missed something starts again from the open contexts."""
    channel = live(rules)
    notify(channel, 1)
    answer(channel, "e1")
    channel.closed(1006, 0)
    for revision in (2, 3, 4):
        notify(channel, revision)
    assert rest(channel.connected(1)) == []
    assert channel.needs_replay
    assert channel.replay(opens("e3"), revision=4, now=1).frames == (b"<e3>",)
    assert not notify(channel, 4)


def test_a_frame_that_alone_is_too_big_to_hold_still_goes_out_live() -> None:
    """D-45: the bound is on what is kept."""
    channel = live(replace(GRACE, max_held_bytes=3))
    assert notify(channel, 1)
    channel.closed(1006, 0)
    channel.connected(1)
    assert channel.needs_replay


def test_open_contexts_that_are_too_many_to_hold_come_anew() -> None:
    """D-45: nobody knows which of them arrived."""
    channel = live(replace(GRACE, max_held_frames=1))
    channel.closed(1001, 0)
    channel.connected(1)
    assert channel.replay(opens("e1", "e2"), revision=2, now=1).frames == (b"<e1>", b"<e2>")
    answer(channel, "e1")
    channel.closed(1006, 2)
    channel.connected(3)
    assert channel.needs_replay


def test_what_is_still_on_its_way_comes_behind_what_was_kept() -> None:
    """D-41, D-45: the session may know more than was handed over; the newest open comes last."""
    channel = live(replace(STRICT, grace_seconds=5, strict_acks=False))
    channel.closed(1006, 0)
    notify(channel, 4, name=OPEN)
    channel.connected(1)
    assert channel.replay(opens("e5"), revision=5, now=1).frames[-1] == b"<e4>"
    assert notify(channel, 5, name=OPEN)


def test_time_means_nothing_to_a_channel_that_has_ended() -> None:
    """CONF-03: its end is told once."""
    channel = live()
    channel.finish(CloseReason.UNSUBSCRIBED)
    assert channel.due == inf


def test_a_channel_tells_when_time_means_something_to_it() -> None:
    """CONF-03, SYNC-08, D-45: the end of the lease, of the grace, or of a wait for a response."""
    assert waiting(GRACE).due == inf
    channel = live(GRACE)
    assert channel.due == SUBSCRIPTION.lease_seconds
    notify(channel, 1, now=100)
    assert channel.due == 110
    notify(channel, 2, now=105)
    answer(channel, "e1")
    assert channel.due <= 115, "a moment too early is looked at for nothing, and put right"
    channel.tick(111)
    assert channel.due == 115
    answer(channel, "e2")
    channel.tick(116)
    assert channel.due == SUBSCRIPTION.lease_seconds
    channel.closed(1006, 200)
    assert channel.due == 205


def test_a_channel_that_was_cut_before_its_replay_gets_the_replay() -> None:
    """D-45, 2.4: what was confirmed but not yet replayed is never skipped."""
    channel = live(GRACE)
    channel.closed(1006, 0)
    channel.connected(1)
    answer(channel, "anything")
    channel.closed(1006, 2)
    channel.connected(3)
    assert channel.needs_replay


# Who never answers, and is back within the grace (D-41, D-45)


def test_who_never_answers_gets_what_happened_since_the_break() -> None:
    """D-41, D-45: the open contexts first, since what was written last may have been lost."""
    channel = live(GRACE)
    notify(channel, 1)
    channel.closed(1006, 1)
    for revision in (2, 3):
        notify(channel, revision, now=2)
    assert rest(channel.connected(3)) == []
    assert channel.needs_replay
    frames = channel.replay(opens("e1"), revision=3, now=3).frames
    assert frames == (b"<e1>", b"<e2>", b"<e3>")
    assert notify(channel, 4)


def test_an_open_since_the_break_is_not_sent_before_its_turn() -> None:
    """D-41, D-45: the last frame is the last event, so it ends on the right context."""
    channel = live(GRACE)
    channel.closed(1006, 1)
    notify(channel, 1, name=CLOSE, now=2)
    notify(channel, 2, name=OPEN, now=2)
    channel.connected(3)
    frames = channel.replay(opens("e0", "e2"), revision=2, now=3).frames
    assert frames == (b"<e0>", b"<e1>", b"<e2>")


def test_a_close_since_the_break_is_not_missed() -> None:
    """D-45: with nothing left open, the close alone tells it."""
    channel = live(GRACE)
    channel.closed(1006, 1)
    notify(channel, 1, name=CLOSE, now=2)
    channel.connected(3)
    notify(channel, 2, name=UPDATE, now=3)
    assert channel.replay([], revision=1, now=3).frames == (b"<e1>", b"<e2>")


def test_who_loses_the_next_socket_too_gets_it_all_the_same() -> None:
    """D-45: nothing was sent on the second one."""
    channel = live(GRACE)
    channel.closed(1006, 1)
    notify(channel, 1, now=2)
    channel.connected(3)
    channel.closed(1006, 4)
    notify(channel, 2, now=5)
    channel.connected(6)
    assert channel.replay(opens("e0"), revision=2, now=6).frames == (b"<e0>", b"<e1>", b"<e2>")


def test_a_derived_open_since_the_break_is_not_sent_before_its_turn() -> None:
    """DER-02, D-45: what it adds is judged when the events before it are sent."""
    channel = live(GRACE)
    channel.closed(1006, 1)
    channel.deliver([delivery("e1", "p1", implied=False)], revision=1, now=2)
    derive(channel, 2, "p1")
    derive(channel, 3, "p2")
    channel.connected(3)
    frames = channel.replay(opens("e1", "e3"), revision=3, now=3).frames
    assert frames == (b"<e1>", b"<e3>")
    assert channel.shown == {"Patient": "p2"}


def test_more_than_can_be_kept_since_the_break_is_replayed() -> None:
    """D-45: the open contexts alone then."""
    channel = live(replace(GRACE, max_held_frames=2))
    channel.closed(1006, 1)
    for revision in (1, 2, 3):
        notify(channel, revision, now=2)
    channel.connected(3)
    assert channel.replay(opens("e3"), revision=3, now=3).frames == (b"<e3>",)


def test_who_never_answers_may_have_unanswered_what_it_likes() -> None:
    """D-41, D-45: what was sent before the break does not count against what is kept after it."""
    channel = live(replace(GRACE, max_held_frames=2))
    for revision in range(1, 9):
        notify(channel, revision)
    channel.closed(1006, 1)
    notify(channel, 9, now=2)
    channel.connected(3)
    assert channel.replay([], revision=9, now=3).frames == (b"<e9>",)


# More than a channel can hold while it is brought up to date


def test_what_could_not_be_held_is_never_skipped() -> None:
    """2.4: REP-01; the session must be as new as what was lost, else it is loaded again."""
    channel = waiting(replace(STRICT, max_held_frames=2))
    channel.connected(0)
    for revision in (1, 2, 3, 4, 5):
        notify(channel, revision)
    assert channel.replay(opens("e1"), revision=2, now=0) == NOTHING
    assert channel.needs_replay
    assert channel.replay(opens("e3"), revision=3, now=0).frames == (b"<e3>", b"<e4>", b"<e5>")
    assert channel.state is State.LIVE


# What a subscriber shows (DER-02)


def delivery(event_id: str, patient: str = "", *, implied: bool = True) -> Delivery:
    """An open of a patient, or a Home-open."""
    shows = {"Patient": patient} if patient else {}
    name = PATIENT_OPEN if patient else parse_event_name("Home-open")
    return Delivery(event_id, name, frame_of(event_id), shows, is_implied=implied)


def derive(channel: Channel, revision: int, patient: str = "p1", *, id: str = "") -> bool:
    """Deliver a derived Patient-open; tell whether it went out."""
    group = [delivery(id or f"e{revision}", patient)]
    return bool(channel.deliver(group, revision=revision, now=0))


def test_the_same_patient_is_derived_once() -> None:
    """2.5: DER-02; another patient, and the first one again, are news."""
    channel = live()
    sent = [derive(channel, it, patient) for it, patient in enumerate(("p1", "p1", "p2", "p1"), 1)]
    assert sent == [True, False, True, True]
    assert not derive(channel, 4, "p9"), "an envelope that comes twice goes out once"


def test_after_a_home_open_the_same_patient_is_news() -> None:
    """2.5, 3.2.5: DER-02, D-21."""
    channel = live()
    derive(channel, 1)
    channel.deliver([delivery("home", implied=False)], revision=2, now=0)
    assert derive(channel, 3)


@pytest.mark.parametrize("how", ["refused", "unanswered"])
def test_who_did_not_follow_is_told_again(how: str) -> None:
    """2.5: DER-02, ACK-03, SYNC-08; and the SyncError names the derived event."""
    channel = live()
    derive(channel, 1, id="derived")
    outcome = answer(channel, "derived", 409) if how == "refused" else channel.tick(10)
    [failure] = outcome.failures
    assert (failure.event_id, failure.event_name) == ("derived", "Patient-open")
    assert derive(channel, 2)


def test_what_is_shown_survives_a_break_and_a_re_subscribe() -> None:
    """2.5: DER-02, D-45; no duplicate for who answers."""
    channel = live(GRACE)
    derive(channel, 1, id="e1")
    answer(channel, "e1")
    channel.resubscribed(SUBSCRIPTION, 1)
    channel.closed(1006, 1)
    assert not derive(channel, 2, id="again")
    assert rest(channel.connected(2)) == []
    assert not derive(channel, 3)
    assert derive(channel, 4, "p2")


def test_after_a_replay_what_it_showed_counts() -> None:
    """2.4, 2.5: DER-02; what was held meanwhile is judged anew."""
    channel = waiting()
    channel.connected(0)
    assert not derive(channel, 2)
    channel.replay(opens("e1"), revision=1, now=0, shows={"Patient": "p1"})
    assert not derive(channel, 3)
    assert derive(channel, 4, "p2")


def test_after_a_clean_leave_nothing_counts() -> None:
    """D-23, DER-02: a page that was loaded anew shows nothing."""
    channel = live(GRACE)
    derive(channel, 1)
    channel.closed(1001, 1)
    channel.connected(2)
    derive(channel, 2, id="e2")
    assert channel.replay([], revision=1, now=2).frames == (b"<e2>",)


# A second socket (D-44)


def test_the_newest_socket_wins() -> None:
    """D-44: confirmation first, then what was not acknowledged; no failure."""
    channel = live(GRACE)
    notify(channel, 1)
    answer(channel, "e1")
    notify(channel, 2)
    outcome = channel.connected(1)
    assert rest(outcome) == ["e2"]
    assert (outcome.close, outcome.failures) == (None, ())


def test_a_second_socket_during_the_replay_gets_the_replay() -> None:
    """D-44, REP-01."""
    channel = waiting(GRACE)
    channel.connected(0)
    channel.connected(1)
    assert channel.replay(opens("e1"), revision=1, now=1).frames == (b"<e1>",)


# The end


@pytest.mark.parametrize("reason", list(CloseReason))
def test_the_end_is_announced_and_then_the_socket_closed(reason: CloseReason) -> None:
    """2.4: CONF-05, UNS-03, D-22; no SyncError (SYNC-07)."""
    outcome = live().finish(reason)
    assert outcome.close is reason
    assert outcome.failures == ()
    assert bool(outcome.frames) is reason.is_denial
    for frame in outcome.frames:
        assert value(frame) == {
            "hub.mode": "denied",
            "hub.topic": TOPIC,
            "hub.events": EVENTS,
            "hub.reason": reason.text,
        }


def test_nothing_comes_after_the_end() -> None:
    """2.4: UNS-04."""
    channel = live()
    notify(channel, 1)
    channel.finish(CloseReason.UNSUBSCRIBED)
    assert channel.finish(CloseReason.LEASE_ENDED) == NOTHING
    assert channel.overflowed() == NOTHING
    assert channel.resubscribed(SUBSCRIPTION, now=1) == NOTHING
    assert channel.granted_opens(opens("e2"), now=1) == NOTHING
    assert answer(channel, "e1", 500) == NOTHING
    assert channel.tick(1e9) == NOTHING
    assert not notify(channel, 2)
    assert not channel.is_connected


def test_a_channel_without_a_socket_ends_in_silence() -> None:
    """UNS-04: there is nobody to tell; a later connect is answered by the wrapper (D-43)."""
    channel = waiting()
    assert channel.finish(CloseReason.UNSUBSCRIBED) == NOTHING
    with pytest.raises(IllegalStep):
        channel.connected(1)


def test_a_subscriber_that_does_not_read_is_ended_and_the_others_told() -> None:
    """2.5: never dropped in silence; one SyncError, then denial and close."""
    channel = live()
    outcome = channel.overflowed()
    assert [it.kind for it in outcome.failures] == [FailureKind.TOO_SLOW]
    assert outcome.close is CloseReason.TOO_SLOW
    assert channel.state is State.ENDED


def test_a_subscriber_that_floods_is_ended_and_the_others_told() -> None:
    """2.5, SYNC-06: frames without end; one SyncError, then denial and close with words."""
    channel = live()
    outcome = channel.flooded()
    assert [it.kind for it in outcome.failures] == [FailureKind.FLOODING]
    assert outcome.close is CloseReason.FLOODING
    assert b"too many frames" in outcome.frames[0]
    assert channel.flooded() == NOTHING


# What a subscriber was last told to show (DER-02, D-14)


def opening(patient: int, seconds: int, *, id: str = "") -> Delivery:
    """An open that tells to show a patient, derived where the subscriber knows that already."""
    event_id = id or f"p{patient}-{seconds}"
    return Delivery(
        id=event_id,
        name=PATIENT_OPEN,
        frame=frame_of(event_id),
        shows={"Patient": f"Patient/pt-{patient}"},
        is_implied=True,
        opened_at=NOON + timedelta(seconds=seconds),
    )


def test_after_an_older_open_nothing_is_sure_to_be_shown() -> None:
    """EVT-10, DER-02: it may be passed over, so the same patient is told again by the next."""
    channel = live()
    assert channel.deliver([opening(2, 10)], revision=1, now=0)
    assert channel.deliver([opening(1, 5)], revision=2, now=0)
    assert channel.deliver([opening(1, 20)], revision=3, now=0) == (b"<p1-20>",)
    assert channel.deliver([opening(1, 30)], revision=4, now=0) == ()


def test_a_doubt_makes_the_same_patient_news_again() -> None:
    """ACK-04, DER-02: a SyncError after a 202 does not say who does not follow."""
    channel = live()
    channel.deliver([opening(2, 10)], revision=1, now=0)
    channel.doubt()
    assert channel.deliver([opening(2, 20)], revision=2, now=0) == (b"<p2-20>",)


def test_an_open_dropped_from_what_is_held_asks_for_the_replay() -> None:
    """SUB-11, D-45: under rights that are gone it may never have come."""
    channel = live(GRACE)
    answer(channel, "none")
    channel.closed(1006, 0)
    notify(channel, 1, name=OPEN)
    narrowed = {"patient-open": "Patient-open"}
    channel.resubscribed(replace(SUBSCRIPTION, events=narrowed), 1)
    channel.connected(1)
    assert channel.needs_replay


def test_an_answered_open_takes_the_opens_before_it_along() -> None:
    """D-45: sent again behind it, they would bring back what it replaced."""
    adaptive = ChannelRules(grace_seconds=5)
    channel = live(adaptive)
    notify(channel, 1, name=OPEN)
    notify(channel, 2, name=UPDATE)
    notify(channel, 3, name=OPEN)
    answer(channel, "e3")
    channel.closed(1006, 0)
    assert rest(channel.connected(1)) == ["e2"]
