"""How long the kit waits. Units: seconds."""

from __future__ import annotations

from dataclasses import dataclass

IN_FLIGHT_SECONDS = 0.25
"""How long a request may have been under way: nothing that came meanwhile is held against it."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Deadlines and watching times of a run.

    Attributes:
        join: For the application to subscribe and connect.
        ack: For an answer to a notification; the standard's ten seconds.
        action: For an action at the application to reach the hub.
        quiet: How long it is watched that nothing happens.
        rejoin: For an application that lost its connection, or whose lease is about to end.
        lease: Lease granted where renewal is watched.
        resend_not_before: Between two resends of the same event (SYNC-12).
        resend: For the first resend.
        leave: For a normal shutdown.
        late: How long a slow hub takes for an answer.
        retry: For a request without any answer to be sent again.
    """

    join: float = 30.0
    ack: float = 10.0
    action: float = 15.0
    quiet: float = 3.0
    rejoin: float = 30.0
    lease: int = 8
    resend_not_before: float = 10.0
    resend: float = 20.0
    leave: float = 15.0
    late: float = 2.0
    retry: float = 30.0
