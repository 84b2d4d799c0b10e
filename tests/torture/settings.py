"""What a run is asked for, how its hubs are set, and what may be demanded of them for that."""

from __future__ import annotations

from dataclasses import dataclass

from torture.schedule import Mix

REDIS_TIMEOUT_SECONDS = 0.5
REDIS_AWAY_SECONDS = 1.0

HUB = {
    "FHIRCAST_REDIS_TIMEOUT_SECONDS": str(REDIS_TIMEOUT_SECONDS),
    "FHIRCAST_REDIS_AWAY_SECONDS": str(REDIS_AWAY_SECONDS),
    "FHIRCAST_REDIS_HOLD_SECONDS": "6",
    "FHIRCAST_DRAIN_SECONDS": "0.3",
    "FHIRCAST_RECONNECT_GRACE_SECONDS": "3",
    "FHIRCAST_ENDPOINT_UNUSED_SECONDS": "5",
    "FHIRCAST_TOPIC_IDLE_SECONDS": "6",
    "FHIRCAST_ACK_TIMEOUT_SECONDS": "8",
}

LEASE_SECONDS = 90
"""What subscribers ask for. An answer may take a tenth of it: longer than any fault."""

GONE_WITHIN_SECONDS = LEASE_SECONDS + 5 + 6 + 5
"""After all have left: what was forgotten ends with its lease, then unused, then the topic."""

SLACK_SECONDS = 2.0
"""For machines that do other things: processes and this one share a few CPUs."""

ANNOUNCED_WITHIN_SECONDS = 2 * REDIS_TIMEOUT_SECONDS + REDIS_AWAY_SECONDS + SLACK_SECONDS
"""Time after a commit within which a connected subscriber has it, or has been told that it is lost.

A connection that hangs is noticed after twice the timeout at the latest (a sign of life is asked
for each timeout and awaited for another), and may then be away for `away_seconds`.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for.

    Attributes:
        seconds: For how long faults happen.
        seed: Of the schedule.
        nodes: Hubs.
        topics: Sessions.
        subscribers: Of each session.
        publishers: Of each session.
        mix: Which faults are preferred.
    """

    seconds: float = 60
    seed: int = 1
    nodes: int = 3
    topics: int = 3
    subscribers: int = 4
    publishers: int = 3
    mix: Mix = Mix.ALL
