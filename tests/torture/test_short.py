"""A short torture: real hubs, a real Redis, real faults; `make torture` does it for longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from torture.checks import violations
from torture.report import figures, page, result
from torture.run import Torture
from torture.schedule import Kind, schedule
from torture.settings import ANNOUNCED_WITHIN_SECONDS, Options

if TYPE_CHECKING:
    from pathlib import Path

_OPTIONS = Options(seconds=12, seed=42, nodes=3, topics=2, subscribers=3, publishers=1)


@pytest.mark.xdist_group("browser")  # not beside a browser: both want the whole machine
@pytest.mark.timeout(240)
async def test_a_short_torture_loses_nothing(tmp_path: Path) -> None:
    """Guarantees 1, 2 and 3, under faults."""
    told: list[str] = []
    log = await Torture(_OPTIONS, tmp_path, told.append).run()
    found = violations(log, ANNOUNCED_WITHIN_SECONDS)
    assert found == [], result(log, found)
    assert figures(log)["deliveries"] > 0
    assert told
    assert "## Violations: 0" in page(log, found, _OPTIONS, 12)


@pytest.mark.xdist_group("browser")
@pytest.mark.timeout(240)
async def test_a_rolling_restart_loses_nothing(tmp_path: Path) -> None:
    """Guarantees 1, 2, 3 and 5: three hubs leave one after the other, under load."""
    options = Options(nodes=3, topics=2, subscribers=3, publishers=1, rolls=True)
    log = await Torture(options, tmp_path, lambda _: None).run()
    found = violations(log, ANNOUNCED_WITHIN_SECONDS)
    assert found == [], result(log, found)
    assert [it.node for it in log.faults] == [0, 1, 2]
    ended = [it for it in log.connections if it.code == 1001]
    assert ended, result(log, found)
    assert not [it.denial for it in log.connections if it.denial]


def test_the_short_torture_kills_both() -> None:
    """A seed without kills and losses would show little."""
    kinds = {it.kind for it in schedule(_OPTIONS.seed, _OPTIONS.seconds, _OPTIONS.nodes)}
    assert {
        Kind.KILL_NODE,
        Kind.KILL_REDIS,
        Kind.STOP_NODE,
        Kind.HANG_NODE,
        Kind.BLINK_NODE,
    } <= kinds
