"""What a user does and sees on the demo's pages, as steps for the tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
from playwright.sync_api import Locator, Page, expect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from browser.conftest import Demo


_SPREAD = """canvas => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let n = 0, sum = 0, squares = 0;
  for (let i = 0; i < data.length; i += 4) { n++; sum += data[i]; squares += data[i] ** 2; }
  return Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2));
}"""


def accessions(worklist: Page) -> list[str]:
    """Return the accession numbers on the list, oldest order first."""
    rows = worklist.get_by_test_id("worklist-row")
    expect(rows.nth(1)).to_be_visible()
    return [str(row.get_attribute("data-accession")) for row in rows.all()]


def accession_of(worklist: Page, words: str) -> str:
    """Return the accession number of the row that contains some words."""
    row = worklist.get_by_test_id("worklist-row").filter(has_text=words).first
    expect(row).to_be_visible()
    return str(row.get_attribute("data-accession"))


def row(worklist: Page, accession: str) -> Locator:
    return worklist.locator(f'[data-testid="worklist-row"][data-accession="{accession}"]')


def open_case(worklist: Page, accession: str) -> None:
    row(worklist, accession).get_by_test_id("open").click()


def expect_case(page: Page, accession: str) -> None:
    expect(page.get_by_test_id("accession")).to_have_text(accession)


def expect_no_case(page: Page) -> None:
    expect(page.get_by_test_id("no-case")).to_be_visible()


def expect_sync(page: Page, state: str, seconds: float = 15) -> None:
    expect(page.get_by_test_id("sync-state")).to_have_attribute(
        "data-state", state, timeout=seconds * 1000
    )


def expect_all(pages: Iterable[Page], accession: str) -> None:
    """All pages show the case and say that they are in sync."""
    for page in pages:
        expect_case(page, accession)
        expect_sync(page, "in-sync")


def expect_banner(page: Page, words: str, seconds: float = 15) -> None:
    expect(page.get_by_test_id("banner")).to_contain_text(words, timeout=seconds * 1000)


def expect_image(viewer: Page) -> None:
    """The canvas is drawn and not blank."""
    canvas = viewer.get_by_test_id("image-canvas")
    expect(canvas).to_have_attribute("data-ready", "true")
    assert spread(viewer) > 10


def expect_no_image(viewer: Page) -> None:
    """Not a pixel of any patient is left on the canvas."""
    canvas = viewer.get_by_test_id("image-canvas")
    expect(canvas).to_have_attribute("data-ready", "false")
    assert spread(viewer) == 0


def spread(viewer: Page) -> float:
    """Return the standard deviation of the canvas' pixels."""
    return float(viewer.get_by_test_id("image-canvas").evaluate(_SPREAD))


def dictate(dictation: Page, text: str) -> None:
    dictation.get_by_test_id("report-text").press_sequentially(text)
    expect(dictation.get_by_test_id("case-status")).to_have_text("Unsaved text")


def draw_ruler(viewer: Page) -> None:
    """Draw a line on the image."""
    viewer.get_by_test_id("tool-ruler").click()
    box = viewer.get_by_test_id("image-canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    viewer.mouse.move(x, y)
    viewer.mouse.down()
    viewer.mouse.move(x + 40, y + 20, steps=3)
    viewer.mouse.move(x + 60, y + 30, steps=2)
    viewer.mouse.up()
    expect(viewer.get_by_test_id("measurement")).to_be_visible()


def post_event(demo: Demo, name: str, context: list[object]) -> None:
    """Post an event as a client of one's own would."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    launch = demo.own_client()
    event = {"hub.topic": launch["hub.topic"], "hub.event": name, "context": context}
    message = {"id": f"test-{name}", "timestamp": now, "event": event}
    headers = {
        "Authorization": f"Bearer {launch['access_token']}",
        "Content-Type": "application/json",
    }
    answer = httpx.post(launch["hub.url"], content=json.dumps(message), headers=headers)
    assert answer.is_success, answer.text
