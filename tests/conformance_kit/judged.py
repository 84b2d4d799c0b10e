"""A hub in the test's own loop and the kit that judges it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fhircast_conformance.bench import HubUnderTest, Timers
from fhircast_conformance.checks import all_checks
from fhircast_conformance.probing import look_at
from fhircast_conformance.results import Verdict
from fhircast_conformance.runner import run_checks, select_checks
from fhircast_hub.cli.token import mint_token
from hub_server import running_hub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from fhircast_conformance.check import Profile
    from fhircast_conformance.results import Run

KEY = "made-up-key-for-the-tests-of-the-kit-only"

QUICK = Timers(ack=2.0, unresponsive_after=3, grace=1.0, ping=1.0, unused_endpoint=4.0, silence=0.3)
"""Timers that let a whole run end within seconds."""


class MintedTokens:
    """Tokens for a hub that runs with the tests' shared key."""

    async def get(self, *, scope: str, topic: str, seconds: int, subject: str) -> str:
        return mint_token(
            KEY,
            scope=scope,
            topic=topic,
            seconds=seconds,
            subject=subject or "kit",
            client_id=subject or "kit",
        )


def quick_settings(profile: Profile) -> dict[str, str]:
    """Settings of a hub with quick timers and tokens."""
    return {
        "auth": "jwt",
        "jwt_key": KEY,
        "profile": profile,
        "ack_policy": "strict",
        "ack_timeout_seconds": str(QUICK.ack),
        "unresponsive_after": str(QUICK.unresponsive_after),
        "reconnect_grace_seconds": str(QUICK.grace),
        "ping_seconds": str(QUICK.ping),
        "endpoint_unused_seconds": str(QUICK.unused_endpoint),
    }


@asynccontextmanager
async def hub_under_test(profile: Profile, **settings: str) -> AsyncIterator[HubUnderTest]:
    """Run our hub with quick timers and tokens."""
    async with running_hub(**quick_settings(profile) | settings) as hub:
        yield await look_at(hub.url, profile, QUICK, MintedTokens())


async def judge(hub: HubUnderTest, only: Sequence[str] = (), *, parallel: int = 12) -> Run:
    """Run the kit on a hub."""
    return await run_checks(hub, select_checks(all_checks(), hub.profile, only), parallel=parallel)


async def red_rows(hub: HubUnderTest, expected: Collection[str]) -> set[str]:
    """Run the kit and return the rows that failed.

    A busy machine may upset one of the quick timers, so what is not as expected is judged once
    more, with little else beside it, and that verdict counts.
    """
    red = _failed(await judge(hub))
    doubtful = red ^ set(expected)
    if not doubtful:
        return red
    again = _failed(await judge(hub, sorted(doubtful), parallel=2))
    return (red - doubtful) | (again & doubtful)


def _failed(run: Run) -> set[str]:
    return {it.row.id for it in run.rows if it.verdict is Verdict.FAILED}


async def doubts(hub: HubUnderTest) -> list[str]:
    """Run the kit and return what was not seen to hold; as in `red_rows`, a second look counts."""
    run = await judge(hub)
    rows = [it.row.id for it in run.rows if it.verdict in _WRONG]
    return not_passed(await judge(hub, rows, parallel=2)) if rows else []


_WRONG = (Verdict.FAILED, Verdict.INCONCLUSIVE)


def not_passed(run: Run) -> list[str]:
    """Return what was not seen to hold, with the reasons."""
    return [f"{it.row.id} {it.verdict}: {it.reason}" for it in run.rows if it.verdict in _WRONG]
