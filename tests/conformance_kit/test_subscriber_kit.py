"""Our library and its three reference adapters pass the kit for subscribers, in both profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conformance_kit.judged import not_passed
from conformance_kit.library_apps import QUICK, DictationApp, LibraryApp, ViewerApp, WorklistApp
from fhircast_conformance.results import Verdict
from fhircast_conformance.subscriber import PlayedHub, run_scenarios

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_conformance.check import Profile


@pytest.mark.parametrize("profile", ["base", "ira"])
@pytest.mark.parametrize("make", [ViewerApp, DictationApp, WorklistApp])
async def test_the_reference_adapters_hold_every_row_that_the_kit_can_see(
    make: Callable[[], LibraryApp], profile: Profile
) -> None:
    app = make()
    async with PlayedHub(profile=profile) as hub:
        run = await run_scenarios(hub, app, waits=QUICK)
    assert not app.errors
    assert not not_passed(run)
    assert run.is_conformant
    passed = {it.row.id for it in run.rows if it.verdict is Verdict.PASSED}
    assert {"SUB-01", "SUB-10", "UNS-06", "ACK-01", "EVT-10", "CONF-04", "CONF-07"} <= passed
