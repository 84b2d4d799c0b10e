"""What was let pass is told, and does not fill the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fhircast_hub.remarks import _MAX_REMEMBERED, Remarks

if TYPE_CHECKING:
    import pytest


def told(caplog: pytest.LogCaptureFixture) -> int:
    return sum("let pass" in it.getMessage() for it in caplog.records)


def test_the_same_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """D-31, D-49: an application that does it with every event is told of; others too."""
    caplog.set_level(logging.INFO)
    remarks = Remarks()
    for now in (0, 1, 59):
        remarks.tell("t", ("D-31 patient: no identifier",), now)
    assert told(caplog) == 1
    remarks.tell("t", ("dialect post-without-id",), 59)
    remarks.tell("other", ("D-31 patient: no identifier",), 59)
    assert told(caplog) == 3
    remarks.tell("t", ("D-31 patient: no identifier",), 60)
    remarks.tell("t", (), 60)
    assert told(caplog) == 4


def test_what_was_told_is_bounded_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    """The one told longest ago is forgotten first."""
    caplog.set_level(logging.WARNING)
    remarks = Remarks()
    for number in range(_MAX_REMEMBERED + 5):
        remarks.tell(str(number), ("x",), 0)
    assert len(remarks._told_at) == _MAX_REMEMBERED
