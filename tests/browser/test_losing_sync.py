"""Whatever breaks, every page says so within moments, and no stale patient looks in sync."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import httpx
import pytest
from browser.steps import (
    accession_of,
    accessions,
    dictate,
    draw_ruler,
    expect_all,
    expect_banner,
    expect_case,
    expect_image,
    expect_no_image,
    expect_sync,
    open_case,
)
from playwright.sync_api import Page, Route, WebSocket, expect

if TYPE_CHECKING:
    from browser.conftest import Demo

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

T = TypeVar("T")
Three = Callable[[], tuple[Page, Page, Page]]


def test_a_hub_that_is_down_from_the_start_is_said_and_then_joined(demo: Demo) -> None:
    """No spinner without an end: the list is there, the hub is not, and both are said."""
    demo.hub.kill()
    worklist = demo.page("worklist")
    expect_sync(worklist, "lost", seconds=8)
    expect_banner(worklist, "Hub not reachable since")
    first = accessions(worklist)[0]
    open_case(worklist, first)
    expect_banner(worklist, "Not opened: The hub does not answer")
    demo.hub.start()
    expect_sync(worklist, "in-sync")
    open_case(worklist, first)
    expect_case(worklist, first)


def test_after_a_hub_restart_the_case_and_its_content_are_back(demo: Demo, three: Three) -> None:
    """Flow J: the hub has lost its memory; text, measurement and case come back without a click."""
    worklist, viewer, dictation = pages = three()
    case = accession_of(worklist, "MR right shoulder")
    open_case(worklist, case)
    expect_all(pages, case)
    expect_image(viewer)
    draw_ruler(viewer)
    viewer.get_by_test_id("share").click()
    expect(dictation.get_by_test_id("measurement")).to_be_visible()
    dictate(dictation, "Not yet saved.")
    demo.hub.kill()
    for page in pages:
        expect_sync(page, "lost", seconds=8)
        expect_case(page, case)
    demo.hub.start()
    expect_all(pages, case)
    expect_image(viewer)
    expect(dictation.get_by_test_id("measurement")).to_be_visible()
    expect(dictation.get_by_test_id("report-text")).to_have_value("Not yet saved.")


def test_a_denied_subscription_waits_for_the_user(three: Three) -> None:
    """CONF-07: ended by the hub; no socket is opened again before the button is pressed."""
    worklist, viewer, _dictation = three()
    sockets: list[WebSocket] = []
    viewer.on("websocket", keep_in(sockets))
    unsubscribe(viewer)
    expect_sync(viewer, "lost", seconds=8)
    expect_banner(viewer, "Subscription ended:")
    open_case(worklist, accessions(worklist)[0])
    expect_case(worklist, accessions(worklist)[0])
    expect(viewer.get_by_test_id("no-case")).to_be_visible()
    assert sockets == []
    viewer.get_by_test_id("reconnect").click()
    expect_sync(viewer, "in-sync")
    expect_case(viewer, accessions(worklist)[0])


def test_images_of_another_patient_are_never_shown(three: Three) -> None:
    """Patient safety: whose images they are is checked against the event before drawing."""
    worklist, viewer, dictation = pages = three()
    first, second = accessions(worklist)[:2]
    open_case(worklist, first)
    expect_all(pages, first)
    expect_image(viewer)
    viewer.route("**/viewer.json", with_other_patient)
    open_case(worklist, second)
    expect_banner(viewer, "The images belong to another patient")
    expect_no_image(viewer)
    for page in (worklist, dictation):
        expect_banner(page, "Demo Viewer did not switch to")
    viewer.unroute("**/viewer.json")
    viewer.get_by_test_id("retry-images").click()
    expect_all(pages, second)
    expect_image(viewer)


def test_slow_images_leave_an_empty_canvas_and_are_refused_if_they_fail(three: Three) -> None:
    """ACK-02, ACK-04: 202 while loading, then a SyncError; the old patient's image goes at once."""
    worklist, viewer, dictation = pages = three()
    first, second = accessions(worklist)[:2]
    open_case(worklist, first)
    expect_all(pages, first)
    expect_image(viewer)
    held: list[Route] = []
    acknowledged: list[str | bytes] = []
    viewer.on("websocket", lambda socket: socket.on("framesent", keep_in(acknowledged)))
    viewer.reload()
    expect_image(viewer)
    viewer.route("**/viewer.json", keep_in(held))
    open_case(worklist, second)
    expect_case(viewer, second)
    expect_no_image(viewer)
    while not any('"202"' in str(frame) for frame in acknowledged):
        viewer.wait_for_timeout(50)
    held[-1].abort()
    expect_banner(viewer, "Images not shown")
    expect_banner(dictation, "Demo Viewer did not switch to")
    expect_no_image(viewer)


def test_every_notification_is_acknowledged_once(three: Three) -> None:
    """ACK-01: open, update, close and SyncError; each id once, with a status in a string."""
    worklist, viewer, dictation = three()
    received: list[str] = []
    answered: list[str] = []

    def tap(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: note(received, frame, "event"))
        socket.on("framesent", lambda frame: note(answered, frame, "status"))

    worklist.on("websocket", tap)
    worklist.reload()
    expect_sync(worklist, "in-sync")
    first, second = accessions(worklist)[:2]
    open_case(worklist, first)
    expect_case(dictation, first)
    dictate(dictation, "Text.")
    open_case(worklist, second)
    expect_banner(viewer, "Demo Dictation did not switch to")
    dictation.get_by_test_id("sign").click()
    for page in (worklist, viewer, dictation):
        expect_sync(page, "in-sync")
    for _ in range(200):  # the last answers may still be under way
        if len(received) >= 6 and sorted(answered) == sorted(received):
            break
        worklist.wait_for_timeout(50)
    assert len(received) >= 6  # two opens, SyncError, update, close, the repeated open
    assert sorted(answered) == sorted(received)


def keep_in(found: list[T]) -> Callable[[T], None]:
    """Return a listener that keeps what it hears."""

    def listener(item: T) -> None:
        found.append(item)

    return listener


def note(ids: list[str], frame: str | bytes, key: str) -> None:
    """Keep the id of a frame that has a key."""
    message = json.loads(frame)
    if key in message:
        assert key == "event" or isinstance(message["status"], str)
        ids.append(message["id"])


def with_other_patient(route: Route) -> None:
    text = route.fetch().text()
    route.fulfill(body=re.sub(r'"patientId":\s*"[^"]+"', '"patientId":"SOMEBODY-ELSE"', text))


def unsubscribe(page: Page) -> None:
    """End a page's subscription from outside, as an administrator would."""
    script = "Object.entries(sessionStorage).find(([k]) => k.startsWith('fhircast.endpoint'))[1]"
    grant = json.loads(page.evaluate("sessionStorage['smart.demo-viewer.grant']"))
    form = {
        "hub.channel.type": "websocket",
        "hub.mode": "unsubscribe",
        "hub.topic": grant["topic"],
        "hub.channel.endpoint": page.evaluate(script),
    }
    headers = {"Authorization": f"Bearer {grant['accessToken']}"}
    assert httpx.post(grant["hubUrl"], data=form, headers=headers).status_code == 202
