"""Arithmetic of the figures."""

from __future__ import annotations

import math

import pytest
from bench.figures import median_of, median_ratio, quantile, quantiles_of, slope


def test_quantiles_are_read_where_they_were_written() -> None:
    """The generator in C writes the same 102 places."""
    quantiles = quantiles_of(range(10_000))
    assert len(quantiles) == 102
    assert quantile(quantiles, 0.5) == 5000
    assert quantile(quantiles, 0.99) == 9900
    assert quantile(quantiles, 0.999) == 9990
    assert quantile(quantiles, 1) == 9999


def test_nothing_measured_is_no_number() -> None:
    assert quantiles_of([]) == []
    assert math.isnan(quantile([], 0.5))
    assert math.isnan(median_of([], "x"))
    assert math.isnan(median_ratio([], "x", "a", "b"))
    assert math.isnan(slope([(1, 1)]))


def test_ratios_are_taken_within_a_round() -> None:
    """A round in which the machine was busy counts for both, or it would decide the ratio."""
    rows = [
        {"server": "a", "round": 1, "x": 10},
        {"server": "b", "round": 1, "x": 5},
        {"server": "a", "round": 2, "x": 100},
        {"server": "b", "round": 2, "x": 50},
        {"server": "a", "round": 3, "x": 30},
        {"server": "b", "round": 3, "x": 10},
    ]
    assert median_ratio(rows, "x", "a", "b") == 2


def test_a_run_without_the_figure_is_passed_over() -> None:
    rows = [
        {"server": "a", "round": 1, "failed": "…"},
        {"server": "b", "round": 1, "x": 5},
        {"server": "a", "round": 2, "x": 8},
        {"server": "b", "round": 2, "x": 4},
    ]
    assert median_ratio(rows, "x", "a", "b") == 2
    assert median_of(rows, "x") == 5


def test_the_slope_is_that_of_the_line_that_fits_best() -> None:
    assert slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2)
    assert slope([(0, 0), (1, 1), (2, 0)]) == pytest.approx(0)
