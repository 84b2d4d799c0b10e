"""Samples of a stack, by the part that they were found in."""

from __future__ import annotations

import pytest
from bench.profiled import part_of, shares


@pytest.mark.parametrize(
    ("frame", "part"),
    [
        ("decide (/x/hub/fhircast_hub/protocol/judging.py:30)", "protocol/judging.py"),
        ("app (/x/lib/python3.12/site-packages/starlette/routing.py:700)", "starlette"),
        ("b64decode (/usr/lib/python3.12/base64.py:80)", "standard library"),
        ("run (/usr/lib/python3.12/asyncio/runners.py:118)", "event loop, system calls"),
    ],
)
def test_a_frame_belongs_to_a_file_of_the_hub_or_to_a_package(frame: str, part: str) -> None:
    assert part_of(frame) == part


def test_a_part_that_calls_itself_counts_once() -> None:
    hub = "f (/x/fhircast_hub/hub.py:1)"
    other = "g (/x/site-packages/starlette/routing.py:1)"
    counted = shares([f"{hub};{other};{hub} 3", f"{hub};{other} 1"])
    assert counted == [("hub.py", 3, 4), ("starlette", 1, 4)]
