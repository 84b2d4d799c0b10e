"""What a process published itself is recognised when it is heard, within bounds."""

from __future__ import annotations

from builders import TOPIC, open_case
from fhircast_hub.backends.base import Published
from fhircast_hub.backends.redis.own import OwnEvents

ENVELOPE = Published(TOPIC, 1, open_case(1))


def test_what_was_sent_is_handed_on_once() -> None:
    """2.5: heard again, it is somebody else's with the same bytes."""
    own = OwnEvents()
    own.note(b"sent", ENVELOPE)
    assert own.take(b"other") is None
    assert own.take(b"sent") is ENVELOPE
    assert own.take(b"sent") is None


def test_what_is_never_heard_does_not_pile_up() -> None:
    """Everything that can grow has a bound."""
    own = OwnEvents()
    payloads = [b"%d" % number + bytes(1024 * 1024) for number in range(10)]
    for it in payloads:
        own.note(it, ENVELOPE)
    assert [own.take(it) is not None for it in payloads] == [False] * 3 + [True] * 7
