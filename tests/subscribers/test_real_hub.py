"""Clients and the three reference applications on the real hub, over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from builders import case, observation
from fhircast_subscribers import (
    Connection,
    Dictation,
    EvidenceCreator,
    FhirVersion,
    Viewer,
    Watcher,
    Worklist,
    connect,
    follow,
    report_context,
)
from fhircast_subscribers.actors import WITH_USER
from subscribers.clients import FAST, reading_case, shows
from subscribers.real_hub import real_hub
from subscribers.scripted_hub import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fhircast_subscribers import HubSession
    from fhircast_subscribers.wire import Resource

TOPIC = "reading-room-1"
ANCHOR, ANCHOR_2 = "DiagnosticReport/dr-1", "DiagnosticReport/dr-2"


class Store:
    """Keeps reports; fails on demand."""

    def __init__(self) -> None:
        self.reports: list[Resource] = []
        self.fails = False

    async def put(self, report: Resource) -> None:
        if self.fails:
            raise OSError("the store is down")
        self.reports.append(report)


class Room:
    """A reading room: worklist, viewer and dictation in one session."""

    def __init__(self, worklist: HubSession, viewer: HubSession, dictation: HubSession) -> None:
        self.store = Store()
        self.worklist = Worklist(worklist, [reading_case(1), reading_case(2)])
        self.viewer = Viewer(viewer)
        self.dictation = Dictation(dictation, self.store)

    async def all_show(self, anchor: str) -> None:
        apps = (self.worklist, self.viewer, self.dictation)
        await until(lambda: all(it.shown and it.shown.anchor == anchor for it in apps))


@asynccontextmanager
async def reading_room(hub_url: str) -> AsyncIterator[Room]:
    async with (
        connect(hub_url, TOPIC, name="Worklist Client", settings=FAST) as worklist,
        connect(hub_url, TOPIC, name="Image Display", settings=FAST) as viewer,
        connect(hub_url, TOPIC, name="Report Creator", settings=FAST) as dictation,
    ):
        room = Room(worklist, viewer, dictation)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(follow(worklist, room.worklist)),
                tasks.create_task(follow(viewer, room.viewer)),
                tasks.create_task(follow(dictation, room.dictation)),
            ]
            yield room
            for it in running:
                it.cancel()


async def test_worklist_opens_a_case_for_everybody(hub_url: str) -> None:
    """IRA-WL-01, IRA-ID-01, IRA-RC-01."""
    async with reading_room(hub_url) as room:
        await room.worklist.open_case(ANCHOR)
        await room.all_show(ANCHOR)
        assert room.viewer.shown is not None
        assert room.viewer.shown.patient == reading_case(1).patient
        row = room.worklist.row(ANCHOR)
        assert row is not None
        assert row.is_current


async def test_measurement_reaches_the_report(hub_url: str) -> None:
    """IRA-RC-02, IRA-CC-02: shared, selected, inserted by a command."""
    async with reading_room(hub_url) as room:
        await room.worklist.open_case(ANCHOR)
        await room.all_show(ANCHOR)
        id_ = await room.viewer.share_measurement(8.2)
        await room.viewer.select(f"Observation/{id_}")
        await until(lambda: room.dictation.focused)
        room.dictation.type("Nodule of ")
        assert room.dictation.insert_focused() == "8.2 mm"
        assert room.dictation.draft.text == "Nodule of 8.2 mm"


async def test_removed_measurement_is_gone_everywhere(hub_url: str) -> None:
    """CONT-11."""
    async with reading_room(hub_url) as room:
        await room.worklist.open_case(ANCHOR)
        await room.all_show(ANCHOR)
        id_ = await room.viewer.share_measurement(8.2)
        await until(lambda: room.dictation.evidence)
        await room.viewer.remove_measurement(id_)
        await until(lambda: not room.dictation.evidence and not room.viewer.measurements)


async def test_sign_stores_tells_and_closes(hub_url: str) -> None:
    """IRA-RC-03, IRA-WL-02, CONT-14: the row is gone, nobody shows the report."""
    async with reading_room(hub_url) as room:
        await room.worklist.open_case(ANCHOR)
        await room.all_show(ANCHOR)
        await room.viewer.share_measurement(8.2)
        await until(lambda: room.dictation.evidence)
        room.dictation.type("8 mm nodule.")
        await room.dictation.sign()
        await until(lambda: room.worklist.row(ANCHOR) is None and room.viewer.shown is None)
        stored = room.store.reports[-1]
        assert (stored["status"], stored["conclusion"]) == ("final", "8 mm nodule.")
        assert len(stored["result"]) == 1


async def test_failed_store_tells_nobody(hub_url: str) -> None:
    """IRA-RC-03: no final status without a stored report; the text is still there."""
    async with reading_room(hub_url) as room:
        await room.worklist.open_case(ANCHOR)
        await room.all_show(ANCHOR)
        room.dictation.type("text")
        room.store.fails = True
        try:
            await room.dictation.sign()
        except OSError:
            room.store.fails = False
        assert room.viewer.status == "unknown"
        assert room.dictation.draft.is_unsaved
        await room.dictation.sign()
        await until(lambda: room.worklist.row(ANCHOR) is None)


async def test_dictation_refuses_while_text_is_unsaved(hub_url: str) -> None:
    """IRA-RC-04, SYNC-13: step H1; the others learn who and the text stays where it belongs."""
    async with reading_room(hub_url) as room:
        await room.worklist.open_case(ANCHOR)
        await room.all_show(ANCHOR)
        room.dictation.type("unsaved")
        await room.worklist.open_case(ANCHOR_2)
        await until(lambda: room.worklist.sync is not None and room.worklist.sync.problems)
        assert room.worklist.sync is not None
        assert room.worklist.sync.problems[0].subscriber == "Report Creator"
        assert room.dictation.shown is not None
        assert room.dictation.shown.anchor == ANCHOR


async def test_saving_follows_and_clears(hub_url: str) -> None:
    """SYNC-12: step H; the worklist's resend is followed after the save and all flags clear."""
    async with reading_room(hub_url) as room:
        await room.worklist.open_case(ANCHOR)
        await room.all_show(ANCHOR)
        room.dictation.type("kept")
        await room.worklist.open_case(ANCHOR_2)
        await until(lambda: room.viewer.sync is not None)
        await room.dictation.save()
        await room.all_show(ANCHOR_2)
        apps = (room.worklist, room.viewer, room.dictation)
        await until(lambda: all(it.sync is None for it in apps))
        assert room.store.reports[0]["conclusion"] == "kept"


async def test_resume_restores_text_and_layout(hub_url: str) -> None:
    """IRA-SUB-10, TAB-04: step G."""
    async with reading_room(hub_url) as room:
        await room.worklist.open_case(ANCHOR)
        await room.all_show(ANCHOR)
        room.dictation.type("first")
        await room.dictation.save()
        room.viewer.layout["window"] = "lung"
        await room.worklist.open_case(ANCHOR_2)
        await room.all_show(ANCHOR_2)
        assert room.dictation.draft.text == ""
        assert not room.viewer.layout
        await room.worklist.open_case(ANCHOR)
        await room.all_show(ANCHOR)
        assert room.dictation.draft.text == "first"
        assert room.viewer.layout == {"window": "lung"}


async def test_selection_is_offered_not_sent_after_a_resume(hub_url: str) -> None:
    """IRA-CC-03: the user is asked first."""
    async with reading_room(hub_url) as room:
        await room.worklist.open_case(ANCHOR)
        await room.all_show(ANCHOR)
        await room.viewer.select("Patient/pt-1")
        await until(lambda: room.viewer.focused)
        await room.worklist.open_case(ANCHOR_2)
        await room.all_show(ANCHOR_2)
        await room.worklist.open_case(ANCHOR)
        await room.all_show(ANCHOR)
        assert room.viewer.earlier_selection == ("Patient/pt-1",)
        assert not room.viewer.focused


async def test_close_of_a_suspended_report_leaves_the_current(hub_url: str) -> None:
    """IRA-SUB-06."""
    async with reading_room(hub_url) as room:
        for anchor in (ANCHOR, ANCHOR_2):
            await room.worklist.open_case(anchor)
            await room.all_show(anchor)
        await room.worklist.close_case(ANCHOR)
        await until(lambda: ANCHOR not in room.viewer.session.contexts)
        await room.all_show(ANCHOR_2)


async def test_unsaved_text_of_a_closed_report_is_kept_aside(hub_url: str) -> None:
    """IRA-RC-01: the report is not shown any more, the text is not lost."""
    async with reading_room(hub_url) as room:
        await room.worklist.open_case(ANCHOR)
        await room.all_show(ANCHOR)
        room.dictation.type("unsaved")
        await room.worklist.close_case(ANCHOR)
        await until(lambda: room.dictation.shown is None)
        assert room.dictation.recovered[ANCHOR].text == "unsaved"


async def test_logout_is_refused_while_text_is_unsaved(hub_url: str) -> None:
    """INF-02: 202 and a SyncError that says why."""
    events = ("UserLogout", "SyncError", "DiagnosticReport-open")
    async with (
        connect(hub_url, TOPIC, name="RC", events=events, settings=FAST) as session,
        connect(hub_url, TOPIC, name="ID", events=events, settings=FAST) as other,
    ):
        dictation = Dictation(session, Store())
        running = asyncio.create_task(follow(session, dictation))
        await other.open(reading_case())
        await until(lambda: dictation.shown)
        dictation.type("unsaved")
        await other.logout()
        await shows(other, lambda it: bool(it.sync.problems))
        assert other.sync.problems[0].event_name == "UserLogout"
        running.cancel()


async def test_late_joiner_shows_content_and_status(hub_url: str) -> None:
    """IRA-SUB-07: step I."""
    async with connect(hub_url, TOPIC, name="ID", settings=FAST) as early:
        await early.open(reading_case())
        await early.update([observation("ob-1")])
        async with connect(hub_url, TOPIC, name="EC", settings=FAST) as late:
            assert late.current is not None
            assert list(late.current.content) == ["Observation/ob-1"]
            assert late.current.version_id == early.contexts[ANCHOR].version_id


async def test_racing_updates_all_arrive(hub_url: str) -> None:
    """CONT-06, CONT-18: two subscribers write at once; a stale one reads and retries."""
    settings = replace(FAST, request_tries=5)
    async with (
        connect(hub_url, TOPIC, name="ID", settings=settings) as one,
        connect(hub_url, TOPIC, name="EC", settings=settings) as two,
    ):
        await one.open(reading_case())
        await shows(two, lambda it: it.current is not None)
        for number in range(5):
            await asyncio.gather(
                one.update([observation(f"a-{number}")]), two.update([observation(f"b-{number}")])
            )
        for session in (one, two):
            await shows(
                session, lambda it: it.current is not None and len(it.current.content) == 10
            )


async def test_network_loss_is_repaired(hub_url: str) -> None:
    """D-45: what was shared meanwhile is there after coming back to the same endpoint."""
    async with (
        connect(hub_url, TOPIC, name="ID", settings=FAST) as one,
        connect(hub_url, TOPIC, name="WL", settings=FAST) as two,
    ):
        await two.open(reading_case())
        await shows(one, lambda it: it.current is not None)
        socket = one._link._socket
        assert socket is not None
        socket.transport.abort()
        await two.update([observation("ob-1")])
        await shows(one, lambda it: it.in_sync and len(it.contexts[ANCHOR].content) == 1)
        assert two.sync.in_sync


async def test_closed_while_away_is_not_shown_after_coming_back() -> None:
    """Without grace the endpoint is gone; a new subscription tells the hub's truth."""
    async with (
        real_hub(reconnect_grace_seconds="0") as hub_url,
        connect(hub_url, TOPIC, name="ID", settings=FAST) as one,
        connect(hub_url, TOPIC, name="WL", settings=FAST) as two,
    ):
        await two.open(reading_case(1))
        await two.open(reading_case(2))
        await shows(one, lambda it: len(it.contexts) == 2)
        socket = one._link._socket
        assert socket is not None
        socket.transport.abort()
        await two.close(ANCHOR)
        await shows(one, lambda it: it.sync.connection is Connection.JOINED)
        await shows(one, lambda it: list(it.contexts) == [ANCHOR_2])


async def test_lease_is_kept_alive(hub_url: str) -> None:
    """CONF-04: with a lease of one second the subscription outlives it."""
    settings = replace(FAST, lease_seconds=1, renew_at=0.4)
    async with connect(hub_url, TOPIC, name="ID", settings=settings) as session:
        assert not await session.wait_until(lambda it: not it.in_sync, 2.5)


async def test_hub_shutdown_is_told_and_tried_again() -> None:
    """D-43: the denial at shutdown is no refusal."""
    async with real_hub() as hub_url:
        session_context = connect(hub_url, TOPIC, name="ID", settings=FAST)
        session = await session_context.__aenter__()
    await shows(session, lambda it: it.sync.connection is Connection.LOST)
    await session_context.__aexit__(None, None, None)


@pytest.mark.parametrize("fhir", list(FhirVersion))
async def test_ira_profile_takes_all_that_the_applications_share(fhir: FhirVersion) -> None:
    """IRA-CC-02, IRA-EC-01, IRA-PR-01, IRA-PR-04, PROF-11: in R4 and R5, on a hub in IRA mode."""
    report, patient, study = case(1)
    opened = report_context(report, patient, study, fhir=fhir)
    prior = {**case(7)[2], "subject": {"reference": "Patient/pt-1"}}
    async with (
        real_hub(profile="ira") as hub_url,
        connect(hub_url, TOPIC, name="ID", events=WITH_USER, settings=FAST) as session,
        connect(hub_url, TOPIC, name="EC", events=WITH_USER, settings=FAST) as other,
    ):
        viewer, evidence = Viewer(session, fhir=fhir), EvidenceCreator(other)
        running = [asyncio.create_task(follow(session, viewer))]
        running.append(asyncio.create_task(follow(other, evidence)))
        await viewer.open_report(opened)
        await until(lambda: viewer.shown and evidence.shown)
        await viewer.share_measurement(8.2, instance=("1.2", "1.2.3"))
        await viewer.share_note("spiculated")
        await viewer.add_comparison(prior)
        await evidence.share(ANCHOR, [observation("ob-7")])
        await until(lambda: viewer.comparisons and len(viewer.measurements) == 3)
        assert len(viewer.annotations) == (1 if fhir is FhirVersion.R5 else 0)
        await viewer.remove_comparison("is-7")
        await viewer.close_report()
        await until(lambda: not viewer.shown and not evidence.shown)
        for it in running:
            it.cancel()


async def test_sign_tells_the_status_before_the_close(hub_url: str) -> None:
    """IRA-RC-03, CONT-14, IRA-W-01: a watcher sees the final status, then the close."""
    async with (
        reading_room(hub_url) as room,
        connect(hub_url, TOPIC, name="W", settings=FAST) as session,
    ):
        watcher = Watcher()
        running = asyncio.create_task(follow(session, watcher))
        await room.worklist.open_case(ANCHOR)
        await room.all_show(ANCHOR)
        room.dictation.type("8 mm nodule.")
        await room.dictation.sign()
        await until(lambda: watcher.log and not watcher.log[0].is_open)
        assert (watcher.log[0].report, watcher.log[0].status) == (ANCHOR, "final")
        running.cancel()


async def test_ira_profile_takes_what_we_send() -> None:
    """IRA-HUB-07 … 12: a hub in IRA mode accepts every request of the library."""
    async with (
        real_hub(profile="ira") as hub_url,
        connect(hub_url, TOPIC, name="ID", settings=FAST) as session,
    ):
        await session.open(reading_case())
        await session.update([observation("ob-1")])
        assert (await session.select(["Observation/ob-1"])).status == 202
        assert (await session.select(["Observation/none"])).status == 206
        await session.close()
        assert session.current is None
