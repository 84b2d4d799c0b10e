"""The clock and the source of ids: the two things that the core gets as values."""

from __future__ import annotations

import os
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


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


def _new_ids() -> Iterator[str]:
    """Yield version 4 UUIDs; written out, since `uuid.uuid4` takes three times as long.

    Their bits come from the system for many at once: a call of it for each would be dear.
    """
    while True:
        digits = os.urandom(_IDS_AT_ONCE * 16).hex()
        for at in range(0, len(digits), 32):
            it = digits[at : at + 32]
            variant = "89ab"[int(it[16], 16) & 3]
            yield f"{it[:8]}-{it[8:12]}-4{it[13:16]}-{variant}{it[17:20]}-{it[20:]}"


_IDS_AT_ONCE = 64
_ids = _new_ids()


def new_id() -> str:
    """Return a UUID for an event or a version: random, version 4 (D-50)."""
    return next(_ids)


ENDPOINT_ID_BYTES = 24
"""192 random bits; the id is their base64url form of 32 characters (SUB-15)."""


def new_endpoint_id() -> str:
    """Return an unguessable endpoint id."""
    return secrets.token_urlsafe(ENDPOINT_ID_BYTES)
