"""Plays the scenarios one after the other and turns what was found into a report."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, NotApplicable
from fhircast_conformance.results import CheckResult, Run, Verdict
from fhircast_conformance.subscriber.occasions import OCCASIONS, judged_rows
from fhircast_conformance.subscriber.scenarios import SCENARIOS
from fhircast_conformance.subscriber.stage import Stage
from fhircast_conformance.subscriber.waits import Waits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fhircast_conformance.subscriber.application import Application
    from fhircast_conformance.subscriber.played import PlayedHub
    from fhircast_conformance.subscriber.stage import Scenario


async def run_scenarios(
    hub: PlayedHub,
    app: Application,
    *,
    waits: Waits | None = None,
    only: Sequence[str] = (),
    actor: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> Run:
    """Judge an application.

    Args:
        hub: The played hub, running.
        app: The application.
        waits: Deadlines and watching times.
        only: Ids or families of rows; empty for everything.
        actor: Of IHE IRA; "stateless-evidence-creator" binds IRA-EC-02.
        say: Tells the operator what goes on.

    Raises:
        ValueError: A word of `only` means nothing here.
    """
    began = time.monotonic()
    started_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    wanted = frozenset(judged_rows(hub.profile, only, actor))
    stage = Stage(hub, app, waits or Waits(), wanted=wanted, actor=actor, say=say)
    results: list[CheckResult] = []
    chosen = [it for it in SCENARIOS if _is_chosen(it, wanted)]
    for number, scenario in enumerate(chosen, 1):
        say(f"[{number}/{len(chosen)}] {scenario.title}")
        found = await _play(stage, scenario)
        results += found
        if scenario is SCENARIOS[0] and not hub.lines:
            say("the application did not join: nothing else can be judged")
            results += _never_joined(wanted, results)
            break
    if app.starts_by_itself:
        await app.stop()
    results += _no_occasion(wanted, results)
    facts = _facts(hub)
    return Run(
        subject=f"{facts['subscriber.name']} ({app.name})" if facts else app.name,
        profile=hub.profile,
        started_at=started_at,
        seconds=time.monotonic() - began,
        checks=tuple(results),
        facts=facts,
    )


def _is_chosen(scenario: Scenario, wanted: frozenset[str]) -> bool:
    """The first one always: without a subscription there is nothing to judge."""
    return scenario is SCENARIOS[0] or bool(wanted & {*scenario.rows, *scenario.gives})


async def _play(stage: Stage, scenario: Scenario) -> list[CheckResult]:
    began = time.monotonic()
    try:
        await stage.begin(scenario)
        await scenario.body(stage)
    except NotApplicable as not_applicable:
        for row in (*scenario.rows, *scenario.gives):
            stage.findings.not_applicable(row, str(not_applicable))
    except Blocked as blocked:
        for row in scenario.rows:
            stage.findings.undecided(row, str(blocked))
        for row in scenario.gives:
            stage.findings.not_applicable(row, str(blocked))
    try:
        await stage.finish()
    except Blocked as blocked:
        stage.say(str(blocked))
    seconds = time.monotonic() - began
    return stage.findings.results(scenario, stage.hub.trace.exchanges, seconds)


def _never_joined(wanted: frozenset[str], results: list[CheckResult]) -> list[CheckResult]:
    seen = {row for it in results for row in it.rows}
    left = tuple(row for row in OCCASIONS if row in wanted - seen)
    reason = "the application did not join the session"
    title = "the application joins"
    return [CheckResult("joins.first", title, left, Verdict.INCONCLUSIVE, reason)] if left else []


def _no_occasion(wanted: frozenset[str], results: list[CheckResult]) -> list[CheckResult]:
    seen = {row for it in results for row in it.rows}
    return [
        CheckResult(
            name=f"no_occasion.{row}",
            title=f"needs {occasion}",
            rows=(row,),
            verdict=Verdict.NOT_APPLICABLE,
            reason=f"the application gave no occasion: {occasion}",
        )
        for row, occasion in OCCASIONS.items()
        if row in wanted - seen
    ]


def _facts(hub: PlayedHub) -> dict[str, str]:
    asked = [it for it in hub.record.forms() if it.is_subscribe]
    if not asked:
        return {}
    last = asked[-1]
    return {
        "subscriber.name": last.get("subscriber.name") or "not given",
        "hub.events": ", ".join(last.events) or "not given",
        "hub.lease_seconds": last.get("hub.lease_seconds") or "not given",
    }
