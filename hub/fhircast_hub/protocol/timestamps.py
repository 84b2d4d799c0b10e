"""Moments: read generously, written in one way."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from fhircast_hub.protocol.errors import InvalidRequest

_HAS_TIME = re.compile(r"[Tt ][0-9]{2}:?[0-9]{2}")
"""Hours and minutes: Python reads a date alone too, and nearly any separator."""


def parse_timestamp(text: str) -> datetime:
    """Return an ISO 8601 timestamp as aware UTC time; no zone reads as UTC.

    Raises:
        InvalidRequest: Not a date and time; a date alone is no moment.

    Spec: 2.5; EVT-09, D-27.
    """
    try:
        if not _HAS_TIME.search(text):
            raise ValueError
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is UTC:
            return moment
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest("timestamp", "not an ISO 8601 date and time", rule="EVT-09") from None


def format_timestamp(moment: datetime) -> str:
    """Return an aware time as the hub writes it: UTC, milliseconds, ending in Z (D-50)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
