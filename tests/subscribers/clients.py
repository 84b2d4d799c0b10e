"""Clients for tests: short waits, and cases made of the shared builders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builders import case
from fhircast_subscribers import Backoff, ClientSettings, ReportContext, report_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_subscribers import Change, Follower, HubSession

SHORT = Backoff(first_seconds=0.01, max_seconds=0.05, jitter=0)
FAST = ClientSettings(
    backoff=SHORT,
    request_timeout_seconds=0.5,
    connect_timeout_seconds=2,
    join_timeout_seconds=3,
    echo_timeout_seconds=0.3,
    resend_seconds=0.05,
    close_timeout_seconds=0.5,
)


def reading_case(number: int = 1) -> ReportContext:
    """A made-up reading case."""
    report, patient, study = case(number)
    return report_context(report, patient, study)


def opened_items(number: int = 1) -> list[dict[str, Any]]:
    return reading_case(number).open_items()


async def shows(session: HubSession, condition: Callable[[Follower], bool]) -> None:
    """Wait until the session's follower shows something."""
    assert await session.wait_until(condition, 5)


async def next_change(session: HubSession, kind: type[Change]) -> Any:
    """Iterate until a change of this kind comes; everything on the way is answered 200."""
    async for received in session:
        for change in received.changes:
            if isinstance(change, kind):
                return change
    raise AssertionError("the session has ended")
