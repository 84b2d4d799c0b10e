"""Runs checks side by side, each on a topic of its own and bounded in time."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
from websockets.exceptions import WebSocketException

from fhircast_conformance.bench import Bench, HubUnderTest
from fhircast_conformance.check import Blocked, Failed, NotApplicable
from fhircast_conformance.results import CheckResult, Run, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fhircast_conformance.check import Check

USUAL_SECONDS = 30.0
"""A check that takes longer than this, and its own patience, is stopped."""


def select_checks(
    checks: Iterable[Check], profile: str, only: Sequence[str] = ()
) -> tuple[Check, ...]:
    """Return the checks of a profile.

    Args:
        checks: All of them.
        profile: "base" or "ira".
        only: Row ids, families ("SUB", "IRA-HUB") or names of checks; empty for everything.

    Raises:
        ValueError: A word of `only` means nothing here.
    """
    chosen = tuple(it for it in checks if profile in it.profiles)
    for word in only:
        if not any(_is_meant(it, word) for it in chosen):
            raise ValueError(f"--only {word}: no row, family or check of profile {profile}")
    return tuple(it for it in chosen if not only or any(_is_meant(it, word) for word in only))


def _is_meant(check: Check, word: str) -> bool:
    return word == check.name or any(
        row == word.upper() or row.rpartition("-")[0] == word.upper() for row in check.rows
    )


async def run_checks(
    hub: HubUnderTest,
    checks: Sequence[Check],
    *,
    parallel: int = 8,
    progress: Callable[[CheckResult, int, int], None] | None = None,
) -> Run:
    """Judge a hub.

    Args:
        hub: The hub and how it is reached.
        checks: What to run; the patient ones begin first, so that the whole run is short.
        parallel: Checks at a time.
        progress: Told each result, how many are done, and how many there are.
    """
    began = time.monotonic()
    started_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    places = asyncio.Semaphore(parallel)
    results: dict[str, CheckResult] = {}

    async def one(check: Check) -> None:
        async with places:
            result = await run_check(hub, check)
        results[check.name] = result
        if progress is not None:
            progress(result, len(results), len(checks))

    bench = Bench(hub)
    longest_first = sorted(checks, key=lambda it: -(it.patience(bench) if it.patience else 0))
    async with asyncio.TaskGroup() as tasks:
        for check in longest_first:
            tasks.create_task(one(check))
    return Run(
        subject=hub.url,
        profile=hub.profile,
        started_at=started_at,
        seconds=time.monotonic() - began,
        checks=tuple(results[it.name] for it in checks),
        facts=_facts(hub),
    )


async def run_check(hub: HubUnderTest, check: Check) -> CheckResult:
    """Run one check on a fresh topic and turn what it says into a verdict."""
    began = time.monotonic()
    bench = Bench(hub, check.rows)
    bound = USUAL_SECONDS + (check.patience(bench) if check.patience else 0)
    verdict, reason = Verdict.PASSED, ""
    try:
        async with asyncio.timeout(bound), bench:
            await check.body(bench)
    except Failed as failed:
        verdict, reason = Verdict.FAILED, str(failed)
    except NotApplicable as not_applicable:
        verdict, reason = Verdict.NOT_APPLICABLE, str(not_applicable)
    except Blocked as blocked:
        verdict, reason = Verdict.INCONCLUSIVE, str(blocked)
    except TimeoutError:
        verdict, reason = Verdict.INCONCLUSIVE, "an answer or frame that the check needs is missing"
    except (httpx.HTTPError, WebSocketException, OSError) as error:
        verdict, reason = (
            Verdict.INCONCLUSIVE,
            f"the connection to the hub failed ({type(error).__name__})",
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError) as error:
        # The hub's JSON is not shaped as the check has to assume; its own row says so elsewhere.
        verdict, reason = (
            Verdict.INCONCLUSIVE,
            f"an unexpected shape: {type(error).__name__}: {error}",
        )
    except Exception as error:
        verdict, reason = Verdict.INCONCLUSIVE, f"the check broke off: {type(error).__name__}"
    return CheckResult(
        name=check.name,
        title=check.title,
        rows=check.rows,
        verdict=verdict,
        reason=reason[:500],
        exchanges=bench.trace.exchanges,
        seconds=round(time.monotonic() - began, 3),
    )


async def read_well_known(hub_url: str, *, verify: object = True) -> dict[str, object]:
    """Return the hub's configuration document, {} if it serves none that is a JSON object.

    Raises:
        httpx.HTTPError: The hub cannot be reached at all.
    """
    url = f"{hub_url.rstrip('/')}/.well-known/fhircast-configuration"
    async with httpx.AsyncClient(trust_env=False, timeout=10, verify=verify) as client:  # type: ignore[arg-type]
        answer = await client.get(url)
    try:
        document = answer.json() if answer.status_code == 200 else {}
    except ValueError:
        document = {}
    return document if isinstance(document, dict) else {}


def _facts(hub: HubUnderTest) -> dict[str, str]:
    document = hub.well_known
    events = document.get("eventsSupported")
    return {
        "fhircastVersion": str(document.get("fhircastVersion", "not declared")),
        "fhirVersion": str(document.get("fhirVersion", "not declared")),
        "eventsSupported": str(len(events)) if isinstance(events, list) else "not declared",
        "acknowledgement timeout": f"{hub.timers.ack:g} s",
        "reconnect grace": f"{hub.timers.grace:g} s",
        "ping": f"{hub.timers.ping:g} s",
    }
