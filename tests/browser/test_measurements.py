"""A measurement's way: drawn in the viewer, shared, selected, inserted into the report, removed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from browser.steps import accession_of, draw_ruler, expect_all, expect_image, open_case
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

Three = Callable[[], tuple[Page, Page, Page]]


def test_a_measurement_makes_the_round_trip(three: Three) -> None:
    """CONT-21, SEL-02, IRA-RC-02: shared in mm, focused by a select, inserted by a click."""
    worklist, viewer, dictation = pages = three()
    case = accession_of(worklist, "MR right shoulder")
    open_case(worklist, case)
    expect_all(pages, case)
    expect_image(viewer)
    draw_ruler(viewer)
    viewer.get_by_test_id("share").click()
    measurement = dictation.get_by_test_id("measurement")
    expect(measurement).to_have_text(re.compile(r"Length \d+(\.\d)? mm"))
    viewer.get_by_test_id("measurement-select").click()
    expect(measurement).to_have_attribute("data-selected", "true")
    dictation.get_by_test_id("insert").click()
    expect(dictation.get_by_test_id("report-text")).to_have_value(re.compile(r"^\d+(\.\d)? mm$"))
    viewer.get_by_test_id("measurement-select").click()
    expect(measurement).to_have_attribute("data-selected", "false")
    viewer.get_by_test_id("measurement-remove").click()
    expect(measurement).to_have_count(0)
    expect_all(pages, case)


def test_an_uncalibrated_image_gives_no_millimetres(three: Three) -> None:
    """No pixel spacing: the length is in pixels, says so, and cannot be shared as a length."""
    worklist, viewer, dictation = pages = three()
    case = accession_of(worklist, "XR chest")
    open_case(worklist, case)
    expect_all(pages, case)
    expect_image(viewer)
    draw_ruler(viewer)
    expect(viewer.get_by_test_id("measurement")).to_contain_text("px (uncalibrated)")
    expect(viewer.get_by_test_id("share")).to_be_disabled()
    expect(dictation.get_by_test_id("measurement")).to_have_count(0)


def test_a_measurement_survives_the_suspension_of_its_case(three: Three) -> None:
    """TAB-03, IRA-SUB-10: another case in between, then the first with what was shared."""
    worklist, viewer, dictation = pages = three()
    first = accession_of(worklist, "MR right shoulder")
    open_case(worklist, first)
    expect_all(pages, first)
    expect_image(viewer)
    draw_ruler(viewer)
    viewer.get_by_test_id("share").click()
    expect(dictation.get_by_test_id("measurement")).to_be_visible()
    second = accession_of(worklist, "XR chest")
    open_case(worklist, second)
    expect_all(pages, second)
    expect(dictation.get_by_test_id("measurement")).to_have_count(0)
    expect(viewer.get_by_test_id("measurement")).to_have_count(0)
    open_case(worklist, first)
    expect_all(pages, first)
    expect(dictation.get_by_test_id("measurement")).to_be_visible()
    expect(viewer.get_by_test_id("measurement")).to_have_attribute("data-shared", "true")
