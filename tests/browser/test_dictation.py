"""Unsaved text is never lost, never under another patient, and signing is safe in its order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from browser.steps import (
    accessions,
    dictate,
    expect_all,
    expect_banner,
    expect_case,
    expect_no_case,
    expect_sync,
    open_case,
    post_event,
    row,
)
from playwright.sync_api import Page, Route, expect

if TYPE_CHECKING:
    from browser.conftest import Demo

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

Three = Callable[[], tuple[Page, Page, Page]]


def refused(three: Three) -> tuple[tuple[Page, Page, Page], str, str]:
    """Bring the dictation into the state of having refused the second case."""
    worklist, _viewer, dictation = pages = three()
    first, second = accessions(worklist)[:2]
    open_case(worklist, first)
    expect_all(pages, first)
    dictate(dictation, "Not yet saved.")
    open_case(worklist, second)
    expect_banner(worklist, "Demo Dictation did not switch to")
    return pages, first, second


def test_save_draft_and_follow_brings_all_together(three: Three) -> None:
    """IRA-RC-01: the draft is kept, the flags come down, the text is back at the next open."""
    pages, first, second = refused(three)
    worklist, _viewer, dictation = pages
    dictation.get_by_test_id("save-follow").click()
    expect_all(pages, second)
    expect(row(worklist, first).get_by_test_id("case-status")).to_have_text("In progress")
    open_case(worklist, first)
    expect_all(pages, first)
    expect(dictation.get_by_test_id("report-text")).to_have_value("Not yet saved.")
    expect(dictation.get_by_test_id("case-status")).to_have_text("Draft saved")


def test_discard_and_follow_throws_the_text_away(three: Three) -> None:
    """IRA-RC-04: the user's own decision; the others' flags come down by the repeated event."""
    pages, first, second = refused(three)
    pages[2].get_by_test_id("discard-follow").click()
    expect_all(pages, second)
    open_case(pages[0], first)
    expect_all(pages, first)
    expect(pages[2].get_by_test_id("report-text")).to_have_value("")


def test_going_back_to_the_first_case_ends_the_refusal(three: Three) -> None:
    """Flow H: the user may as well reopen the case that is being dictated."""
    pages, first, _second = refused(three)
    open_case(pages[0], first)
    expect_all(pages, first)
    expect(pages[2].get_by_test_id("report-text")).to_have_value("Not yet saved.")


def test_a_reload_keeps_unsaved_text_and_its_patient(three: Three) -> None:
    """The text comes back with its own patient, and still refuses to follow."""
    pages, first, _second = refused(three)
    dictation = pages[2]
    dictation.on("dialog", lambda dialog: dialog.accept())
    dictation.reload()
    expect_case(dictation, first)
    expect(dictation.get_by_test_id("report-text")).to_have_value("Not yet saved.")
    expect_banner(dictation, "You are not in sync: the others show")
    expect_sync(pages[0], "lost")


def test_closing_under_unsaved_text_is_refused(three: Three) -> None:
    """IRA-RC-04: a close by the worklist does not take the text away."""
    worklist, viewer, dictation = pages = three()
    case = accessions(worklist)[0]
    open_case(worklist, case)
    expect_all(pages, case)
    dictate(dictation, "Still typing")
    row(worklist, case).get_by_test_id("close-case").click()
    worklist.get_by_test_id("close-confirm").click()
    expect_no_case(viewer)
    expect_banner(worklist, "Demo Dictation did not close")
    expect_case(dictation, case)
    expect_banner(dictation, "the others show no case")
    dictation.get_by_test_id("save-follow").click()
    for page in pages:
        expect_no_case(page)
        expect_sync(page, "in-sync")


def test_a_failing_ehr_announces_nothing(three: Three) -> None:
    """The EHR comes first: as long as it does not take the report, nobody hears 'final'."""
    worklist, viewer, dictation = pages = three()
    case = accessions(worklist)[0]
    open_case(worklist, case)
    expect_all(pages, case)
    dictate(dictation, "Normal.")
    dictation.route("**/fhir/", lambda route: route.abort())
    dictation.get_by_test_id("sign").click()
    expect_banner(dictation, "Not saved, nothing was announced")
    expect(dictation.get_by_test_id("case-status")).to_have_text("Unsaved text")
    expect(viewer.get_by_test_id("report-status")).to_have_text("Report: not dictated yet")
    dictation.unroute("**/fhir/")
    dictation.get_by_test_id("sign").click()
    for page in pages:
        expect_no_case(page)


def test_a_failed_announcement_can_be_repeated(demo: Demo, three: Three) -> None:
    """IRA-RC-03: signed but not told is said plainly, with a button that tells."""
    worklist, _viewer, dictation = pages = three()
    case = accessions(worklist)[0]
    open_case(worklist, case)
    expect_all(pages, case)
    dictate(dictation, "Normal.")

    def refuse_events(route: Route) -> None:
        is_event = route.request.headers.get("content-type") == "application/json"
        route.fulfill(status=500, body="out of order") if is_event else route.continue_()

    dictation.route(demo.hub.url, refuse_events)
    dictation.get_by_test_id("sign").click()
    expect_banner(dictation, "signed in the EHR, but the others were not told")
    dictation.unroute(demo.hub.url)
    dictation.get_by_test_id("announce").click()
    for page in pages:
        expect_no_case(page)
        expect_sync(page, "in-sync")


def test_a_logout_waits_for_unsaved_text(demo: Demo, three: Three) -> None:
    """INF-02: the others log out; the dictation refuses until the text is safe."""
    worklist, _viewer, dictation = pages = three()
    case = accessions(worklist)[0]
    open_case(worklist, case)
    expect_all(pages, case)
    dictate(dictation, "Half a sentence")
    post_event(demo, "UserLogout", [])
    expect_banner(worklist, "You have been logged out.")
    expect_banner(dictation, "logged out elsewhere")
    expect_case(dictation, case)
    dictation.get_by_test_id("save-logout").click()
    expect_banner(dictation, "You have been logged out.")
    expect_no_case(dictation)
