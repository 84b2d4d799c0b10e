"""The client against a scripted hub: join, answer, leave, renew, come back, denials."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
from builders import case, item, observation, put
from fhircast_subscribers import (
    IRA_EVENTS,
    ClientSettings,
    Connection,
    ContextOpened,
    FellBehind,
    NoAnswer,
    RefusedLocally,
    RequestRefused,
    SubscriptionEnded,
    connect,
)
from fhircast_subscribers.wire import encode
from subscribers.clients import FAST, SHORT, next_change, opened_items, reading_case, shows
from subscribers.scripted_hub import scripted_hub, until

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from fhircast_subscribers import HubSession
    from subscribers.scripted_hub import ScriptedHub


def joined(
    hub: ScriptedHub, settings: ClientSettings = FAST
) -> AbstractAsyncContextManager[HubSession]:
    return connect(hub.hub_url, hub.topic, name="Image Display", settings=settings)


async def test_subscribe_form_is_exact(scripted: ScriptedHub) -> None:
    """SUB-01, SUB-02, SUB-03, SUB-04, SUB-05, IRA-SUB-01: every field once, events, name, lease."""
    async with joined(scripted):
        assert scripted.forms[0] == [
            ("hub.channel.type", "websocket"),
            ("hub.mode", "subscribe"),
            ("hub.topic", "topic-1"),
            ("hub.events", ",".join(IRA_EVENTS)),
            ("hub.lease_seconds", "7200"),
            ("subscriber.name", "Image Display"),
        ]


async def test_renewal_is_as_exact_as_the_first_subscribe(scripted: ScriptedHub) -> None:
    """SUB-01, SUB-04, SUB-05: events again, every field once, and the endpoint."""
    scripted.lease_seconds = 1
    async with joined(scripted, replace(FAST, renew_at=0.2)):
        await until(lambda: len(scripted.subscribes) >= 2)
    first, renewal = scripted.forms[0], scripted.forms[1]
    assert renewal[:-1] == first
    assert renewal[-1][0] == "hub.channel.endpoint"


async def test_events_are_named_once_whatever_their_case(scripted: ScriptedHub) -> None:
    """SUB-06, GEN-03: the first spelling counts."""
    events = ("Patient-open", "SyncError", "patient-OPEN")
    async with connect(scripted.hub_url, "topic-1", name="ID", events=events, settings=FAST):
        assert scripted.subscribes[0]["hub.events"] == "Patient-open,SyncError"


async def test_join_reads_the_current_context(scripted: ScriptedHub) -> None:
    """IRA-SUB-02, IRA-SUB-07: GET after joining."""
    async with joined(scripted) as session:
        assert scripted.reads == 1
        assert session.sync.in_sync


async def test_leave_unsubscribes_and_closes_normally(scripted: ScriptedHub) -> None:
    """UNS-01, UNS-06: not left to the hub's clean-up."""
    async with joined(scripted):
        pass
    await until(lambda: scripted.closes)
    endpoint = scripted.unsubscribes[0]["hub.channel.endpoint"]
    assert endpoint.endswith(scripted.connects[0])
    assert len(scripted.forms[-1]) == 4


async def test_leave_without_an_answer_closes_with_1000(scripted: ScriptedHub) -> None:
    """UNS-06: the close code is ours even if the hub does not answer."""
    async with joined(scripted):
        scripted.form_faults.append("silent")
    await until(lambda: scripted.closes)
    assert scripted.closes == [1000]


async def test_fresh_token_for_every_request(scripted: ScriptedHub) -> None:
    """SUB-10: credentials come from the application when they are needed."""
    numbers = iter(range(100))

    async def token() -> str:
        return f"t{next(numbers)}"

    async with connect(scripted.hub_url, "topic-1", name="ID", token=token, settings=FAST):
        assert scripted.tokens == ["Bearer t0"]


async def test_every_notification_is_answered(scripted: ScriptedHub) -> None:
    """ACK-01, D-04: each of twenty, whatever it is; id copied, status as a string."""
    report = {"key": "report", "reference": {"reference": "DiagnosticReport/dr-1"}}
    chosen = {"key": "select", "reference": {"reference": "Patient/pt-1"}}
    async with joined(scripted) as session:
        ids = [
            await scripted.send("DiagnosticReport-open", opened_items()),
            await scripted.send("DiagnosticReport-update", [report]),
            await scripted.send("DiagnosticReport-select", [report, chosen]),
            await scripted.send("DiagnosticReport-close", opened_items()),
            await scripted.send("Home-open", []),
            await scripted.send("SyncError", []),
            await scripted.send("UserLogout", []),
            await scripted.send("Foo-zap", []),
            *[await scripted.send("org.example.thing", []) for _ in range(12)],
        ]
        last = await scripted.send("org.example.last", [])
        async for received in session:
            if received.notification is not None and received.notification.id == last:
                break
        await until(lambda: all(scripted.statuses(it) == ["200"] for it in ids))


async def test_application_refuses(scripted: ScriptedHub) -> None:
    """ACK-04: the application's 409 goes out, and nothing after it."""
    async with joined(scripted) as session:
        event_id = await scripted.send("DiagnosticReport-open", opened_items())
        async for received in session:
            if received.notification is not None:
                await received.answer(409)
                await received.answer(200)
                break
        await until(lambda: scripted.statuses(event_id))
        assert scripted.statuses(event_id) == ["409"]
        assert session.sync.refused == "DiagnosticReport-open"


async def test_late_answer_is_202_and_a_later_refusal_a_sync_error(scripted: ScriptedHub) -> None:
    """ACK-02, ACK-04, SYNC-11: received in time, refused after asking the user."""
    async with joined(scripted, replace(FAST, answer_within_seconds=0.05)) as session:
        event_id = await scripted.send("DiagnosticReport-open", opened_items())
        await until(lambda: scripted.statuses(event_id) == ["202"])
        async for received in session:
            if received.notification is not None:
                await received.answer(409, "unsaved dictation")
                break
        event = scripted.posts[0]["event"]
        codes = event["context"][0]["resource"]["issue"][0]["details"]["coding"]
        name = "Image Display"
        assert [it["code"] for it in codes] == [event_id, "DiagnosticReport-open", name, name]


async def test_logout_that_was_received_can_still_be_refused(scripted: ScriptedHub) -> None:
    """INF-02, ACK-04: the user was asked and does not want to go yet."""
    async with joined(scripted) as session:
        await scripted.send("UserLogout", [])
        async for received in session:
            if received.notification is not None:
                await received.answer(202)
                await received.answer(409, "unsaved dictation")
                break
        codes = scripted.posts[0]["event"]["context"][0]["resource"]["issue"][0]["details"]
        assert codes["coding"][1]["code"] == "UserLogout"


async def test_updates_are_not_refused(scripted: ScriptedHub) -> None:
    """SYNC-11, D-17: refused locally, answered 200."""
    async with joined(scripted) as session:
        await scripted.send("DiagnosticReport-update", [])
        async for received in session:
            if received.notification is not None:
                with pytest.raises(RefusedLocally):
                    await received.answer(409)
                break


async def test_update_that_is_no_use_here_is_answered_like_any_other(scripted: ScriptedHub) -> None:
    """SYNC-11, CONT-24: 200, no SyncError."""
    async with joined(scripted) as session:
        report = {"key": "report", "reference": {"reference": "DiagnosticReport/none"}}
        event_id = await scripted.send("DiagnosticReport-update", [report], version="v9")
        async for received in session:
            if received.notification is not None:
                break
        await session.request("org.example.last", [])
        await received.answer(200)
        await until(lambda: scripted.statuses(event_id) == ["200"])
        assert [it["event"]["hub.event"] for it in scripted.posts] == ["org.example.last"]


async def test_update_outside_the_current_context_is_answered_and_kept(
    scripted: ScriptedHub,
) -> None:
    """CONT-24, CONT-17: 200, never silence; the version of the other report moves."""
    async with joined(scripted) as session:
        await scripted.send("DiagnosticReport-open", opened_items(1), version="v1")
        await scripted.send("DiagnosticReport-open", opened_items(2), version="w1")
        report = {"key": "report", "reference": {"reference": "DiagnosticReport/dr-1"}}
        event_id = await scripted.send(
            "DiagnosticReport-update", [report], version="v2", prior="v1"
        )
        reading = asyncio.create_task(next_change(session, FellBehind))
        await until(lambda: scripted.statuses(event_id) == ["200"])
        reading.cancel()
        assert session.current is not None
        assert session.current.anchor == "DiagnosticReport/dr-2"
        assert session.contexts["DiagnosticReport/dr-1"].version_id == "v2"


async def test_older_open_is_answered_but_not_followed(scripted: ScriptedHub) -> None:
    """EVT-10: an older message is passed over, and acknowledged."""
    newer, older = reading_case(1).open_items(), reading_case(2).open_items()
    scripted.read_faults.extend([405] * 9)  # no GET repairs what the follower gets wrong
    async with joined(scripted) as session:
        await scripted.send("DiagnosticReport-open", newer)
        event_id = "older"
        event = {"hub.topic": "topic-1", "hub.event": "DiagnosticReport-open", "context": older}
        await scripted.send_frame(
            {"timestamp": "2026-03-02T11:59:00.000Z", "id": event_id, "event": event}
        )
        async for received in session:
            if received.notification is not None and received.notification.id == event_id:
                break
        await received.answer(200)
        await until(lambda: scripted.statuses(event_id) == ["200"])
        assert session.current is not None
        assert session.current.anchor == "DiagnosticReport/dr-1"


async def test_full_resources_are_followed(scripted: ScriptedHub) -> None:
    """EVT-18: 300 kB of patient with extensions and contained resources, where few are needed."""
    report, patient, study = case(1)
    notes = [{"url": f"https://example.org/{it}", "valueString": "x" * 990} for it in range(300)]
    contained = [{"resourceType": "Organization", "id": "o-1"}]
    full = {**patient, "extension": notes, "contained": contained}
    async with joined(scripted) as session:
        items = [item(report), item(full), item(study)]
        event_id = await scripted.send("DiagnosticReport-open", items)
        change = await next_change(session, ContextOpened)
        assert change.context.patient == full
        await scripted.send("org.example.next", [])
        async for _received in session:
            break
        await until(lambda: scripted.statuses(event_id) == ["200"])


async def test_event_over_the_limit_is_answered_413(scripted: ScriptedHub) -> None:
    """CONT-19: the application is not asked, the user sees it, the connection stays."""
    async with joined(scripted, replace(FAST, max_event_bytes=2_000)) as session:
        big = [*opened_items(), {"key": "extension", "data": "x" * 2_000}]
        event_id = await scripted.send("DiagnosticReport-open", big)
        await until(lambda: scripted.statuses(event_id) == ["413"])
        assert session.current is None
        assert session.sync.refused == "DiagnosticReport-open"
        assert len(scripted.connects) == 1


async def test_update_over_the_limit_moves_the_version_only(scripted: ScriptedHub) -> None:
    """CONT-19, CONT-17: our next update is still accepted."""
    async with joined(scripted, replace(FAST, max_event_bytes=3_000)) as session:
        await session.open(reading_case())
        report = {"key": "report", "reference": {"reference": "DiagnosticReport/dr-1"}}
        entry = put({**observation("ob-1"), "x": "x" * 3000})
        updates = {"key": "updates", "resource": {"resourceType": "Bundle", "entry": [entry]}}
        event_id = await scripted.send(
            "DiagnosticReport-update", [report, updates], version="v2", prior="v1"
        )
        await until(lambda: scripted.statuses(event_id) == ["413"])
        await session.update([observation("ob-2")])
        assert scripted.posts[-1]["event"]["context.versionId"] == "v2"


async def test_close_over_the_limit_is_followed(scripted: ScriptedHub) -> None:
    """CONT-19, IRA-SUB-06: to stop showing something is always possible."""
    async with joined(scripted, replace(FAST, max_event_bytes=2_000)) as session:
        await scripted.send("DiagnosticReport-open", opened_items())
        big = [*opened_items(), {"key": "extension", "data": "x" * 2_000}]
        await scripted.send("DiagnosticReport-close", big)
        await shows(session, lambda it: it.current is None and not it.contexts)


@pytest.mark.parametrize(
    "setting", ["lease_seconds", "request_tries", "max_events", "max_event_bytes", "renew_at"]
)
def test_settings_that_cannot_work_are_refused(setting: str) -> None:
    """SUB-08, CONF-04, CONT-19: when they are made, with their name."""
    with pytest.raises(ValueError, match=setting):
        ClientSettings(**{setting: 0})  # type: ignore[arg-type]  # by name


def test_limit_is_within_what_is_read_at_all() -> None:
    """CONT-19."""
    with pytest.raises(ValueError, match="max_event_bytes"):
        replace(FAST, max_event_bytes=FAST.max_frame_bytes + 1)


async def test_slow_application_falls_behind_but_follower_does_not(scripted: ScriptedHub) -> None:
    """The queue is bounded; the application is told to look at the state anew."""
    async with joined(scripted, replace(FAST, max_events=3)) as session:
        for _ in range(10):
            await scripted.send("org.example.thing", [])
        await scripted.send("DiagnosticReport-open", opened_items())
        await shows(session, lambda it: it.current is not None)
        await next_change(session, FellBehind)


async def test_lease_is_renewed_with_the_same_endpoint(scripted: ScriptedHub) -> None:
    """CONF-04: at 80 % of the lease at most, on the same socket."""
    scripted.lease_seconds = 1
    async with joined(scripted, replace(FAST, renew_at=0.2)):
        await until(lambda: len(scripted.subscribes) >= 3)
        assert len(scripted.connects) == 1
        endpoints = {it["hub.channel.endpoint"] for it in scripted.subscribes[1:]}
        assert [it.rsplit("/", 1)[1] for it in endpoints] == [scripted.connects[0][1:]]


async def test_a_lease_that_is_new_with_a_reconnect_counts_from_then(
    scripted: ScriptedHub,
) -> None:
    """CONF-03, CONF-04: a hub may confirm another lease when the connection comes back."""
    async with joined(scripted, replace(FAST, renew_at=0.2)) as session:
        session._link._leased_at -= 100  # joined a while ago
        scripted.lease_seconds = 1
        await scripted.close(1001)
        await until(lambda: len(scripted.subscribes) >= 2)
        assert scripted.subscribes[1]["hub.channel.endpoint"].endswith(scripted.connects[0])


async def test_failed_renewal_is_tried_again(scripted: ScriptedHub) -> None:
    """CONF-04: 503 is no end."""
    scripted.lease_seconds = 1
    async with joined(scripted, replace(FAST, renew_at=0.2)):
        scripted.form_faults.extend([503, 503])
        await until(lambda: len(scripted.subscribes) >= 4)


async def test_lost_connection_comes_back_to_the_same_endpoint(scripted: ScriptedHub) -> None:
    """D-45: within the grace nothing is lost, so the endpoint is tried first."""
    async with joined(scripted) as session:
        scripted.drop()
        await until(lambda: len(scripted.connects) == 2)
        await shows(session, lambda it: it.in_sync)
        assert scripted.connects[0] == scripted.connects[1]
        assert len(scripted.subscribes) == 1


async def test_lost_connection_is_shown(scripted: ScriptedHub) -> None:
    """SYNC-13: out of sync until the context was read again."""
    async with joined(scripted) as session:
        scripted.refuse_handshake = HTTPStatus.SERVICE_UNAVAILABLE
        scripted.drop()
        await shows(session, lambda it: it.sync.connection is Connection.LOST)
        scripted.refuse_handshake = None
        await shows(session, lambda it: it.in_sync)


async def test_unknown_endpoint_leads_to_a_new_subscription(scripted: ScriptedHub) -> None:
    """IRA-HUB-06: 404 on the handshake means a retired endpoint."""
    async with joined(scripted) as session:
        scripted.refuse_handshake = HTTPStatus.NOT_FOUND
        scripted.drop()
        await until(lambda: len(scripted.subscribes) >= 2)
        scripted.refuse_handshake = None
        await shows(session, lambda it: it.in_sync)
        assert scripted.connects[0] != scripted.connects[-1]


@pytest.mark.parametrize("reason", ["no such subscription", "hub shut down"])
async def test_hub_that_forgot_us_is_joined_anew(scripted: ScriptedHub, reason: str) -> None:
    """D-43, CONF-07: these denials do not mean that we are not wanted; the endpoint is not used."""
    async with joined(scripted) as session:
        await scripted.deny(reason)
        await until(lambda: len(scripted.connects) == 2)
        await shows(session, lambda it: it.in_sync)
        assert scripted.connects[0] != scripted.connects[1]


async def test_denial_ends_the_session(scripted: ScriptedHub) -> None:
    """CONF-07: no new subscription, no socket to the endpoint; the reason is shown."""
    async with joined(scripted) as session:
        await scripted.deny("policy")
        assert [received async for received in session]
        assert session.sync.detail == "policy"
        assert len(scripted.connects) == len(scripted.subscribes) == 1


async def test_user_may_subscribe_anew_after_a_denial(scripted: ScriptedHub) -> None:
    """CONF-07: by the user's decision."""
    async with joined(scripted) as session:
        await scripted.deny("policy")
        await shows(session, lambda it: it.sync.connection is Connection.ENDED)
        await session.resubscribe()
        assert session.sync.in_sync


async def test_replaced_connection_does_not_fight(scripted: ScriptedHub) -> None:
    """D-44: somebody else took the endpoint over."""
    async with joined(scripted) as session:
        await scripted.close(1008, "replaced")
        await shows(session, lambda it: it.sync.connection is Connection.ENDED)
        assert len(scripted.connects) == 1


async def test_denial_instead_of_a_confirmation(scripted: ScriptedHub) -> None:
    """CONF-06."""
    scripted.first_frame = encode({"hub.mode": "denied", "hub.topic": "t", "hub.reason": "revoked"})
    with pytest.raises(SubscriptionEnded, match="revoked"):
        async with joined(scripted):
            pass


async def test_refused_subscription_raises_with_the_reason(scripted: ScriptedHub) -> None:
    """SUB-13: 403 is no reason to try again."""
    scripted.form_faults.append(403)
    with pytest.raises(RequestRefused, match="403: no"):
        async with joined(scripted):
            pass
    assert len(scripted.forms) == 1


async def test_temporary_refusal_is_tried_again(scripted: ScriptedHub) -> None:
    """503 and silence at the start are waited for."""
    scripted.form_faults.extend([503, "silent"])
    async with joined(scripted) as session:
        assert session.sync.in_sync


async def test_hub_that_is_not_there_raises_within_the_deadline() -> None:
    """Every wait has an end."""
    settings = replace(FAST, join_timeout_seconds=0.2)
    with pytest.raises(NoAnswer, match="not joined"):
        async with connect("http://127.0.0.1:9/hub", "t", name="ID", settings=settings):
            pass


async def test_gap_is_read_again(scripted: ScriptedHub) -> None:
    """CONT-18: a missed update shows in the prior version; one GET repairs it."""
    async with joined(scripted) as session:
        await scripted.send("DiagnosticReport-open", opened_items(), version="v1")
        await until(lambda: scripted.reads == 2)  # the open might have been a replay
        shared = {"resourceType": "Bundle", "type": "collection", "entry": []}
        items = [*opened_items(), {"key": "content", "resource": shared}]
        scripted.current = {
            "context.type": "DiagnosticReport",
            "context.versionId": "v3",
            "context": items,
        }
        report = {"key": "report", "reference": {"reference": "DiagnosticReport/dr-1"}}
        await scripted.send("DiagnosticReport-update", [report], version="v3", prior="v2")
        await until(lambda: scripted.reads == 3)
        await shows(session, lambda it: it.in_sync and it.contexts != {})
        assert session.current is not None
        assert session.current.version_id == "v3"


async def test_failed_read_is_tried_again(scripted: ScriptedHub) -> None:
    """IRA-SUB-04: out of sync until it works."""
    scripted.read_faults.extend([500, "silent"])
    async with joined(scripted):
        assert scripted.reads == 3


async def test_hub_without_get_is_followed_by_its_replay(scripted: ScriptedHub) -> None:
    """CTX-01: GET is optional."""
    scripted.read_faults.extend([405] * 9)
    async with joined(scripted) as session:
        await scripted.send("DiagnosticReport-open", opened_items())
        change = await next_change(session, ContextOpened)
        assert change.is_current


async def test_content_by_reference_is_fetched_once(scripted: ScriptedHub) -> None:
    """IRA-SUB-04: by what the application hands in."""
    fetched = []

    async def fetch(url: str) -> dict[str, object]:
        fetched.append(url)
        return {"resourceType": "Observation", "id": "ob-7"}

    async with connect(
        scripted.hub_url, "topic-1", name="ID", settings=FAST, fetch=fetch
    ) as session:
        await scripted.send("DiagnosticReport-open", opened_items(), version="v1")
        entry = {"fullUrl": "https://x.example/Observation/ob-7", "request": {"method": "PUT"}}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        report = {"key": "report", "reference": {"reference": "DiagnosticReport/dr-1"}}
        items = [report, {"key": "updates", "resource": bundle}]
        await scripted.send("DiagnosticReport-update", items, version="v2", prior="v1")
        await shows(session, lambda it: it.current is not None and bool(it.current.content))
    assert fetched == ["https://x.example/Observation/ob-7"]


async def test_two_hubs_in_one_process(scripted: ScriptedHub) -> None:
    """IRA-SUB-03: two sessions, independent of each other."""
    async with scripted_hub() as other, joined(scripted) as one, joined(other) as two:
        await one.open(reading_case(1))
        await two.open(reading_case(2))
        assert list(one.contexts) == ["DiagnosticReport/dr-1"]
        assert list(two.contexts) == ["DiagnosticReport/dr-2"]
        await other.deny("policy")
        await shows(two, lambda it: it.sync.connection is Connection.ENDED)
        await shows(one, lambda it: it.in_sync)


async def test_configuration_is_read_whatever_else_it_says(scripted: ScriptedHub) -> None:
    """WK-06: webhookSupport and unknown fields are ignored."""
    async with joined(scripted) as session:
        configuration = await session.read_configuration()
        assert configuration.has_websocket
        assert configuration.supports("patient-OPEN")


async def test_nothing_is_left_running(scripted: ScriptedHub) -> None:
    """No task outlives its session."""
    before = {it for it in asyncio.all_tasks() if "fhircast" in it.get_name()}
    async with joined(scripted):
        scripted.drop()
    assert {it for it in asyncio.all_tasks() if "fhircast" in it.get_name()} == before


async def test_error_of_the_application_comes_out_as_it_is(scripted: ScriptedHub) -> None:
    """No exception group around it, and the session was left."""
    with pytest.raises(ZeroDivisionError):
        async with joined(scripted):
            raise ZeroDivisionError
    assert scripted.unsubscribes


def test_renewal_after_the_lease_is_no_setting() -> None:
    """CONF-04."""
    with pytest.raises(ValueError, match="renew_at"):
        replace(FAST, renew_at=0.9)


def test_backoff_grows_to_its_maximum() -> None:
    """A restarted hub is not met by everybody at once."""
    delays = [SHORT.delay_seconds(it, lambda: 0.5) for it in (1, 2, 3, 4, 1000)]
    assert delays == [0.01, 0.02, 0.04, 0.05, 0.05]
