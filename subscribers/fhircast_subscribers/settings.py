"""What a client can be told about its waits and bounds. Units are in the names."""

from __future__ import annotations

from dataclasses import dataclass, field

from fhircast_subscribers.backoff import Backoff

IRA_EVENTS = (
    "DiagnosticReport-open",
    "DiagnosticReport-close",
    "DiagnosticReport-update",
    "DiagnosticReport-select",
    "SyncError",
)
"""What every subscriber of a reporting session subscribes to (IRA-SUB-01)."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Waits and bounds of one session.

    Attributes:
        lease_seconds: Lease that is asked for.
        renew_at: Share of the granted lease after which it is renewed; 0.8 at most (CONF-04).
        join_timeout_seconds: Until the first join must have worked.
        request_timeout_seconds: For one HTTP request.
        request_tries: How often a request without any answer is sent, with one id (IRA-SUB-08).
        connect_timeout_seconds: For the WebSocket handshake, and for the confirmation after it.
        close_timeout_seconds: For the closing handshake.
        ping_seconds: How often the hub is pinged; it is given up after as long without an answer.
        answer_within_seconds: After which a notification that the application has not answered yet
            is answered 202, received (ACK-02, ACK-04); the hub waits ten seconds.
        echo_timeout_seconds: How long a request waits for its own broadcast after it was accepted.
        resend_seconds: Between resends of an open or close that a SyncError is outstanding for
            (SYNC-12 wants ten at least).
        max_resends: Of one event.
        stable_after_seconds: Life of a connection after which the back-off starts anew.
        backoff: Delays between tries.
        max_events: Events kept for an application that is slow; beyond, it gets `FellBehind`.
        max_event_bytes: Largest open or update that is taken in; a larger one is answered 413
            (CONT-19). The hub's own limit is one MiB by default.
        max_frame_bytes: Largest frame read at all; a larger one ends the connection with 1009.
        resubscribe_after_denial: Subscribe anew after any denial. By default only after those that
            mean that the hub forgot us; any other wants the user's decision (CONF-07).
    """

    lease_seconds: int = 7200
    renew_at: float = 0.75
    join_timeout_seconds: float = 15
    request_timeout_seconds: float = 5
    request_tries: int = 3
    connect_timeout_seconds: float = 5
    close_timeout_seconds: float = 2
    ping_seconds: float = 15
    answer_within_seconds: float = 8
    echo_timeout_seconds: float = 2
    resend_seconds: float = 10
    max_resends: int = 60
    stable_after_seconds: float = 5
    backoff: Backoff = field(default_factory=Backoff)
    max_events: int = 256
    max_event_bytes: int = 4 * 1024 * 1024
    max_frame_bytes: int = 16 * 1024 * 1024
    resubscribe_after_denial: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.renew_at <= 0.8:
            raise ValueError("renew_at: over 0 and at most 0.8 (CONF-04)")
        if self.lease_seconds < 1:
            raise ValueError("lease_seconds: at least 1 (SUB-08)")
        if min(self.request_tries, self.max_events) < 1:
            raise ValueError("request_tries, max_events: at least 1")
        if not 0 < self.max_event_bytes <= self.max_frame_bytes:
            raise ValueError("max_event_bytes: over 0 and at most max_frame_bytes (CONT-19)")
