"""What this process published itself and will hear again: it need not be read a second time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhircast_hub.backends.base import Published

_MOST_BYTES = 8 * 1024 * 1024
"""Of what was published and not heard yet; after a break it never is."""


class OwnEvents:
    """Envelopes by what they are published as."""

    def __init__(self) -> None:
        self._sent: dict[bytes, Published] = {}
        self._bytes = 0

    def note(self, payload: bytes, envelope: Published) -> None:
        """An envelope is about to be published; beyond the bound the oldest are forgotten."""
        self._sent[payload] = envelope
        self._bytes += len(payload)
        while self._bytes > _MOST_BYTES:
            self.take(next(iter(self._sent)))

    def take(self, payload: bytes) -> Published | None:
        """Return the envelope that was heard, and forget it; None if it is another process's."""
        envelope = self._sent.pop(payload, None)
        if envelope is not None:
            self._bytes -= len(payload)
        return envelope
