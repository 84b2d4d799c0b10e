"""A parser of requests that goes on where an upgrade is asked for which nobody here knows.

httptools ends such a request (`Upgrade: h2c`, as some clients send with everything) at its header
block: its body would be read as the next request, which a proxy before the hub never saw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import httptools

if TYPE_CHECKING:
    from collections.abc import Sequence

_ASKING = frozenset({b"upgrade", b"http2-settings"})


class Reading(Protocol):
    """What is read into: the parser's callbacks, and what they made of the header block."""

    url: bytes

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The headers, by names in lower case."""
        ...

    @property
    def is_handshake(self) -> bool:
        """Whether the upgrade is one that will be made."""
        ...


class PlainParser:
    """httptools' parser of requests, but for what is said above.

    Args:
        reading: Called back as httptools does, twice for a header block that has to be read anew.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._parser = _new_parser(reading)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    @property
    def will_read_anew(self) -> bool:
        """Whether the block that was just read comes again, without the upgrade."""
        return self._parser.should_upgrade() and not self._reading.is_handshake

    def feed_data(self, data: bytes) -> None:
        """Parse bytes.

        Raises:
            HttpParserUpgrade: To a WebSocket.
            HttpParserError: No HTTP.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self.will_read_anew:
                raise
            rest = data[upgrade.args[0] :]
            head = self._plain_head()
            self._parser = _new_parser(self._reading)
            self.feed_data(head + rest)

    def _plain_head(self) -> bytes:
        version = self._parser.get_http_version().encode()
        first = b"%s %s HTTP/%s" % (self._parser.get_method(), self._reading.url, version)
        kept = (it for it in self._reading.headers if it[0] not in _ASKING)
        return b"\r\n".join([first, *(b"%s: %s" % it for it in kept), b"", b""])


def _new_parser(reading: Reading) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(reading)
    # As uvicorn has it: an answer to the first of several requests may end the connection.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
