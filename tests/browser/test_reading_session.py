"""The radiologist's day in a real browser: three applications, one patient."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from browser.steps import (
    accessions,
    expect_case,
    expect_image,
    expect_sync,
    open_case,
    row,
)
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from browser.conftest import Demo

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

Three = Callable[[], tuple[Page, Page, Page]]


def test_opening_a_case_brings_all_three_to_the_same_patient(demo: Demo, three: Three) -> None:
    """IRA-WL-01, IRA-ID-01, IRA-RC-01: one click, three applications, real pixels."""
    worklist, viewer, dictation = three_pages = three()
    first = accessions(worklist)[0]
    open_case(worklist, first)
    for page in (worklist, viewer, dictation):
        expect_case(page, first)
        expect_sync(page, "in-sync")
    expect_image(viewer)
    names = {page.get_by_test_id("patient-name").inner_text() for page in three_pages}
    assert len(names) == 1
    for name, page in {"worklist": worklist, "viewer": viewer, "dictation": dictation}.items():
        demo.shot(page, f"case-1-{name}")


def test_unsaved_text_refuses_the_next_case_and_everybody_sees_it(demo: Demo, three: Three) -> None:
    """IRA-RC-04, SYNC-13: nobody silently shows another patient; after signing all follow."""
    worklist, viewer, dictation = three()
    first, second = accessions(worklist)[:2]
    open_case(worklist, first)
    expect_case(dictation, first)
    expect_case(viewer, first)
    dictation.get_by_test_id("report-text").press_sequentially("Small nodule.")
    open_case(worklist, second)
    for page in (worklist, viewer):
        banner = page.get_by_test_id("banner")
        expect(banner).to_contain_text("Demo Dictation", timeout=8000)
        expect_sync(page, "lost", seconds=8)
    expect_case(viewer, second)
    expect_case(dictation, first)
    expect_sync(dictation, "lost")
    for name, page in {"worklist": worklist, "viewer": viewer, "dictation": dictation}.items():
        demo.shot(page, f"refused-{name}")
    dictation.get_by_test_id("sign").click()
    expect_case(dictation, second)
    open_case(worklist, second)
    for page in (worklist, viewer, dictation):
        expect_case(page, second)
        expect_sync(page, "in-sync")
    expect_image(viewer)
    worklist.get_by_test_id("filter-done").click()
    status = row(worklist, first).get_by_test_id("case-status")
    expect(status).to_have_text("Final")
    demo.shot(worklist, "signed-worklist")


def test_a_reloaded_viewer_comes_back_to_the_current_case(demo: Demo, three: Three) -> None:
    """REP-01, D-23: reload, confirmation, replay, the same images."""
    worklist, viewer, _dictation = three()
    second = accessions(worklist)[1]
    open_case(worklist, second)
    expect_image(viewer)
    viewer.reload()
    expect_case(viewer, second)
    expect_sync(viewer, "in-sync")
    expect_image(viewer)


def test_a_killed_hub_is_announced_and_its_return_heals_all(demo: Demo, three: Three) -> None:
    """SYNC-13: every page says that sync is lost, then recovers by itself."""
    pages = three()
    worklist, viewer, dictation = pages
    first = accessions(worklist)[0]
    open_case(worklist, first)
    expect_image(viewer)
    expect_case(dictation, first)
    demo.hub.kill()
    for page in pages:
        expect_sync(page, "lost", seconds=8)
        expect(page.get_by_test_id("banner")).to_contain_text("retrying")
    demo.shot(viewer, "hub-gone-viewer")
    demo.hub.start()
    for page in pages:
        expect_sync(page, "in-sync", seconds=30)
    open_case(worklist, first)
    for page in pages:
        expect_case(page, first)
    expect_image(viewer)


def test_an_empty_report_cannot_be_signed(three: Three) -> None:
    """A signature under nothing is refused with a hint, and nothing is sent."""
    worklist, _viewer, dictation = three()
    first = accessions(worklist)[0]
    open_case(worklist, first)
    expect_case(dictation, first)
    dictation.get_by_test_id("sign").click()
    expect(dictation.get_by_test_id("hint")).to_be_visible()
    expect_case(dictation, first)


def test_images_only_shows_the_study_without_a_report(three: Three) -> None:
    """ImagingStudy-open: the viewer shows the images, dictation says that there is no report."""
    worklist, viewer, dictation = three()
    first = accessions(worklist)[0]
    row(worklist, first).get_by_test_id("open-images").click()
    for page in (viewer, dictation):
        expect_case(page, first)
    expect_image(viewer)
    expect(dictation.get_by_text("Images only.")).to_be_visible()
    expect(dictation.get_by_test_id("report-text")).to_be_hidden()


def test_the_launcher_shows_all_three_and_what_an_own_client_needs(demo: Demo) -> None:
    """The first page: three panes in sync, hub URL, topic and token to copy."""
    page = demo.page("")
    expect(page.get_by_test_id("hub-url")).to_have_text(demo.hub.url)
    for app in ("worklist", "viewer", "dictation"):
        pane = page.frame_locator(f'[data-testid="pane-{app}"]')
        expect(pane.get_by_test_id("sync-state")).to_have_attribute("data-state", "in-sync")
    worklist = page.frame_locator('[data-testid="pane-worklist"]')
    worklist.get_by_test_id("open").first.click()
    viewer = page.frame_locator('[data-testid="pane-viewer"]')
    expect(viewer.get_by_test_id("image-canvas")).to_have_attribute("data-ready", "true")
    demo.shot(page, "launcher")
