"""State of suspended reports is bounded."""

from __future__ import annotations

from fhircast_subscribers.suspended import Suspended


def test_longest_untouched_goes_first() -> None:
    """IRA-SUB-10: a day's work fits; what is in use is kept."""
    states: Suspended[dict[str, int]] = Suspended(dict, at_most=2)
    states["a"]["x"] = 1
    states["b"] = {"x": 2}
    assert states["a"] == {"x": 1}
    states["c"] = {"x": 3}
    assert len(states) == 2
    assert states["a"] == {"x": 1}
    assert states["b"] == {}
