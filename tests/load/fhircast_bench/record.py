"""What was seen in a run, as it was seen; `results` makes figures of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhircast_bench.http_lane import Answer
    from fhircast_bench.ledger import Ledger
    from fhircast_bench.load import Load


@dataclass(slots=True)
class Record:
    """What was seen in a run.

    Attributes:
        load: What was put on the hub.
        url: `hub.url`.
        ledger: Every event.
        join_seconds: For each subscriber: from its subscribe to its confirmation.
        joining_seconds: Until all were in.
        losses: Reasons for which subscribers were lost, and how often.
        first_error: The first answer that was no 2xx.
        stopped_by: The answer by which the hub put the generator off.
        not_sent: Events that were due and never sent.
        started_at: When the first event that counts was due; 0 if none was.
        cpu_share: Of one CPU, what the generator used while it sent; None if that was too short.
        is_interrupted: Whether somebody stopped the run.
        hub_cpu_seconds: CPU time of the hub's process while events were sent, None if not watched.
        hub_join_cpu_seconds: The same, while all joined.
        hub_memory_bytes: What the hub's process grew by while all joined, None if not watched.
    """

    load: Load
    url: str
    ledger: Ledger
    join_seconds: list[float] = field(default_factory=list)
    joining_seconds: float = 0.0
    losses: Counter[str] = field(default_factory=Counter)
    first_error: Answer | None = None
    stopped_by: Answer | None = None
    not_sent: int = 0
    started_at: float = 0.0
    cpu_share: float | None = None
    is_interrupted: bool = False
    hub_cpu_seconds: float | None = None
    hub_join_cpu_seconds: float | None = None
    hub_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        stage: "joining", "sending", "arriving", "leaving" or "over".
        seconds: Since the run began.
        joined: Subscribers that are in.
        sent: Events, those that warm up too.
        deliveries: That came.
    """

    stage: str
    seconds: float
    joined: int
    sent: int
    deliveries: int
