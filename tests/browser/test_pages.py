"""What each page must do besides following: keys, search, leases, foreign text, own clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from browser.steps import (
    accessions,
    expect_all,
    expect_case,
    expect_no_case,
    expect_sync,
    open_case,
    post_event,
    row,
)
from playwright.sync_api import Page, Request, expect

if TYPE_CHECKING:
    from browser.conftest import Demo

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

Three = Callable[[], tuple[Page, Page, Page]]


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIRCAST_LEASE_DEFAULT_SECONDS", "2")
    monkeypatch.setenv("FHIRCAST_LEASE_MAX_SECONDS", "2")


def test_the_worklist_is_used_by_keyboard(three: Three) -> None:
    """Arrow keys select, Enter opens; the search box filters."""
    worklist, _viewer, _dictation = pages = three()
    second = accessions(worklist)[1]
    worklist.keyboard.press("ArrowDown")
    worklist.keyboard.press("ArrowDown")
    worklist.keyboard.press("ArrowDown")
    worklist.keyboard.press("ArrowUp")
    worklist.keyboard.press("ArrowUp")
    expect(row(worklist, second)).to_have_attribute("tabindex", "-1")
    worklist.keyboard.press("ArrowDown")
    expect(row(worklist, second)).to_be_focused()
    worklist.keyboard.press("Enter")
    expect_all(pages, second)
    worklist.keyboard.press("/")
    worklist.keyboard.type(second)
    expect(worklist.get_by_test_id("worklist-row")).to_have_count(1)
    worklist.keyboard.type(" nobody")
    expect(worklist.get_by_test_id("empty")).to_contain_text("Nothing found.")


def test_a_double_click_on_open_opens_the_report_and_nothing_else(three: Three) -> None:
    """No button moves under the pointer: the second click must not ask for the images only."""
    worklist, _viewer, dictation = pages = three()
    first = accessions(worklist)[0]
    row(worklist, first).get_by_test_id("open").dblclick()
    expect_all(pages, first)
    expect(dictation.get_by_test_id("report-text")).to_be_visible()


def test_closing_a_case_without_a_signature_is_asked_for(three: Three) -> None:
    """IRA-ID-01: after the close nothing of the case is on screen; the row is there to be read."""
    worklist, viewer, dictation = pages = three()
    first = accessions(worklist)[0]
    open_case(worklist, first)
    expect_all(pages, first)
    row(worklist, first).get_by_test_id("close-case").click()
    worklist.get_by_test_id("close-cancel").click()
    expect_case(dictation, first)
    row(worklist, first).get_by_test_id("close-case").click()
    worklist.get_by_test_id("close-confirm").click()
    for page in pages:
        expect_no_case(page)
        expect_sync(page, "in-sync")
    expect(viewer.get_by_test_id("image-canvas")).to_have_attribute("data-ready", "false")
    expect(row(worklist, first).get_by_test_id("case-status")).to_have_text("To read")


@pytest.mark.usefixtures("short_leases")
def test_a_short_lease_is_renewed_in_time(demo: Demo) -> None:
    """CONF-04: renewed with the endpoint before it ends; the socket stays the same."""
    page = demo.window()
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(demo.launch_url("worklist"))
    expect_sync(page, "in-sync")
    for _ in range(3):
        page.wait_for_event("request", is_renewal)
    expect_sync(page, "in-sync")
    assert len(sockets) == 1


def is_renewal(request: Request) -> bool:
    return "hub.channel.endpoint" in (request.post_data or "")


def test_names_from_others_are_text_never_markup(demo: Demo, three: Three) -> None:
    """A client of one's own may send anything: it is shown as it is and does nothing."""
    pages = three()
    name = "<img src=x onerror=document.title='hacked'>"
    patient = {"resourceType": "Patient", "id": "p-x", "name": [{"text": name}]}
    patient["identifier"] = [{"system": "urn:oid:2.999.1.5", "value": "X-1"}]
    post_event(demo, "Patient-open", [{"key": "patient", "resource": patient}])
    for page in pages:
        expect(page.get_by_test_id("patient-name")).to_have_text(name)
        assert page.title() != "hacked"
    expect(pages[1].get_by_test_id("viewer-message")).to_contain_text("No imaging study")


def test_leaving_a_page_is_no_sync_loss(three: Three) -> None:
    """SYNC-07: a closed page ends with 1001; nobody is alarmed, the others work on."""
    worklist, viewer, dictation = three()
    first = accessions(worklist)[0]
    viewer.close()
    open_case(worklist, first)
    expect_all((worklist, dictation), first)


def test_the_launcher_tells_how_to_bring_an_own_client(demo: Demo) -> None:
    """Hub URL, topic and token can be copied; the commands name them."""
    page = demo.page("")
    page.get_by_test_id("own-client-toggle").click()
    panel = page.get_by_test_id("own-client")
    expect(panel).to_contain_text(f"curl '{demo.hub.url}'")
    expect(panel).to_contain_text(page.get_by_test_id("hub-topic").inner_text())
    demo.shot(page, "own-client")
