"""The clock and the source of ids: the two things that the core gets as values."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4


class Clock(Protocol):
    """Where the hub reads the time."""

    def utc(self) -> datetime:
        """Return the aware UTC time."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...


class SystemClock:
    """The machine's clock."""

    def utc(self) -> datetime:
        """See `Clock.utc`."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()


def new_id() -> str:
    """Return a UUID for an event or a version (D-50)."""
    return str(uuid4())


ENDPOINT_ID_BYTES = 24
"""192 random bits; the id is their base64url form of 32 characters (SUB-15)."""


def new_endpoint_id() -> str:
    """Return an unguessable endpoint id."""
    return secrets.token_urlsafe(ENDPOINT_ID_BYTES)
