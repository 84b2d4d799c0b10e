"""Notification responses: what a subscriber says to an event."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from fhircast_hub.protocol.json_text import read_json

_SPACE = r"[ \t\n\r]*+"
_ID = rf'"id"{_SPACE}:{_SPACE}"([ !#-\[\]-~]*+)"'
_STATUS = rf'"status"{_SPACE}:{_SPACE}(?:"([0-9]{{1,9}})"|([1-9][0-9]{{0,8}}+))'
_BETWEEN = rf"{_SPACE},{_SPACE}"


def _object(*members: str) -> re.Pattern[str]:
    return re.compile(rf"{_SPACE}\{{{_SPACE}{_BETWEEN.join(members)}{_SPACE}\}}{_SPACE}")


_ID_FIRST, _STATUS_FIRST = _object(_ID, _STATUS), _object(_STATUS, _ID)
"""An id in printable ASCII without an escape and a status in plain digits: read in one way only."""

_MAX_USUAL = 256
"""Characters of a response that is kept for the next one who says the same."""


class NotificationResponse(msgspec.Struct, frozen=True, gc=False):
    """A subscriber's answer to a notification.

    Attributes:
        id: Id of the notification.
        status: HTTP-like status, None for a plain receipt (D-04, D-41).
    """

    id: str
    status: int | None


class _Response(msgspec.Struct, frozen=True):
    id: str
    status: object = None


def parse_response(frame: str | bytes) -> NotificationResponse | None:
    """Return the notification response in a frame, None if the frame is something else (D-38).

    Read tolerantly: the status may be a number or a numeric string; anything else counts as a plain
    receipt. What can be read two ways is none.

    Spec: 2.5; ACK-05, D-04.
    """
    if len(frame) <= _MAX_USUAL:
        return _parse_short(frame)
    return parse_any_response(frame)


@lru_cache(maxsize=256)
def _parse_short(frame: str | bytes) -> NotificationResponse | None:
    """The subscribers of an event say the same, to the letter: it is read once for all of them."""
    if isinstance(frame, str):
        text = frame
    elif frame.isascii():
        text = frame.decode("ascii")
    else:
        return parse_any_response(frame)
    match = _ID_FIRST.fullmatch(text)
    if match is not None:
        event_id, status, number = match.groups()
        return NotificationResponse(event_id, int(status or number))
    match = _STATUS_FIRST.fullmatch(text)
    if match is not None:
        status, number, event_id = match.groups()
        return NotificationResponse(event_id, int(status or number))
    return parse_any_response(frame)


def parse_any_response(frame: str | bytes) -> NotificationResponse | None:
    """Return what `parse_response` returns, for any frame and in the long way."""
    try:
        response = msgspec.convert(read_json(frame), _Response)
    except ValueError:
        return None
    if isinstance(response.status, bool) or not isinstance(response.status, int | float | str):
        return NotificationResponse(response.id, None)
    try:
        return NotificationResponse(response.id, int(response.status))
    except ValueError:
        return NotificationResponse(response.id, None)
