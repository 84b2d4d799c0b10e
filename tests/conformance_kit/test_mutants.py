"""The kit can fail: each broken hub turns the right rows red, and only those."""

from __future__ import annotations

import pytest
from conformance_kit.judged import hub_under_test, red_rows
from conformance_kit.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda it: it.name)
async def test_a_broken_hub_turns_the_right_rows_red(
    mutant: Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant.break_it(monkeypatch)
    async with hub_under_test(mutant.profile) as hub:
        assert await red_rows(hub, mutant.red) == mutant.red, mutant.fault


def test_there_are_at_least_twenty_five_broken_hubs() -> None:
    assert len({it.name for it in MUTANTS}) >= 25
