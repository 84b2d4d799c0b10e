"""docs/scaling.md says what `fhircast plan` says."""

from __future__ import annotations

from dataclasses import replace

from fhircast_hub.planning.costs import as_file, shipped_costs
from scaling import COSTS, PAGE, page


def test_the_page_is_current() -> None:
    """`make fix` writes it."""
    held = PAGE.read_text()
    assert page(held, shipped_costs()) == held


def test_the_page_follows_the_unit_costs() -> None:
    dear = shipped_costs().overridden({"delivery_us": 5000.0})
    assert page(PAGE.read_text(), replace(dear, source="measured")) != PAGE.read_text()


def test_the_file_of_unit_costs_is_as_it_is_written() -> None:
    """So that new measurements change the lines that they change."""
    assert COSTS.read_bytes() == as_file(shipped_costs())
