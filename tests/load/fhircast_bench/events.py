"""What is sent: opens and closes of made-up patients."""

from __future__ import annotations

from datetime import UTC, datetime

EVENTS = ("Patient-open", "Patient-close")
_MARK = "load-test:"
_FILLER = "This patient is made up, and so is this text. "


class Script:
    """The events of one topic, in order: a patient is opened, closed, and the next one comes.

    Args:
        run: A name of the run; ids of events and patients begin with it.
        topic: `hub.topic`.
        number: Of the topic in this run.
        event_bytes: Size of each event as it is sent; smaller than the patient needs is not
            possible.
    """

    __slots__ = ("_event_bytes", "_prefix", "_topic")

    def __init__(self, run: str, topic: str, number: int, event_bytes: int) -> None:
        self._prefix = f"{run}-{number}"
        self._topic = topic
        self._event_bytes = event_bytes

    def event(self, position: int) -> tuple[str, str, bytes]:
        """Return id, name and body of the event at a position, the first of which is 0."""
        event_id = f"{self._prefix}-{position}"
        name = EVENTS[position % 2]
        patient = f"{self._prefix}-{position // 2}"
        timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = (
            f'{{"timestamp":"{timestamp}","id":"{event_id}","event":{{'
            f'"hub.topic":"{self._topic}","hub.event":"{name}","context":[{{"key":"patient",'
            f'"resource":{{"resourceType":"Patient","id":"{patient}",'
            f'"identifier":[{{"system":"urn:example:load-test","value":"{patient}"}}],'
            '"name":[{"family":"Made-up","given":["Patient"]}],'
            '"text":{"status":"generated","div":"<div xmlns=\'http://www.w3.org/1999/xhtml\'>'
            f"{_MARK}{event_id};"
        )
        tail = '</div>"}}}]}}'
        return event_id, name, (head + self._filler(len(head) + len(tail)) + tail).encode()

    def _filler(self, used_bytes: int) -> str:
        missing = max(0, self._event_bytes - used_bytes)
        return (_FILLER * (missing // len(_FILLER) + 1))[:missing]


def marked_id(payload: bytes) -> str | None:
    """Return the id with which an event was sent, from a frame in which the hub gave it another."""
    _, found, after = payload.partition(_MARK.encode())
    return after.partition(b";")[0].decode(errors="replace") if found else None
