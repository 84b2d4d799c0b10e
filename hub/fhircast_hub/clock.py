"""The clock and the source of ids: the two things that the core gets as values."""

from __future__ import annotations

import os
import secrets
import time
from datetime import UTC, datetime
from typing import Protocol


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
    """Return a UUID for an event or a version: random, version 4 (D-50).

    Written out, since every event gets one: `uuid.uuid4` takes three times as long.
    """
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


ENDPOINT_ID_BYTES = 24
"""192 random bits; the id is their base64url form of 32 characters (SUB-15)."""


def new_endpoint_id() -> str:
    """Return an unguessable endpoint id."""
    return secrets.token_urlsafe(ENDPOINT_ID_BYTES)
