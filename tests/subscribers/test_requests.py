"""Context change requests against a scripted hub: ids, retries, stale versions, resends."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from builders import ENCOUNTER, PATIENT, STUDY, bundle, case, observation, put, ref
from fhircast_subscribers import (
    IRA_EVENTS,
    ClientSettings,
    InvalidContext,
    NoAnswer,
    RefusedLocally,
    RequestRefused,
    VersionStale,
    connect,
    encounter_context,
    patient_context,
    study_context,
)
from fhircast_subscribers.fhir import new_id
from fhircast_subscribers.infrastructure import sync_error_items
from subscribers.clients import FAST, opened_items, reading_case, shows
from subscribers.scripted_hub import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from fhircast_subscribers import HubSession
    from subscribers.scripted_hub import ScriptedHub

ANCHOR = "DiagnosticReport/dr-1"
OBSERVATION = observation("ob-1")


def joined(
    hub: ScriptedHub, settings: ClientSettings = FAST
) -> AbstractAsyncContextManager[HubSession]:
    return connect(hub.hub_url, hub.topic, name="Worklist Client", settings=settings)


def keys(message: dict[str, Any]) -> list[str]:
    return [it["key"] for it in message["event"]["context"]]


async def test_open_is_in_the_follower_when_it_returns(scripted: ScriptedHub) -> None:
    """EVT-04, EVT-09: the broadcast was awaited; the timestamp is UTC with a Z."""
    async with joined(scripted) as session:
        accepted = await session.open(reading_case())
        assert session.current is not None
        assert session.current.anchor == ANCHOR
        assert accepted.version_id == "v1"
        assert scripted.posts[0]["timestamp"].endswith("Z")
        assert keys(scripted.posts[0]) == ["report", "patient", "study"]


async def test_no_answer_is_retried_with_the_same_id(scripted: ScriptedHub) -> None:
    """IRA-SUB-08: whether it was accepted is not known, so the hub must recognise it."""
    async with joined(scripted) as session:
        scripted.post_faults.append("accepted")
        await session.open(reading_case())
        assert scripted.posts[0] == scripted.posts[1]


async def test_retries_without_answer_are_bounded(scripted: ScriptedHub) -> None:
    """EVT-07: no endless loop."""
    async with joined(scripted, replace(FAST, request_timeout_seconds=0.1)) as session:
        scripted.post_faults.extend(["silent"] * 9)
        with pytest.raises(NoAnswer):
            await session.open(reading_case())
        assert len(scripted.posts) == 3


@pytest.mark.parametrize("status", [400, 403, 500, 503])
async def test_error_answer_is_not_retried(scripted: ScriptedHub, status: int) -> None:
    """EVT-07, IRA-SUB-08: the application decides; what is shown stays."""
    async with joined(scripted) as session:
        scripted.post_faults.append(status)
        with pytest.raises(RequestRefused) as refused:
            await session.open(reading_case())
        assert refused.value.status == status
        assert len(scripted.posts) == 1


def _requests(session: HubSession) -> dict[str, Callable[[], Awaitable[object]]]:
    return {
        "open": lambda: session.open(reading_case(2)),
        "close": lambda: session.close(),
        "update": lambda: session.update([OBSERVATION]),
        "select": lambda: session.select(["Patient/pt-1"]),
        "SyncError": lambda: session.sync_error("e-1", "DiagnosticReport-open", "unsaved"),
    }


@pytest.mark.parametrize("what", ["open", "close", "update", "select", "SyncError"])
async def test_every_request_is_retried_with_its_id_and_anew_with_another(
    scripted: ScriptedHub, what: str
) -> None:
    """IRA-SUB-08: no answer, the same id; an error answer, no retry, and the next has a new id."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        request = _requests(session)[what]
        scripted.post_faults.extend([500, "silent"])
        with pytest.raises(RequestRefused):
            await request()
        assert len(scripted.posts) == 2
        await request()
        refused, silent, answered = (it["id"] for it in scripted.posts[1:])
        assert refused != silent == answered


async def test_rejected_open_leaves_what_is_shown(scripted: ScriptedHub) -> None:
    """EVT-07: own context kept, told by an error, no blind retry."""
    async with joined(scripted) as session:
        await session.open(reading_case(1))
        for fault in (409, 500):
            scripted.post_faults.append(fault)
            with pytest.raises(RequestRefused):
                await session.open(reading_case(2))
        assert session.current is not None
        assert session.current.anchor == ANCHOR
        assert len(scripted.posts) == 3


async def test_next_try_of_the_application_has_a_new_id(scripted: ScriptedHub) -> None:
    """IRA-SUB-08: after an error answer."""
    async with joined(scripted) as session:
        scripted.post_faults.append(500)
        with pytest.raises(RequestRefused):
            await session.open(reading_case())
        await session.open(reading_case())
        assert scripted.posts[0]["id"] != scripted.posts[1]["id"]


async def test_update_carries_the_newest_version(scripted: ScriptedHub) -> None:
    """CONT-02, CONT-08, IRA-CC-04: each update is based on the one before."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        await session.update([OBSERVATION])
        await session.update(deletes=["Observation/ob-1"])
        first, second = scripted.posts[1], scripted.posts[2]
        assert keys(first) == ["report", "patient", "updates"]
        assert first["event"]["context.versionId"] == "v1"
        assert second["event"]["context.versionId"] == "v2"


async def test_version_is_kept_though_the_content_is_no_use(scripted: ScriptedHub) -> None:
    """CONT-17, IRA-SUB-04: after three updates of others ours is based on the third."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        await until(lambda: scripted.reads == 2)  # the open might have been a replay
        report = {"key": "report", "reference": {"reference": ANCHOR}}
        for number in (2, 3, 4):
            await scripted.send(
                "DiagnosticReport-update", [report], version=f"v{number}", prior=f"v{number - 1}"
            )
        await shows(session, lambda it: it.contexts[ANCHOR].version_id == "v4")
        await session.update([OBSERVATION])
        assert scripted.posts[-1]["event"]["context.versionId"] == "v4"
        assert scripted.reads == 2


async def test_concurrent_updates_of_one_session_do_not_collide(scripted: ScriptedHub) -> None:
    """CONT-06: they queue up instead of refusing each other."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        await asyncio.gather(*(session.update([observation(f"ob-{it}")]) for it in range(5)))
        versions = [it["event"]["context.versionId"] for it in scripted.posts[1:]]
        assert versions == ["v1", "v2", "v3", "v4", "v5"]


async def test_stale_version_is_read_and_retried_once(scripted: ScriptedHub) -> None:
    """CONT-18, IRA-SUB-08: GET, then a new id and the newest version."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        scripted.post_faults.append(409)
        scripted.current = {
            "context.type": "DiagnosticReport",
            "context.versionId": "v7",
            "context": opened_items(),
        }
        await session.update([OBSERVATION])
        first, second = scripted.posts[1:]
        assert second["event"]["context.versionId"] == "v7"
        assert first["id"] != second["id"]


async def test_a_broadcast_that_overtakes_the_refusal_is_not_waited_for_again(
    scripted: ScriptedHub,
) -> None:
    """CONT-18, IRA-CC-04: the newer version is here already; no other one is coming."""
    settings = replace(FAST, echo_timeout_seconds=60)
    async with joined(scripted, settings=settings) as session, asyncio.timeout(20):
        await session.open(reading_case())

        async def somebody_is_faster() -> None:
            scripted.version = 7
            others = put(observation("ob-2")) | {"fullUrl": "Observation/ob-2"}
            items = [ref(ANCHOR, "report"), {"key": "updates", "resource": bundle(others)}]
            await scripted.send("DiagnosticReport-update", items, version="v7", prior="v1")
            await until(lambda: session.contexts[ANCHOR].version_id == "v7")

        scripted.before_fault = somebody_is_faster
        scripted.post_faults.append(409)
        await session.update([OBSERVATION])
        assert scripted.posts[-1]["event"]["context.versionId"] == "v7"


async def test_twice_stale_is_told(scripted: ScriptedHub) -> None:
    """EVT-07: one retry, no more."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        scripted.post_faults.extend([409, 409])
        with pytest.raises(VersionStale):
            await session.update([OBSERVATION])
        assert len(scripted.posts) == 3


@pytest.mark.parametrize("target", [ANCHOR, "Patient/pt-1", "ImagingStudy/is-1"])
async def test_removing_a_resource_of_the_open_is_refused_locally(
    scripted: ScriptedHub, target: str
) -> None:
    """CONT-13: nothing is sent."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        with pytest.raises(RefusedLocally, match="CONT-13"):
            await session.update(deletes=[target])
        assert len(scripted.posts) == 1


async def test_further_resources_come_and_go_as_content(scripted: ScriptedHub) -> None:
    """CONT-15: a comparison study is content, not context."""
    study = {**case(7)[2], "subject": {"reference": "Patient/pt-1"}}
    async with joined(scripted) as session:
        await session.open(reading_case())
        await session.update([study])
        assert session.current is not None
        assert list(session.current.content) == ["ImagingStudy/is-7"]
        assert "ImagingStudy/is-7" not in session.current.opened_resources()
        await session.update(deletes=["ImagingStudy/is-7"])
        assert not session.current.content


async def test_change_of_an_opened_resource_is_a_put(scripted: ScriptedHub) -> None:
    """CONT-14: the report's status goes as a whole report in the updates."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        await session.update(lambda newest: [{**(newest.report or {}), "status": "final"}])
        entry = scripted.posts[1]["event"]["context"][2]["resource"]["entry"][0]
        assert entry["request"] == {"method": "PUT", "url": ANCHOR}
        assert entry["resource"]["subject"] == {"reference": "Patient/pt-1"}
        assert session.current is not None
        assert session.current.status == "final"


async def test_content_of_another_patient_is_refused_locally(scripted: ScriptedHub) -> None:
    """CONT-21: the wrong patient must not happen."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        with pytest.raises(RefusedLocally, match="another patient"):
            await session.update([{**OBSERVATION, "subject": {"reference": "Patient/pt-2"}}])


async def test_the_same_resource_twice_is_refused_locally(scripted: ScriptedHub) -> None:
    """CONT-09."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        with pytest.raises(InvalidContext, match="twice"):
            await session.update([OBSERVATION], ["Observation/ob-1"])


async def test_selection_is_one_item_per_resource(scripted: ScriptedHub) -> None:
    """SEL-01, D-09: and one empty item that clears."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        await session.select(["Observation/ob-1", "Patient/pt-1"])
        await session.select([])
        assert keys(scripted.posts[1]) == ["report", "select", "select"]
        assert scripted.posts[2]["event"]["context"][1] == {"key": "select", "reference": []}


async def test_selection_without_current_context_is_refused_locally(scripted: ScriptedHub) -> None:
    """SEL-03."""
    async with joined(scripted) as session:
        with pytest.raises(RefusedLocally, match="SEL-03"):
            await session.select(["Observation/ob-1"])


async def test_selection_of_a_context_that_is_not_current_cannot_be_asked_for(
    scripted: ScriptedHub,
) -> None:
    """SEL-03: a selection names the current report, whichever was shown before."""
    async with joined(scripted) as session:
        await session.open(reading_case(1))
        await session.open(reading_case(2))
        await session.select(["Patient/pt-2"])
        anchor = scripted.posts[-1]["event"]["context"][0]["reference"]["reference"]
        assert anchor == "DiagnosticReport/dr-2"


async def test_close_repeats_the_ids_of_the_open(scripted: ScriptedHub) -> None:
    """PROF-02, PROF-07, PROF-10."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        await session.close()
        ids = [it["resource"]["id"] for it in scripted.posts[1]["event"]["context"]]
        assert ids == ["dr-1", "pt-1", "is-1"]
        assert session.current is None


async def test_resume_sends_the_same_resources_with_a_new_id(scripted: ScriptedHub) -> None:
    """IRA-SUB-10, TAB-04."""
    async with joined(scripted) as session:
        await session.open(reading_case(1))
        await session.open(reading_case(2))
        await session.reopen(ANCHOR)
        first, resumed = scripted.posts[0], scripted.posts[2]
        assert first["event"]["context"] == resumed["event"]["context"]
        assert first["id"] != resumed["id"]


async def test_own_open_is_never_older_than_the_current_one(scripted: ScriptedHub) -> None:
    """EVT-10, D-27: a colleague's clock runs ahead; our user's next case must still be followed."""
    async with joined(scripted) as session:
        await session.open(reading_case(1))
        ahead = {**scripted.posts[0], "timestamp": "2099-01-01T00:00:00.000Z", "id": "ahead"}
        await scripted.send_frame(ahead)
        await shows(session, lambda it: it.opened_at is not None and it.opened_at.year == 2099)
        await session.open(reading_case(2))
        assert session.current is not None
        assert session.current.anchor == "DiagnosticReport/dr-2"


@pytest.mark.parametrize("event", ["DiagnosticReport-update", "diagnosticreport-SELECT"])
async def test_sync_error_about_content_is_refused_locally(
    scripted: ScriptedHub, event: str
) -> None:
    """SYNC-11, D-17: only about a context change."""
    async with joined(scripted) as session:
        with pytest.raises(RefusedLocally, match="SYNC-11"):
            await session.sync_error("e-1", event, "no use")
        assert not scripted.posts


@pytest.mark.parametrize("event", ["thing", "org.example-thing", "Patient-zap"])
async def test_names_that_no_event_may_have_are_refused_locally(
    scripted: ScriptedHub, event: str
) -> None:
    """EVT-12, EVT-13."""
    async with joined(scripted) as session:
        with pytest.raises(InvalidContext, match="EVT-13"):
            await session.request(event, [])
        assert not scripted.posts


async def test_other_anchors_can_be_opened_and_closed(scripted: ScriptedHub) -> None:
    """EVT-12, EVT-15, PROF-04, PROF-06, PROF-07: patient, encounter, study."""
    encounter = {**ENCOUNTER, "identifier": [{"value": "r2"}], "class": {"code": "AMB"}}
    events = tuple(
        f"{it}-{what}"
        for it in ("Patient", "Encounter", "ImagingStudy")
        for what in ("open", "close")
    )
    async with connect(
        scripted.hub_url, "topic-1", name="ID", events=events, settings=FAST
    ) as session:
        for context in (
            patient_context(PATIENT),
            encounter_context(encounter, PATIENT),
            study_context(STUDY, PATIENT),
        ):
            await session.open(context)
            assert session.current is not None
            assert session.current.anchor == context.anchor
            await session.close()
        assert tuple(it["event"]["hub.event"] for it in scripted.posts) == events


async def test_ids_are_unique_uuids(scripted: ScriptedHub) -> None:
    """EVT-08, D-50, PROF-13: whoever makes them."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        await session.home()
        assert len({str(UUID(it["id"])) for it in scripted.posts}) == 2
    assert len({new_id() for _ in range(10_000)}) == 10_000


async def test_hibernate_closes_nothing(scripted: ScriptedHub) -> None:
    """INF-03: context and content survive."""
    events = (*IRA_EVENTS, "UserHibernate")
    async with connect(
        scripted.hub_url, "topic-1", name="ID", events=events, settings=FAST
    ) as session:
        await session.open(reading_case())
        before = session.current
        await session.hibernate("system-timeout", hub=True)
        assert session.current == before
        names = [
            it["name"] for it in scripted.posts[-1]["event"]["context"][0]["resource"]["parameter"]
        ]
        assert names == ["code", "hub"]


async def test_home_and_logout(scripted: ScriptedHub) -> None:
    """INF-01, INF-04."""
    async with joined(scripted) as session:
        await session.home()
        await session.logout()
        assert scripted.posts[0]["event"]["context"] == []
        parameter = scripted.posts[1]["event"]["context"][0]["resource"]["parameter"][0]
        assert parameter["valueCoding"]["code"] == "user-initiated"


async def sync_error_about(scripted: ScriptedHub, event_id: str) -> None:
    items = sync_error_items(
        event_id=event_id,
        event_name="DiagnosticReport-open",
        subscriber="Report Creator",
        reason="unsaved dictation",
    )
    await scripted.send("SyncError", items)


async def test_refused_open_is_resent_unchanged_until_followed(scripted: ScriptedHub) -> None:
    """SYNC-12: same id, same timestamp; the rebroadcast that nobody refuses ends it."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        await sync_error_about(scripted, scripted.posts[0]["id"])
        await until(lambda: len(scripted.posts) == 2)
        assert scripted.posts[0] == scripted.posts[1]
        await shows(session, lambda it: it.in_sync)


async def test_resend_goes_on_while_somebody_refuses(scripted: ScriptedHub) -> None:
    """SYNC-12: every new SyncError about the same event wants another resend."""
    async with joined(scripted) as session:
        await session.open(reading_case())
        for resends in (2, 3, 4):
            await sync_error_about(scripted, scripted.posts[0]["id"])
            await until(lambda wanted=resends: len(scripted.posts) == wanted)  # type: ignore[misc]
        assert len({it["id"] for it in scripted.posts}) == 1


async def test_newer_open_ends_the_resends(scripted: ScriptedHub) -> None:
    """SYNC-12: the older context must not come back."""
    async with joined(scripted, replace(FAST, resend_seconds=0.2)) as session:
        await session.open(reading_case(1))
        await sync_error_about(scripted, scripted.posts[0]["id"])
        await shows(session, lambda it: not it.in_sync)
        await session.open(reading_case(2))
        await shows(session, lambda it: it.in_sync)
        await session.request("org.example.later", [])
        assert not await session.wait_until(lambda _it: len(scripted.posts) > 3, 0.4)


async def test_an_earlier_open_that_ends_later_does_not_replace_the_newest(
    scripted: ScriptedHub,
) -> None:
    """SYNC-12: what is sent again is the newest open, in whatever order the answers come."""
    async with joined(scripted) as session:
        scripted.echoes = False
        earlier = asyncio.create_task(session.open(reading_case(1)))
        await until(lambda: len(scripted.posts) == 1)
        scripted.echoes = True
        await session.open(reading_case(2))
        await earlier  # had waited for a broadcast that did not come
        newest = scripted.posts[1]
        await sync_error_about(scripted, newest["id"])
        await until(lambda: len(scripted.posts) == 3)
        assert scripted.posts[2] == newest


def test_resends_are_ten_seconds_apart_by_default() -> None:
    """SYNC-12."""
    assert ClientSettings().resend_seconds >= 10


async def test_resends_are_bounded(scripted: ScriptedHub) -> None:
    """A refusal that never ends does not end in a loop."""
    scripted.echoes = False
    settings = replace(FAST, resend_seconds=0.01, max_resends=2, echo_timeout_seconds=0.01)
    async with joined(scripted, settings) as session:
        await session.open(reading_case())
        await sync_error_about(scripted, scripted.posts[0]["id"])
        await until(lambda: len(scripted.posts) == 3)
        assert not await session.wait_until(lambda _it: len(scripted.posts) > 3, 0.2)
