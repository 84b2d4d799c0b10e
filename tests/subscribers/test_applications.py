"""The reference applications against a scripted hub: what they show, answer and never send."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from builders import OBSERVATION, PATIENT, case, observation, put
from fhircast_subscribers import (
    Adapter,
    Dictation,
    EvidenceCreator,
    RefusedLocally,
    RequestRefused,
    Viewer,
    Watcher,
    Worklist,
    connect,
    follow,
    measurement,
)
from fhircast_subscribers.actors import WITH_USER
from subscribers.clients import FAST, opened_items, reading_case
from subscribers.scripted_hub import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fhircast_subscribers import ClientSettings, HubSession, OpenContext
    from subscribers.scripted_hub import ScriptedHub

    Make: TypeAlias = Callable[[HubSession], Adapter]

Json = dict[str, Any]
ANCHOR, ANCHOR_2 = "DiagnosticReport/dr-1", "DiagnosticReport/dr-2"
REPORT_ITEM = {"key": "report", "reference": {"reference": ANCHOR}}


class Store:
    async def put(self, report: Json) -> None:
        """Keep nothing."""


APPLICATIONS: dict[str, Make] = {
    "viewer": Viewer,
    "worklist": lambda session: Worklist(session, [reading_case(1), reading_case(2)]),
    "dictation": lambda session: Dictation(session, Store()),
    "evidence": EvidenceCreator,
    "stateless": lambda session: EvidenceCreator(session, is_stateless=True),
    "watcher": lambda _session: Watcher(),
}
EVERY = pytest.mark.parametrize("name", APPLICATIONS)
SHOWING = pytest.mark.parametrize("name", [it for it in APPLICATIONS if it != "watcher"])


@asynccontextmanager
async def running(
    hub: ScriptedHub, name: str, settings: ClientSettings = FAST
) -> AsyncIterator[Any]:
    """An application that follows the hub."""
    async with connect(
        hub.hub_url, hub.topic, name="App", events=WITH_USER, settings=settings
    ) as session:
        application = APPLICATIONS[name](session)
        following = asyncio.create_task(follow(session, application))
        try:
            yield application
        finally:
            following.cancel()
            await asyncio.wait([following])


async def answered(hub: ScriptedHub, event_id: str) -> str:
    """What was answered; a later event of no meaning has been answered too."""
    await until(lambda: hub.statuses(event_id))
    statuses = hub.statuses(event_id)
    assert len(statuses) == 1
    return statuses[0]


async def opens(hub: ScriptedHub, number: int = 1) -> str:
    return await answered(hub, await versioned(hub, "DiagnosticReport-open", opened_items(number)))


async def versioned(hub: ScriptedHub, event: str, items: list[Json]) -> str:
    """Send an event with the hub's next version."""
    prior, hub.version = hub.version, hub.version + 1
    is_update = event.endswith("-update")
    return await hub.send(
        event, items, version=f"v{hub.version}", prior=f"v{prior}" if is_update else ""
    )


async def closes(hub: ScriptedHub, number: int = 1) -> str:
    return await answered(hub, await hub.send("DiagnosticReport-close", opened_items(number)))


async def shares(hub: ScriptedHub, *resources: Json) -> str:
    bundle = {"resourceType": "Bundle", "entry": [put(it) for it in resources]}
    items = [REPORT_ITEM, {"key": "updates", "resource": bundle}]
    return await answered(hub, await versioned(hub, "DiagnosticReport-update", items))


async def selects(hub: ScriptedHub, *targets: str) -> str:
    items: list[Json] = [{"key": "select", "reference": {"reference": it}} for it in targets]
    items = items or [{"key": "select", "reference": []}]
    return await answered(hub, await hub.send("DiagnosticReport-select", [REPORT_ITEM, *items]))


@EVERY
async def test_several_opens_in_a_row_are_followed(scripted: ScriptedHub, name: str) -> None:
    """TAB-04, ACK-01: 1, 2, 1: answered 200 each, no close, no SyncError, nothing sent at all."""
    async with running(scripted, name):
        assert [await opens(scripted, it) for it in (1, 2, 1)] == ["200"] * 3
        assert scripted.posts == []


@SHOWING
async def test_local_close_is_not_sent_and_the_next_open_is_followed(
    scripted: ScriptedHub, name: str
) -> None:
    """TAB-04: nothing is shown again by an update, only by an open, of the same report too."""
    async with running(scripted, name) as application:
        await opens(scripted)
        application.hide()
        await shares(scripted, OBSERVATION)
        assert not application.shown
        await opens(scripted, 2)
        assert application.shown.anchor == ANCHOR_2
        application.hide()
        await opens(scripted, 1)
        assert application.shown.anchor == ANCHOR
        assert scripted.posts == []


@SHOWING
async def test_shows_what_is_opened_until_it_is_closed(scripted: ScriptedHub, name: str) -> None:
    """IRA-ID-01, IRA-RC-01, IRA-WL-01, IRA-EC-01: patient and study; status; then nothing."""
    async with running(scripted, name) as application:
        await opens(scripted)
        assert application.shown.patient["id"] == "pt-1"
        assert application.shown.study["id"] == "is-1"
        report = {**reading_case().report, "status": "preliminary"}
        assert await shares(scripted, report) == "200"
        assert application.status == "preliminary"
        await closes(scripted)
        assert application.shown is None


@SHOWING
async def test_close_of_a_suspended_report_leaves_the_screen(
    scripted: ScriptedHub, name: str
) -> None:
    """IRA-SUB-06."""
    async with running(scripted, name) as application:
        await opens(scripted, 1)
        await opens(scripted, 2)
        await closes(scripted, 1)
        assert application.shown.anchor == ANCHOR_2
        assert list(application.session.contexts) == [ANCHOR_2]


@SHOWING
async def test_home_shows_no_patient(scripted: ScriptedHub, name: str) -> None:
    """INF-04: nothing is closed."""
    async with running(scripted, name) as application:
        await opens(scripted)
        assert await answered(scripted, await scripted.send("Home-open", [])) == "200"
        assert application.shown is None
        assert list(application.session.contexts) == [ANCHOR]


@SHOWING
async def test_logout_logs_the_user_out(scripted: ScriptedHub, name: str) -> None:
    """INF-02: no patient is shown to nobody, until somebody logs in."""
    async with running(scripted, name) as application:
        await opens(scripted, 1)
        assert await answered(scripted, await scripted.send("UserLogout", [])) == "200"
        assert application.is_logged_out
        assert not application.shown
        assert await opens(scripted, 2) == "409"
        application.log_in()
        assert await opens(scripted, 1) == "200"
        assert application.shown.anchor == ANCHOR


async def test_logout_is_refused_with_unsaved_text(scripted: ScriptedHub) -> None:
    """INF-02, ACK-04, SYNC-11: 202, then a SyncError that names the logout and why."""
    async with running(scripted, "dictation") as dictation:
        await opens(scripted)
        dictation.type("unsaved")
        assert await answered(scripted, await scripted.send("UserLogout", [])) == "202"
        await until(lambda: scripted.posts)
        issue = scripted.posts[0]["event"]["context"][0]["resource"]["issue"][0]
        assert issue["details"]["coding"][1]["code"] == "UserLogout"
        assert "unsaved dictation" in issue["diagnostics"]
        assert not dictation.is_logged_out


@SHOWING
async def test_selection_replaces_and_clears(scripted: ScriptedHub, name: str) -> None:
    """SEL-02, IRA-SUB-05: what is known is selected, the rest ignored; empty clears."""
    async with running(scripted, name) as application:
        await opens(scripted)
        assert await selects(scripted, "Patient/pt-1") == "200"
        assert application.focused == ("Patient/pt-1",)
        assert await selects(scripted, "ImagingStudy/is-1", "Observation/none") == "200"
        assert application.focused == ("ImagingStudy/is-1",)
        assert await selects(scripted) == "200"
        assert application.focused == ()


@SHOWING
async def test_missing_data_is_no_error(scripted: ScriptedHub, name: str) -> None:
    """PROF-12: without name, gender and birth date the patient is followed all the same."""
    assert not {"name", "gender", "birthDate"} & set(PATIENT)
    async with running(scripted, name) as application:
        assert await opens(scripted) == "200"
        assert application.shown.patient["identifier"][0]["value"] == "441"


@EVERY
async def test_out_of_sync_is_told_and_taken_back(scripted: ScriptedHub, name: str) -> None:
    """SYNC-13, IRA-ID-02: who and why, cleared by a newer event that is followed."""
    coding = [
        {"system": f"https://fhircast.hl7.org/events/syncerror/{it}", "code": code}
        for it, code in (("eventid", "e-1"), ("eventname", "X-open"), ("subscribername", "RC"))
    ]
    issue = {"code": "processing", "diagnostics": "RC: unsaved", "details": {"coding": coding}}
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    async with running(scripted, name) as application:
        await opens(scripted, 1)
        event_id = await scripted.send(
            "SyncError", [{"key": "operationoutcome", "resource": outcome}]
        )
        assert await answered(scripted, event_id) == "200"
        assert application.sync.reasons == ("RC: unsaved",)
        await opens(scripted, 2)
        assert application.sync is None


@SHOWING
async def test_lost_connection_is_told(scripted: ScriptedHub, name: str) -> None:
    """SYNC-13: and taken back when everything was read again."""
    async with running(scripted, name) as application:
        scripted.refuse_handshake = HTTPStatus.SERVICE_UNAVAILABLE
        scripted.drop()
        await until(lambda: application.sync is not None)
        scripted.refuse_handshake = None
        await until(lambda: application.sync is None)


async def test_slow_viewer_has_received_and_says_no_more(scripted: ScriptedHub) -> None:
    """ACK-02: 202 while the images load; the silence after it is success."""
    loaded = asyncio.Event()

    class SlowViewer(Viewer):
        async def opened(self, context: OpenContext) -> None:
            await loaded.wait()
            await super().opened(context)

    settings = replace(FAST, answer_within_seconds=0.05)
    async with connect(scripted.hub_url, scripted.topic, name="V", settings=settings) as session:
        viewer = SlowViewer(session)
        following = asyncio.create_task(follow(session, viewer))
        event_id = await scripted.send("DiagnosticReport-open", opened_items())
        await until(lambda: scripted.statuses(event_id) == ["202"])
        loaded.set()
        await until(lambda: viewer.shown is not None)
        await session.request("org.example.next", [])
        assert scripted.statuses(event_id) == ["202"]
        assert len(scripted.posts) == 1
        following.cancel()


async def test_viewer_shows_shared_content(scripted: ScriptedHub) -> None:
    """IRA-ID-02: Observations, ImagingSelections, and the comparison that the report names."""
    subject = {"reference": "Patient/pt-1"}
    prior = {**case(7)[2], "subject": subject}
    image = {"resourceType": "ImagingSelection", "id": "sl-1", "subject": subject}
    async with running(scripted, "viewer") as viewer:
        await opens(scripted)
        await shares(scripted, OBSERVATION, image)
        assert [it["id"] for it in viewer.measurements] == ["ob-1"]
        assert [it["id"] for it in viewer.annotations] == ["sl-1"]
        await viewer.add_comparison(prior)
        await until(lambda: [it["id"] for it in viewer.comparisons] == ["is-7"])
        await viewer.remove_comparison("is-7")
        await until(lambda: not viewer.comparisons)


async def test_reopened_report_gets_its_measurement_back_under_its_id(
    scripted: ScriptedHub,
) -> None:
    """CONT-20: closed and opened again, the content is gone; the id is not."""
    async with running(scripted, "viewer") as viewer:
        await opens(scripted)
        id_ = await viewer.share_measurement(8.2)
        await closes(scripted)
        await opens(scripted)
        assert viewer.measurements == ()
        assert [it["id"] for it in viewer.unshared] == [id_]
        assert await viewer.share_again() == (f"Observation/{id_}",)
        await until(lambda: [it["id"] for it in viewer.measurements] == [id_])
        assert viewer.unshared == ()


async def test_measurement_that_was_refused_can_be_shared_again(scripted: ScriptedHub) -> None:
    """CONT-20, EVT-07, IRA-SUB-08: kept, then a new event with the same Observation."""
    async with running(scripted, "viewer") as viewer:
        await opens(scripted)
        scripted.post_faults.append(500)
        with pytest.raises(RequestRefused):
            await viewer.share_measurement(8.2)
        (kept,) = viewer.unshared
        assert await viewer.share_again() == (f"Observation/{kept['id']}",)
        first, second = scripted.posts
        assert first["id"] != second["id"]


async def test_only_the_users_choice_is_sent(scripted: ScriptedHub) -> None:
    """IRA-CC-03, SEL-01: all of it in one event; a layout or another's selection sends none."""
    async with running(scripted, "viewer") as viewer:
        await opens(scripted)
        viewer.layout["scroll"] = 44
        await selects(scripted, "Patient/pt-1")
        assert scripted.posts == []
        await viewer.select("ImagingStudy/is-1", "Patient/pt-1")
        (post,) = scripted.posts
        assert [it["key"] for it in post["event"]["context"]] == ["report", "select", "select"]


async def test_own_earlier_selection_is_offered_after_a_resume(scripted: ScriptedHub) -> None:
    """IRA-CC-03: asked first, then one select; what others had selected is not ours to offer."""
    async with running(scripted, "viewer") as viewer:
        await opens(scripted, 1)
        await viewer.select("Patient/pt-1")
        await opens(scripted, 2)
        await opens(scripted, 1)
        assert viewer.earlier_selection == ("Patient/pt-1",)
        assert len(scripted.posts) == 1
        await viewer.select(*viewer.earlier_selection)
        await selects(scripted, "ImagingStudy/is-1")
        await opens(scripted, 2)
        await opens(scripted, 1)
        assert viewer.earlier_selection == ()


async def test_suspended_view_cannot_be_selected_in(scripted: ScriptedHub) -> None:
    """SEL-03: what is on the screen is not the hub's current context."""
    async with running(scripted, "viewer") as viewer:
        await opens(scripted, 1)
        kept = viewer.shown
        await opens(scripted, 2)
        viewer.shown = kept
        with pytest.raises(RefusedLocally, match="SEL-03"):
            await viewer.select("Patient/pt-1")
        assert scripted.posts == []


async def test_own_state_is_restored_on_resume(scripted: ScriptedHub) -> None:
    """IRA-SUB-10, IRA-RC-01: layout, text and caret, view, progress; gone with the close."""
    for name, attribute in (("viewer", "layout"), ("worklist", "view"), ("evidence", "progress")):
        async with running(scripted, name) as application:
            await opens(scripted, 1)
            setattr(application, attribute, {"x": 1})
            await opens(scripted, 2)
            assert getattr(application, attribute) == {}
            await opens(scripted, 1)
            assert getattr(application, attribute) == {"x": 1}
            await closes(scripted, 1)
            await opens(scripted, 1)
            assert getattr(application, attribute) == {}


async def test_text_and_caret_are_restored_on_resume(scripted: ScriptedHub) -> None:
    """IRA-SUB-10, IRA-RC-01: an empty report first, the suspended text later."""
    async with running(scripted, "dictation") as dictation:
        await opens(scripted, 1)
        assert dictation.draft.text == ""
        dictation.type("first")
        await dictation.save()
        before = dictation.draft
        await opens(scripted, 2)
        assert dictation.draft.text == ""
        await opens(scripted, 1)
        assert dictation.draft == before
        assert dictation.draft.caret == 5


async def test_stateless_evidence_creator_restores_nothing(scripted: ScriptedHub) -> None:
    """IRA-EC-02: no resume duties."""
    async with running(scripted, "stateless") as evidence:
        await opens(scripted, 1)
        evidence.progress = {"x": 1}
        await opens(scripted, 2)
        await opens(scripted, 1)
        assert evidence.progress == {}


@pytest.mark.parametrize("name", ["evidence", "stateless"])
async def test_evidence_creator_shares_a_result_and_never_moves_a_context(
    scripted: ScriptedHub, name: str
) -> None:
    """IRA-EC-01, IRA-EC-02: each report once while it is open; updates only."""

    async def analyse(context: OpenContext) -> list[Json]:
        return [observation(f"ob-{context.anchor[-1]}") | {"subject": _subject(context)}]

    async with running(scripted, name) as evidence:
        working = asyncio.create_task(evidence.work(analyse))
        await opens(scripted, 1)
        await until(lambda: evidence.results)
        await opens(scripted, 2)
        await until(lambda: evidence.results)
        await opens(scripted, 1)
        await closes(scripted, 1)
        events = [it["event"]["hub.event"] for it in scripted.posts]
        assert events == ["DiagnosticReport-update"] * 2
        working.cancel()


async def test_result_after_the_close_is_not_posted(scripted: ScriptedHub) -> None:
    """IRA-EC-01: neither by the work under way nor by hand; the next report has its turn."""
    finished = asyncio.Event()
    analysed: list[str] = []

    async def analyse(context: OpenContext) -> list[Json]:
        analysed.append(context.anchor)
        await finished.wait()
        return [observation("ob-9") | {"subject": _subject(context)}]

    async with running(scripted, "evidence") as evidence:
        working = asyncio.create_task(evidence.work(analyse))
        await opens(scripted, 1)
        await until(lambda: analysed)
        await closes(scripted, 1)
        with pytest.raises(RefusedLocally, match="IRA-EC-01"):
            await evidence.share(ANCHOR, [OBSERVATION])
        finished.set()
        await opens(scripted, 2)
        await until(lambda: evidence.results)
        (post,) = scripted.posts
        assert post["event"]["context"][0]["reference"]["reference"] == ANCHOR_2
        working.cancel()


async def test_failed_analysis_is_one_missing_result(scripted: ScriptedHub) -> None:
    """IRA-EC-01: the next report is analysed all the same."""

    async def analyse(context: OpenContext) -> list[Json]:
        if context.anchor == ANCHOR:
            raise ZeroDivisionError
        return [observation("ob-9") | {"subject": _subject(context)}]

    async with running(scripted, "evidence") as evidence:
        working = asyncio.create_task(evidence.work(analyse))
        await opens(scripted, 1)
        await opens(scripted, 2)
        await until(lambda: evidence.results)
        working.cancel()


async def test_watcher_logs_opens_and_closes_and_sends_nothing(scripted: ScriptedHub) -> None:
    """IRA-W-01: report, patient, study, from when to when; a resume is the same entry."""
    async with running(scripted, "watcher") as watcher:
        for number in (1, 2, 1):
            await opens(scripted, number)
        await shares(scripted, {**reading_case().report, "status": "final"})
        await closes(scripted, 1)
        first, second = watcher.log
        assert (first.report, first.patient, first.studies) == (
            ANCHOR,
            "Patient/pt-1",
            ("ImagingStudy/is-1",),
        )
        assert (first.is_open, first.status) == (False, "final")
        assert first.opened_at is not None
        assert first.turnaround is not None
        assert (second.is_open, second.turnaround) == (True, None)
        await opens(scripted, 1)
        assert [it.report for it in watcher.log] == [ANCHOR, ANCHOR_2, ANCHOR]
        assert scripted.posts == []


async def test_finished_row_stays_until_the_close(scripted: ScriptedHub) -> None:
    """IRA-WL-02: the row shows the status; with the close it leaves the list."""
    async with running(scripted, "worklist") as worklist:
        await opens(scripted)
        await shares(scripted, {**reading_case().report, "status": "final"})
        assert worklist.row(ANCHOR).status == "final"
        assert worklist.row(ANCHOR).is_done
        await closes(scripted)
        assert [it.case.anchor for it in worklist.rows] == [ANCHOR_2]


async def test_report_creator_has_evidence_at_hand(scripted: ScriptedHub) -> None:
    """IRA-RC-02: updated report, Observation and ImagingSelection; the selected one is inserted."""
    async with running(scripted, "dictation") as dictation:
        await opens(scripted)
        image = {"resourceType": "ImagingSelection", "id": "sl-1"}
        await shares(scripted, OBSERVATION, image)
        assert [it["id"] for it in dictation.evidence] == ["ob-1", "sl-1"]
        await selects(scripted, "Observation/ob-1")
        assert dictation.insert_focused() == "8.2 mm"


async def test_report_creator_may_ask_first(scripted: ScriptedHub) -> None:
    """IRA-RC-04, ACK-04: 409 at once while text is unsaved, and the text stays with its report."""
    async with running(scripted, "dictation") as dictation:
        await opens(scripted, 1)
        dictation.type("unsaved")
        assert await opens(scripted, 2) == "409"
        assert dictation.shown.anchor == ANCHOR
        assert dictation.draft.text == "unsaved"
        await dictation.discard()
        assert dictation.shown.anchor == ANCHOR_2


async def test_content_is_about_the_report_it_was_made_for(scripted: ScriptedHub) -> None:
    """IRA-SUB-09, IRA-CC-04: the case was switched meanwhile; patient and version are its own."""
    async with running(scripted, "viewer") as viewer:
        await opens(scripted, 1)
        made_for = viewer.shown
        made = measurement(made_for, 8, "mm", measured_at=made_for.opened_at)
        await opens(scripted, 2)
        await scripted.send("DiagnosticReport-update", [REPORT_ITEM], version="x5", prior="v1")
        await until(lambda: viewer.session.contexts[ANCHOR].version_id == "x5")
        await viewer.session.update([made], anchor=made_for.anchor)
        event = scripted.posts[-1]["event"]
        assert event["context"][1]["reference"]["reference"] == "Patient/pt-1"
        assert event["context.versionId"] == "x5"


def _subject(context: OpenContext) -> Json:
    return {"reference": context.association[1]}


async def test_application_that_fell_behind_shows_what_is_current(scripted: ScriptedHub) -> None:
    """SYNC-13, IRA-ID-01: many events went by while it was busy; it paints anew, the newest."""
    free = asyncio.Event()

    class BusyViewer(Viewer):
        async def opened(self, context: OpenContext) -> None:
            await free.wait()
            await super().opened(context)

    settings = replace(FAST, max_events=2)
    async with connect(scripted.hub_url, scripted.topic, name="V", settings=settings) as session:
        viewer = BusyViewer(session)
        following = asyncio.create_task(follow(session, viewer))
        for number in (1, 2, 3, 4, 5, 6):
            await versioned(scripted, "DiagnosticReport-open", opened_items(number))
        await session.wait_until(lambda it: len(it.contexts) == 6, 5)
        free.set()
        await until(lambda: viewer.shown and viewer.shown.anchor == "DiagnosticReport/dr-6")
        following.cancel()


async def test_refused_selection_is_not_offered_later(scripted: ScriptedHub) -> None:
    """IRA-CC-03: nobody was told of it, so it was none."""
    async with running(scripted, "viewer") as viewer:
        await opens(scripted)
        scripted.post_faults.append(500)
        with pytest.raises(RequestRefused):
            await viewer.select("Patient/pt-1")
        assert viewer.earlier_selection == ()


async def test_nothing_is_done_without_a_report(scripted: ScriptedHub) -> None:
    """IRA-CC-04, IRA-RC-01: told by an error, nothing sent."""
    async with running(scripted, "viewer") as viewer:
        with pytest.raises(RefusedLocally, match="no context is shown"):
            await viewer.share_measurement(8)
    async with running(scripted, "dictation") as dictation:
        with pytest.raises(RefusedLocally, match="no context is shown"):
            dictation.type("text")
    assert scripted.posts == []


async def test_report_without_text_is_not_signed(scripted: ScriptedHub) -> None:
    """IRA-RC-03."""
    async with running(scripted, "dictation") as dictation:
        await opens(scripted)
        with pytest.raises(RefusedLocally, match="no text"):
            await dictation.sign()


async def test_discarded_text_goes_back_to_what_was_saved(scripted: ScriptedHub) -> None:
    """IRA-RC-04: the caret stays in the text."""
    async with running(scripted, "dictation") as dictation:
        await opens(scripted)
        dictation.type("kept")
        await dictation.save()
        dictation.type(" and not")
        await dictation.discard()
        assert (dictation.draft.text, dictation.draft.caret) == ("kept", 4)
